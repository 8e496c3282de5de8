"""Imports: what fits together becomes a dataset, once; what does not is refused by name."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from diagnosis.services.model_versions import register_shipped
from skincare.audit.models import AuditEvent
from training.datasets import importing, near_duplicates
from training.datasets.frozen import frozen_test_lesions
from training.datasets.importing import import_collection
from training.datasets.manifest import VIEWS, Manifest, ManifestUnusable, find, joined, resized_views, stored
from training.datasets.published import read_folder, read_ham10000, read_isic2018
from training.datasets.splits import fold_of, split_by_image
from training.models import Dataset

REAL = Path(__file__).parent.parent / "data" / "ham10000"
COLUMNS = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]


def rows() -> list[dict[str, str]]:
    with (REAL / "labels.csv").open(newline="") as lines:
        return [
            {column: row[column] for column in COLUMNS}
            for row in csv.DictReader(lines)
            if row["file"] == f"{row['image_id']}.jpg"
        ]


def write_metadata(folder: Path, listed: list[dict[str, str]]) -> None:
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(listed)


def jpeg_of(view: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(view).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """HAM10000 as it is published, of a few images: one zip, one folder, and masks for all but one."""
    folder = tmp_path / "official"
    second = folder / "HAM10000_images_part_2"
    second.mkdir(parents=True)
    listed = rows()
    write_metadata(folder, listed)
    with zipfile.ZipFile(folder / "HAM10000_images_part_1.zip", "w") as archive:
        for row in listed[:14]:
            archive.write(REAL / f"{row['image_id']}.jpg", f"{row['image_id']}.jpg")
    for row in listed[14:]:
        (second / f"{row['image_id']}.jpg").write_bytes((REAL / f"{row['image_id']}.jpg").read_bytes())
    with zipfile.ZipFile(folder / "HAM10000_segmentations_lesion_tschandl.zip", "w") as archive:
        for row in listed[1:]:
            archive.writestr(f"{row['image_id']}_segmentation.png", b"")
    return folder


@pytest.mark.django_db
def test_the_official_layout_becomes_a_dataset_and_a_repeated_import_finds_it(
    official: Path, settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"

    call_command("import_ham10000", str(official))
    call_command("import_ham10000", str(official))

    dataset = Dataset.objects.get()
    manifest = Manifest.load(settings.DATASETS_ROOT / dataset.folder)
    assert dataset.fingerprint == manifest.identity
    assert dataset.images == len(rows())
    assert dataset.counts["validation"]["mel"] == [row["dx"] for row in rows()].count("mel")
    assert dataset.licence == "CC BY-NC 4.0"
    said = capsys.readouterr().out
    assert f"{len(rows())} images of {len(rows())} lesions" in said
    assert f"lesion masks for {len(rows()) - 1} of {len(rows())} images; none for {manifest_first(official)}" in said
    views = manifest.views(settings.DATASETS_ROOT / dataset.folder)
    for entry, view in zip(manifest.entries, views, strict=True):
        with Image.open(REAL / f"{entry.record.image_id}.jpg") as image:
            np.testing.assert_array_equal(view, np.asarray(image.convert("RGB")))


@pytest.mark.django_db
def test_a_dataset_that_is_imported_as_it_was_before_is_the_current_one_again(
    official: Path, settings, tmp_path: Path
) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    listed = rows()
    call_command("import_ham10000", str(official))
    earlier = Dataset.objects.get()
    write_metadata(official, [{**listed[0], "lesion_id": "HAM_another"}, *listed[1:]])
    call_command("import_ham10000", str(official))
    other = Dataset.objects.current().get()
    assert other != earlier

    write_metadata(official, listed)
    for _ in range(2):
        call_command("import_ham10000", str(official))

    assert Dataset.objects.current().get() == earlier
    other.refresh_from_db()
    assert other.replaced_by == earlier
    assert AuditEvent.objects.get(action="dataset.returned").object_id == str(earlier.pk)


@pytest.mark.django_db
def test_lineage_knows_what_the_shipped_version_learnt_at_whatever_size_it_was_imported(
    official: Path, settings, tmp_path: Path
) -> None:
    """These are other pixels than those of the shipped version's fingerprint; ids, groups and splits are HAM10000's."""
    settings.DATASETS_ROOT = tmp_path / "datasets"
    register_shipped()
    call_command("import_ham10000", str(official))

    call_command("lineage", manifest_first(official), stdout=(said := io.StringIO()))

    assert said.getvalue().startswith(f"validation {SHIPPED_BUNDLE}")


def manifest_first(official: Path) -> str:
    with (official / "HAM10000_metadata.csv").open(newline="") as lines:
        return next(csv.DictReader(lines))["image_id"]


def lose_an_image(folder: Path) -> str:
    path = sorted((folder / "HAM10000_images_part_2").iterdir())[0]
    path.unlink()
    return f"labelled, but there is no such image (1): {path.stem}"


def break_an_image(folder: Path) -> str:
    path = sorted((folder / "HAM10000_images_part_2").iterdir())[0]
    path.write_bytes(path.read_bytes()[:2000])
    return f"not a usable picture (1): {path.stem}"


def shrink_an_image(folder: Path) -> str:
    path = sorted((folder / "HAM10000_images_part_2").iterdir())[0]
    path.write_bytes(jpeg_of(np.full((100, 300, 3), 90, dtype=np.uint8)))
    return f"not a usable picture (1): {path.stem} (300x100 pixels, 224x224 are needed)"


def add_an_image(folder: Path) -> str:
    source = sorted((folder / "HAM10000_images_part_2").iterdir())[0]
    (folder / "HAM10000_images_part_2" / "ISIC_9999999.jpg").write_bytes(source.read_bytes())
    return "there is an image, but no label (1): ISIC_9999999"


def label_again(folder: Path) -> str:
    listed = rows()
    write_metadata(folder, [*listed, listed[3]])
    return f"labelled twice (1): {listed[3]['image_id']}"


def label_otherwise(folder: Path) -> str:
    listed = rows()
    other = next(row["dx"] for row in listed if row["dx"] != listed[3]["dx"])
    write_metadata(folder, [*listed, {**listed[3], "dx": other}])
    return f"labelled twice, and differently (1): {listed[3]['image_id']}"


def copy_under_another_diagnosis(folder: Path) -> str:
    listed = rows()
    other = next(row for row in listed[14:] if row["dx"] != listed[14]["dx"])
    images = folder / "HAM10000_images_part_2"
    (images / f"{other['image_id']}.jpg").write_bytes((images / f"{listed[14]['image_id']}.jpg").read_bytes())
    return "labelled twice, and differently (2)"


@pytest.mark.parametrize(
    "harm",
    [
        lose_an_image,
        break_an_image,
        shrink_an_image,
        add_an_image,
        label_again,
        label_otherwise,
        copy_under_another_diagnosis,
    ],
)
@pytest.mark.django_db
def test_what_does_not_fit_is_refused_by_name_and_can_be_left_out(
    official: Path, settings, tmp_path: Path, harm: Callable[[Path], str]
) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    problem = harm(official)

    with pytest.raises(CommandError) as refused:
        call_command("import_ham10000", str(official))

    assert problem in str(refused.value)
    assert "--leave-out" in str(refused.value)
    assert not Dataset.objects.exists()
    call_command("import_ham10000", str(official), "--leave-out")
    assert Dataset.objects.get().images >= len(rows()) - 2


@pytest.mark.parametrize("gone", ["HAM10000_metadata.csv", "HAM10000_images_part_1.zip"])
@pytest.mark.django_db
def test_a_missing_file_is_refused(official: Path, settings, tmp_path: Path, gone: str) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    (official / gone).unlink()

    with pytest.raises(CommandError, match="is missing" if gone.endswith("csv") else r"no such image \(14\)"):
        call_command("import_ham10000", str(official))


def test_an_import_that_was_killed_goes_on_where_it_was(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_CHUNK", 10)
    decoded = importing.decoded
    count = 0

    def counting(content: bytes) -> np.ndarray:
        nonlocal count
        count += 1
        if count == 15:
            raise KeyboardInterrupt
        return decoded(content)

    monkeypatch.setattr(importing, "decoded", counting)
    with pytest.raises(KeyboardInterrupt):
        import_collection(read_ham10000(official), tmp_path / "datasets")

    folder = import_collection(read_ham10000(official), tmp_path / "datasets")

    assert count == 15 + len(rows()) - 10
    manifest = Manifest.load(folder)
    views = np.array(manifest.views(folder))
    again = import_collection(read_ham10000(official), tmp_path / "elsewhere")
    np.testing.assert_array_equal(views, manifest.views(again))


def test_a_frozen_lesion_stays_in_the_test_and_in_no_fold_of_training(official: Path, tmp_path: Path) -> None:
    listed = rows()
    frozen = min(frozen_test_lesions())
    write_metadata(official, [{**listed[0], "lesion_id": frozen}, *listed[1:]])

    manifest = Manifest.load(import_collection(read_ham10000(official), tmp_path))

    where = {entry.record.image_id: entry.splits["lesion"] for entry in manifest.entries}
    assert where.pop(listed[0]["image_id"]) == "test"
    assert set(where.values()) == {"validation"}


def test_black_and_uniform_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    for number, colour in enumerate([(2, 2, 2), (180, 120, 90)]):
        (tmp_path / "in" / "nv").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "nv" / f"flat{number}.png").write_bytes(png_of(colour))
    (tmp_path / "in" / "mel").mkdir()
    (tmp_path / "in" / "mel" / "real.jpg").write_bytes(next(REAL.glob("*.jpg")).read_bytes())
    collection = read_folder(tmp_path / "in", name="mine", licence="own", attribution="", report_only=False)

    manifest = Manifest.load(import_collection(collection, tmp_path / "datasets"))

    assert [entry.record.image_id for entry in manifest.entries] == ["real"]
    assert "almost black" in manifest.findings.left_out["flat0"]
    assert "almost uniform" in manifest.findings.left_out["flat1"]


def png_of(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 240), colour).save(out, "PNG")
    return out.getvalue()


def test_near_duplicates_and_copies_join_one_group_and_are_laid_out_for_the_eye(tmp_path: Path) -> None:
    images = sorted(path for path in REAL.glob("*.jpg") if "_600x450" not in path.name)[:8]
    folder = tmp_path / "in" / "nv"
    folder.mkdir(parents=True)
    for path in images:
        (folder / path.name).write_bytes(path.read_bytes())
    with Image.open(images[0]) as image:
        image.rotate(90).resize((600, 600)).save(folder / "turned.png")
    (folder / "copy.jpg").write_bytes(images[1].read_bytes())
    collection = read_folder(tmp_path / "in", name="mine", licence="own", attribution="", report_only=False)

    stored_in = import_collection(collection, tmp_path / "datasets")

    manifest = Manifest.load(stored_in)
    group = {entry.record.image_id: entry.group for entry in manifest.entries}
    assert group["turned"] == group[images[0].stem]
    assert group["copy"] == group[images[1].stem]
    assert manifest.lesions == 8
    assert list(manifest.findings.identical) == [(images[1].stem, "copy")]
    assert (images[0].stem, "turned") in manifest.findings.near_duplicates
    with Image.open(stored_in / importing.CONTACT_SHEET) as sheet:
        assert sheet.width > 800
    assert near_duplicates.SAME_LESION_CORRELATION > 0.5


def test_a_folder_of_an_unknown_class_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "in" / "wart").mkdir(parents=True)

    with pytest.raises(importing.ImportRefused, match="wart; one folder for each class is needed"):
        read_folder(tmp_path / "in", name="mine", licence="own", attribution="", report_only=False)


def test_one_hot_truth_is_read_with_its_lesions_and_only_for_reports_where_so_said(tmp_path: Path) -> None:
    listed = rows()[:4]
    (tmp_path / "ISIC2018_Task3_Training_Input").mkdir()
    codes = ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
    with (tmp_path / "ISIC2018_Task3_Training_GroundTruth.csv").open("w", newline="") as lines:
        lines.write("image," + ",".join(code.upper() for code in codes) + "\n")
        for row in listed:
            lines.write(row["image_id"] + "," + ",".join(f"{float(row['dx'] == code)}" for code in codes) + "\n")
    for row in listed:
        name = f"{row['image_id']}.jpg"
        (tmp_path / "ISIC2018_Task3_Training_Input" / name).write_bytes((REAL / name).read_bytes())
    (tmp_path / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text(
        "image,lesion_id,diagnosis_confirm_type\n" + "".join(f"{row['image_id']},ONE,histo\n" for row in listed[:2])
    )

    manifest = Manifest.load(import_collection(read_isic2018(tmp_path, report_only=True), tmp_path / "datasets"))

    assert {entry.record.image_id: entry.record.diagnosis for entry in manifest.entries} == {
        row["image_id"]: row["dx"] for row in listed
    }
    assert manifest.lesions == 3
    assert {entry.splits["lesion"] for entry in manifest.entries} == {"test"}


def test_a_manifest_that_was_changed_is_refused(official: Path, tmp_path: Path) -> None:
    folder = import_collection(read_ham10000(official), tmp_path / "datasets")
    content = json.loads((folder / "manifest.json").read_text())
    content["images"][0]["diagnosis"] = "nv" if content["images"][0]["diagnosis"] != "nv" else "mel"
    (folder / "manifest.json").write_text(json.dumps(content))

    with pytest.raises(ManifestUnusable, match="was changed after it was made"):
        Manifest.load(folder)


def test_a_dataset_is_found_by_name_fingerprint_and_folder(official: Path, tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    folder = import_collection(read_ham10000(official), root)
    identity = Manifest.load(folder).identity

    assert list(stored(root)) == [folder]
    assert {find(wanted, root) for wanted in ("ham10000", identity[:8], str(folder), folder.name)} == {folder}
    with pytest.raises(ManifestUnusable, match="no dataset 'HAM'; there is HAM10000"):
        find("HAM", root)
    with pytest.raises(ManifestUnusable, match=r"manage\.py import_ham10000"):
        find("HAM10000", tmp_path / "empty")


def test_two_datasets_join_to_one_with_the_views_of_both(official: Path, tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    one = import_collection(read_ham10000(official), root)
    (tmp_path / "in" / "mel").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, size=(240, 240, 3), dtype=np.uint8)
    (tmp_path / "in" / "mel" / "A.jpg").write_bytes(jpeg_of(noise))
    other = import_collection(
        read_folder(tmp_path / "in", name="mine", licence="own", attribution="us", report_only=False), root
    )

    both = joined([one, other], root)

    manifest = Manifest.load(both)
    assert manifest.licence == "CC BY-NC 4.0; own"
    assert len(manifest.entries) == len(rows()) + 1
    np.testing.assert_array_equal(manifest.views(both)[0], Manifest.load(other).views(other)[0])
    np.testing.assert_array_equal(manifest.views(both)[1:], Manifest.load(one).views(one))


def test_other_sizes_are_made_once_and_kept_beside_the_views(official: Path, tmp_path: Path) -> None:
    folder = import_collection(read_ham10000(official), tmp_path)
    views = Manifest.load(folder).views(folder)
    told: list[tuple[int, int]] = []

    small = resized_views(folder, views, 64, lambda done, of: told.append((done, of)))
    again = resized_views(folder, views, 64, lambda done, of: told.append((done, of)))

    assert told == [(len(rows()), len(rows()))]
    np.testing.assert_array_equal(small, again)
    expected = Image.fromarray(views[5]).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small[5], np.asarray(expected))
    assert (folder / VIEWS).is_file()


def test_the_split_by_image_has_the_papers_sizes() -> None:
    splits = split_by_image(f"ISIC_{number}" for number in range(10_015))

    counts = [list(splits.values()).count(split) for split in ("training", "validation", "test")]
    assert counts == [7010, 1502, 1503]


def test_folds_are_about_as_large_as_one_another() -> None:
    drawn = [fold_of(f"HAM_{number:07d}", 5) for number in range(10_000)]

    assert {fold: round(drawn.count(fold) / 10_000, 1) for fold in range(5)} == dict.fromkeys(range(5), 0.2)
