"""On the machine that judges, a test that could not run counts as failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.slow

BY_CALL = "import pytest\ndef test_page():\n    pytest.skip('no browser here')\n"
BY_MARK = "import pytest\n@pytest.mark.skip(reason='no browser here')\ndef test_page():\n    pass\n"
WHOLE_FILE = "import pytest\npytest.importorskip('a_browser_that_nobody_has', reason='no browser here')\n"


def run(path: Path, **told: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "SKINCARE_", "DJANGO_")) and name != "CI"
    }
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            "pyproject.toml",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            path,
        ],
        cwd=settings.BASE_DIR,
        env={**environment, **told},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("source", [BY_CALL, BY_MARK, WHOLE_FILE], ids=["by call", "by mark", "whole file"])
def test_a_skip_fails_where_everything_is_installed_and_says_what_was_missing(tmp_path: Path, source: str) -> None:
    path = tmp_path / "test_browser.py"
    path.write_text(source)

    judged = run(path, CI="true")

    assert judged.returncode != 0
    assert "nothing may be skipped here" in judged.stdout
    assert "no browser here" in judged.stdout


def test_a_skip_passes_on_a_persons_own_machine(tmp_path: Path) -> None:
    path = tmp_path / "test_browser.py"
    path.write_text(BY_CALL)

    assert run(path).returncode == 0
