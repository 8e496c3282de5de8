"""The commands of docs/api.md work as they stand, pasted into a shell, and lead to an answer."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from PIL import Image
from pytest_django.live_server_helper import LiveServer

from diagnosis.services import demo
from diagnosis.services.model_versions import register_shipped
from diagnosis.services.reading import read_waiting_cases

GUIDE = Path(settings.BASE_DIR) / "docs" / "api.md"


@pytest.mark.django_db(transaction=True)
def test_the_guide_leads_from_a_log_in_to_an_answer(live_server: LiveServer, tmp_path: Path) -> None:
    demo.ensure_people("printed by make up")
    demo.ensure_policy()
    register_shipped()
    log_in, submit, *rest = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    log_in = log_in.replace("http://127.0.0.1:8000", live_server.url).replace("'…'", "'printed by make up'")
    (tmp_path / "tests").symlink_to(Path(settings.BASE_DIR) / "tests")

    def paste(*commands: str) -> str:
        script = "\n".join(["set -eu", *commands])
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    keep = 'echo "TOKEN=$TOKEN; KEY=$KEY; HOST=$HOST" > kept'
    created = json.loads(paste(log_in, submit, keep))
    assert created["state"] == "waiting"
    assert read_waiting_cases() == 1
    printed = paste("source ./kept", *rest)

    assert printed.startswith("answered - ")
    assert "\n304\n" in printed
    answer = json.loads((tmp_path / "case-now.json").read_text())
    assert answer["id"] == created["id"]
    assert sum(answer["analysis"]["probabilities"].values()) == pytest.approx(1)
    for name, format in (("photograph.jpg", "JPEG"), ("map.png", "PNG")):
        with Image.open(tmp_path / name) as opened:
            assert opened.format == format
    assert f'"id": "{created["id"]}"' in printed
