"""`manage.py analyse` answers from the command line, for people and for programs, and names what it cannot read."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.classifier import shipped
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from tests.diagnosis.classifier.images import jpeg
from tests.diagnosis.classifier.networks import readable_samples

KEYS = {"image", "probabilities", "malignancy_risk", "recommendation", "abstained", "reason", "model_version"}
LEVELS = {"clinical_judgement", "human_review", "refer", "refer_urgently"}


def analyse(*arguments: object) -> str:
    out = io.StringIO()
    call_command("analyse", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_every_image_has_its_entry_in_the_json_list() -> None:
    answers = json.loads(analyse("--json", *readable_samples()[:3]))

    assert [answer["image"] for answer in answers] == [str(path) for path in readable_samples()[:3]]
    for answer in answers:
        assert answer.keys() >= KEYS
        assert set(answer["probabilities"]) == set(CLASSES)
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["malignancy_risk"] == pytest.approx(sum(answer["probabilities"][name] for name in MALIGNANT))
        assert answer["recommendation"] in LEVELS
        assert answer["abstained"] is False
        assert answer["reason"] is None
        assert answer["model_version"] == shipped.SHIPPED_BUNDLE


def test_an_overview_gets_no_result_but_a_reason() -> None:
    (answer,) = json.loads(analyse("--json", "--kind", "overview", readable_samples()[0]))

    assert answer["abstained"] is True
    assert answer["reason"] == "overview_only"
    assert answer["probabilities"] is None
    assert answer["malignancy_risk"] is None
    assert answer["recommendation"] == "human_review"


def test_a_blurred_photograph_gets_no_result_but_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "blurred.jpg"
    Image.new("RGB", (700, 500), (200, 150, 130)).save(path)

    (answer,) = json.loads(analyse("--json", path))

    assert (answer["abstained"], answer["reason"]) == (True, "poor_image")
    assert "blurred" in answer["quality"]["problems"]


def test_a_plain_photograph_is_answered_with_its_limits() -> None:
    (answer,) = json.loads(analyse("--json", "--kind", "close_up", readable_samples()[0]))

    assert "not_validated_on_plain_photographs" in answer["notices"]
    assert answer["recommendation"] != "clinical_judgement"


def test_for_people_it_names_the_classes_and_its_limits() -> None:
    text = analyse(readable_samples()[0])

    assert readable_samples()[0].name in text
    assert "Melanoma" in text
    assert "Malignancy risk" in text
    assert "not a diagnosis" in text


def test_what_cannot_be_read_is_named_and_the_others_are_answered(tmp_path: Path) -> None:
    broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
    broken.write_bytes(jpeg()[:5000])
    out, err = io.StringIO(), io.StringIO()

    with pytest.raises(CommandError, match="3 of 4 files were not read"):
        call_command(
            "analyse",
            "--json",
            str(broken),
            str(missing),
            str(tmp_path),
            str(readable_samples()[0]),
            stdout=out,
            stderr=err,
        )

    answers = json.loads(out.getvalue())
    assert [answer["abstained"] for answer in answers] == [None, None, None, False]
    assert [answer["error"] is None for answer in answers] == [False, False, False, True]
    assert f"{broken}: the JPEG file is damaged" in err.getvalue()
    assert f"{missing}: No such file" in err.getvalue()
    assert f"{tmp_path}: Is a directory" in err.getvalue()


def test_a_file_far_too_long_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    with path.open("wb") as file:
        file.truncate(10**12)

    (answer,) = json.loads(_out_of_failure("--json", path))

    assert "1000000 MB; at most 26 MB" in answer["error"]


def _out_of_failure(*arguments: object) -> str:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("analyse", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_map_is_drawn_in_the_photograph_s_proportions(tmp_path: Path) -> None:
    target = tmp_path / "map.png"
    wide = next(path for path in readable_samples() if "600x450" in path.name)

    analyse(wide, "--map", target)

    assert Image.open(target).size == (896, 672)


def test_a_map_goes_with_one_image_only(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--map goes with one image, and 2 were given"):
        analyse(*readable_samples()[:2], "--map", tmp_path / "map.png")


def test_a_map_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere/map\.png: cannot be written"):
        analyse(readable_samples()[0], "--map", tmp_path / "nowhere" / "map.png")


def test_no_map_is_drawn_where_the_network_abstained(tmp_path: Path) -> None:
    analyse(readable_samples()[0], "--kind", "overview", "--map", tmp_path / "map.png")

    assert not (tmp_path / "map.png").exists()


def test_it_runs_where_there_is_no_server_and_tells_failure_by_its_exit_status(tmp_path: Path) -> None:
    nowhere = {
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SKINCARE_VAR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "skincare.settings.local",
    }
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "analyse", "--json"]

    done = subprocess.run(
        [*command, str(readable_samples()[0])], env=os.environ | nowhere, cwd=tmp_path, capture_output=True, text=True
    )
    failed = subprocess.run(
        [*command, "absent.jpg"], env=os.environ | nowhere, cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["abstained"] is False
    assert failed.returncode == 1
    assert "absent.jpg: No such file" in failed.stderr
