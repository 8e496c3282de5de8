"""`manage.py evaluate` on real images: stable keys, the served answers, and every unusable image named."""

import csv
import json
import shutil
import zipfile
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES
from diagnosis.classifier.taxonomy import CLASSES
from training.evaluation import metrics
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.figures import Figures, WeightedArea, draw_weights, estimates, nested
from training.evaluation.labelled import LabelsRefused, Problems, find_pictures, read_labels
from training.evaluation.report import Answers

REAL = Path(__file__).resolve().parents[1] / "data" / "ham10000"


def real_rows() -> list[dict[str, str]]:
    with (REAL / "labels.csv").open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if not row["file"].endswith("_600x450.jpg")]
    assert len(rows) == 27
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def one_hot(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [
        {"image": row["image_id"]} | {code.upper(): "1.0" if row["dx"] == code else "0.0" for code in CLASSES}
        for row in rows
    ]


def evaluate(output: Path, images: Path, labels: Path, *more: str) -> tuple[dict, str]:
    said = StringIO()
    call_command(
        "evaluate", "--images", str(images), "--labels", str(labels), "--output", str(output), *more,
        stdout=StringIO(), stderr=said,
    )  # fmt: skip
    return json.loads((output / "report.json").read_text()), said.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str, Path]:
    folder = tmp_path_factory.mktemp("evaluated")
    labels = write_csv(folder / "labels.csv", real_rows())
    report, said = evaluate(folder / "out", REAL, labels)
    return report, said, folder / "out"


def test_the_report_has_its_stable_keys_both_with_and_without_abstained_cases(
    whole: tuple[dict, str, Path],
) -> None:
    report = whole[0]

    for figures in (report, report["answered_only"]):
        for name in ("accuracy", "balanced_accuracy", "ece"):
            assert 0 <= figures[name] <= 1
            low, high = figures["intervals"][name]
            assert low <= high
        assert set(figures["malignant"]) >= {"auc", "sensitivity", "specificity"}
        assert 0 <= figures["melanoma"]["auc"] <= 1
        assert set(figures["per_class"]) == set(CLASSES)
        assert len(figures["intervals"]["malignant"]["auc"]) == 2
    assert report["images"] == 27
    assert report["abstained"] == 27 - report["answered_only"]["images"] > 0
    assert report["images_per_second"] > 0


def test_the_figures_are_those_of_the_answers_that_the_analyse_command_gives(whole: tuple[dict, str, Path]) -> None:
    report, _, output = whole
    truth = {row["image_id"]: row["dx"] for row in real_rows()}
    said = StringIO()
    call_command("analyse", *(str(REAL / f"{image}.jpg") for image in truth), "--json", stdout=said)
    answers = {Path(each["image"]).stem: each for each in json.loads(said.getvalue())}

    with (output / "predictions.csv").open(newline="") as lines:
        rows = {row["image_id"]: row for row in csv.DictReader(lines)}
    abstained = {image for image, each in answers.items() if each["abstained"]}
    right = sum(rows[image]["predicted"] == truth[image] for image in truth)

    assert {image for image, row in rows.items() if row["abstained"]} == abstained
    for image in set(truth) - abstained:
        assert rows[image]["predicted"] == answers[image]["predicted"]
        assert float(rows[image]["risk"]) == pytest.approx(answers[image]["malignancy_risk"], abs=1e-5)
    assert report["accuracy"] == pytest.approx(right / 27, abs=1e-4)


def test_the_page_shows_every_part_and_names_nothing_outside_itself(whole: tuple[dict, str, Path]) -> None:
    page = (whole[2] / "report.html").read_text()

    for heading in ("Confusion", "ROC and reliability", "Thresholds", "Subgroups", "surest mistakes", "Rightly named"):
        assert heading in page
    assert page.count("<svg") == 2
    assert page.count("activation map of") >= 7
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_zip_bmp_png_and_one_hot_labels_give_the_same_figures(whole: tuple[dict, str, Path], tmp_path: Path) -> None:
    rows = real_rows()
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for index, row in enumerate(rows):
            suffix = (".bmp", ".PNG", ".jpg")[index % 3]
            path = tmp_path / f"{row['image_id']}{suffix}"
            if suffix == ".jpg":
                shutil.copy(REAL / path.name, path)
            else:
                Image.open(REAL / f"{row['image_id']}.jpg").save(path)
            archive.write(path, f"some/folder/{path.name}")

    report, said = evaluate(tmp_path / "out", tmp_path / "images.zip", write_csv(tmp_path / "truth.csv", one_hot(rows)))

    assert said == ""
    for name in ("accuracy", "balanced_accuracy", "malignant", "melanoma", "ece", "abstained", "confusion"):
        assert report[name] == whole[0][name]


def test_what_cannot_be_used_is_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    rows = real_rows()[:10]
    ids = [row["image_id"] for row in rows]
    images = tmp_path / "images"
    images.mkdir()
    for image in ids:
        shutil.copy(REAL / f"{image}.jpg", images)
    (images / f"{ids[0]}.jpg").unlink()
    (images / f"{ids[1]}.jpg").write_bytes((REAL / f"{ids[1]}.jpg").read_bytes()[:2000])
    Image.new("RGB", (100, 80)).save(images / f"{ids[2]}.jpg")
    (images / "again").mkdir()
    shutil.copy(REAL / f"{ids[3]}.jpg", images / "again")
    Image.new("RGB", (224, 224)).save(images / "again" / f"{ids[4]}.png")
    shutil.copy(REAL / f"{ids[5]}.jpg", images / "stranger.jpg")
    (images / f"{ids[9]}.jpg").unlink()
    (images / f"{ids[9]}.bmp").write_bytes(b"BM and no picture")
    contradicting = dict(rows[6], dx="nv" if rows[6]["dx"] != "nv" else "mel")
    labels = write_csv(tmp_path / "labels.csv", [*rows[:8], contradicting, rows[7], dict(rows[8], dx="scc"), rows[9]])

    report, said = evaluate(tmp_path / "out", images, labels)

    problems = report["problems"]
    assert problems["missing"] == [ids[0]]
    assert set(problems["unreadable"]) == {ids[1], ids[2], ids[9]}
    assert "damaged" in problems["unreadable"][ids[1]]
    assert "100x80" in problems["unreadable"][ids[2]]
    assert problems["found_twice"] == [ids[3]]
    assert problems["images_contradict"] == [ids[4]]
    assert problems["unlabelled"] == ["stranger"]
    assert problems["labels_contradict"] == [ids[6]]
    assert problems["labelled_twice"] == [ids[7]]
    assert "scc" in problems["no_known_diagnosis"][ids[8]]
    assert report["images"] == 3
    for image in (ids[0], ids[1], ids[2], ids[4], ids[6], ids[8], "stranger"):
        assert image in said


def test_with_masks_it_says_whether_the_maps_look_at_the_lesion(tmp_path: Path) -> None:
    rows = real_rows()[:2]
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (600, 450), 255).save(masks / f"{rows[0]['image_id']}_segmentation.png")
    (masks / f"{rows[1]['image_id']}_segmentation.png").write_bytes(b"no picture")

    report, said = evaluate(tmp_path / "out", REAL, write_csv(tmp_path / "labels.csv", rows), "--masks", str(masks))

    assert report["images"] == 2
    assert report["map_focus"]["all"]["images"] == 1
    assert report["map_focus"]["all"]["malignant_map_energy_inside"]["value"] == 1.0
    assert list(report["problems"]["masks_unreadable"]) == [rows[1]["image_id"]]
    assert rows[1]["image_id"] in said


def test_nothing_to_judge_and_unusable_labels_are_errors_that_name_the_way_out(tmp_path: Path) -> None:
    labels = write_csv(tmp_path / "labels.csv", real_rows())
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.csv").write_text("name;truth\nx;mel\n")

    with pytest.raises(CommandError, match="nothing to judge"):
        evaluate(tmp_path / "out", tmp_path / "empty", labels)
    with pytest.raises(CommandError, match="image_id, dx"):
        evaluate(tmp_path / "out", REAL, tmp_path / "other.csv")
    with pytest.raises(CommandError, match="neither a folder nor a zip"):
        evaluate(tmp_path / "out", tmp_path / "other.csv", labels)
    with pytest.raises(CommandError, match=shipped.SHIPPED_BUNDLE):
        evaluate(tmp_path / "out", REAL, labels, "--model", "no-such-version")


def test_a_bundle_elsewhere_can_be_judged_by_its_folder_and_an_altered_one_is_refused(tmp_path: Path) -> None:
    labels = write_csv(tmp_path / "labels.csv", real_rows()[:2])
    folder = tmp_path / "challenger"
    shutil.copytree(BUNDLES / shipped.SHIPPED_BUNDLE, folder)

    report, _ = evaluate(tmp_path / "out", REAL, labels, "--model", str(folder))
    (folder / "model.tflite").write_bytes(b"another network")

    assert report["model"]["manifest_sha256"] == shipped.SHIPPED_MANIFEST_SHA256
    with pytest.raises(CommandError, match=r"model\.tflite"):
        evaluate(tmp_path / "out", REAL, labels, "--model", str(folder))


def test_images_of_lesions_that_it_was_trained_on_are_counted(whole: tuple[dict, str, Path]) -> None:
    assert whole[0]["known_to_the_training"] == {"training": 0, "validation": 27, "test": 0, "unknown": 0}


@pytest.mark.parametrize("marks", ["1.0,1.0", "0.0,0.0", "yes,no"])
def test_a_row_without_exactly_one_diagnosis_is_named(tmp_path: Path, marks: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(f"image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nA,{marks},0,0,0,0,0\nB,0,1,0,0,0,0,0\n")
    problems = Problems()

    records = read_labels(path, problems)

    assert [(record.image_id, record.diagnosis) for record in records] == [("B", "nv")]
    assert list(problems.no_known_diagnosis) == ["A"]


def test_a_missing_file_of_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsRefused, match=r"none\.csv"):
        read_labels(tmp_path / "none.csv", Problems())


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("A.jpg", (REAL / "ISIC_0024351.jpg").read_bytes())
    content = bytearray(path.read_bytes())
    content[60:400] = bytes(340)
    path.write_bytes(content)
    problems = Problems()

    pictures = find_pictures([path], ["A"], problems)

    with pytest.raises(ValueError, match="unpacked"):
        pictures["A"].read()


def random_answers(count: int) -> Answers:
    rng = np.random.default_rng(5)
    labels = rng.integers(len(CLASSES), size=count)
    scores = rng.normal(size=(count, len(CLASSES)))
    scores[np.arange(count), labels] += 1.5
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    groups = np.array([f"L{each}" for each in rng.integers(count // 2, size=count)])
    return Answers(labels, probabilities, groups, np.full(len(CLASSES), 1 / len(CLASSES)))


def test_weighted_figures_are_the_plain_figures_of_as_many_copies() -> None:
    answers = random_answers(300)
    weights = draw_weights(answers.groups, draws=1, seed=3)[0]
    copies = answers.at(np.repeat(np.arange(300), weights.astype(int)))
    malignant = metrics.is_malignant(copies.labels)

    figures = Figures(answers, 0.4, 0.7).at(weights)

    assert figures["accuracy"] == pytest.approx(metrics.accuracy(copies.labels, copies.predicted))
    assert figures["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy(copies.labels, copies.predicted))
    assert figures["malignant.auc"] == pytest.approx(metrics.malignant_auc(copies.labels, copies.probabilities))
    assert figures["malignant.sensitivity"] == pytest.approx(metrics.sensitivity(malignant, copies.risks >= 0.4))
    assert figures["malignant.specificity_urgent"] == pytest.approx(metrics.specificity(malignant, copies.risks >= 0.7))
    assert figures["ece_malignant"] == pytest.approx(expected_calibration_error(copies.risks, malignant))
    assert figures["per_class.bkl.precision"] == pytest.approx(
        metrics.sensitivity(copies.predicted == 2, copies.labels == 2)
    )


def test_ties_count_half_in_the_area() -> None:
    area = WeightedArea(np.array([True, True, False, False]), np.array([0.5, 0.9, 0.5, 0.1]))

    assert area(np.ones(4)) == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert np.isnan(area(np.array([0.0, 0.0, 1.0, 1.0])))


def test_figures_without_ground_are_nan_and_nest_by_their_dots() -> None:
    answers = random_answers(40)
    only_naevi = Answers(np.full(40, CLASSES.index("nv")), answers.probabilities, answers.groups, answers.priors)

    found = estimates(only_naevi, 0.4, 0.7, draws=5)

    assert np.isnan(found["malignant.auc"].value)
    assert np.isnan(found["malignant.sensitivity"].low)
    assert nested({"a.b": 1, "a.c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
