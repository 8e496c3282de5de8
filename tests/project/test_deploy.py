"""The files in deploy/: they parse, run what `make up` runs, and set only what the program reads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skincare.launch.up import programs

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
#: Read by libraries, and by compose.yaml, and not by our settings.
OF_LIBRARIES = {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR"}
OF_COMPOSE = {"POSTGRES_PASSWORD", "POSTGRES_APPLICATION_PASSWORD"}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / "skincare.yaml").read_text()))


def settings_read() -> set[str]:
    """Every name that the settings ask the environment for."""
    source = "".join(path.read_text() for path in (DEPLOY.parent / "skincare" / "settings").glob("*.py"))
    return set(re.findall(r'"([A-Z][A-Z0-9_]{3,})"', source)) | OF_LIBRARIES | OF_COMPOSE


def commands() -> Iterator[tuple[str, str, list[str]]]:
    """Where a command stands, the process that it is to run, and the command without its Python."""
    for name, service in compose().items():
        if service.get("image") == "skincare:local" and "command" in service and name != "prepare":
            yield "compose", name.removesuffix("-gpu"), service["command"]
    for document in kubernetes():
        if document["kind"] == "Deployment":
            [container] = document["spec"]["template"]["spec"]["containers"]
            if "args" in container:
                yield "kubernetes", document["metadata"]["name"].removesuffix("-gpu"), container["args"]
    for path in sorted((DEPLOY / "systemd" / "commands").iterdir()):
        yield "systemd", path.name, path.read_text().strip().removeprefix("COMMAND=").split(" ")
    yield "image", "web", re.findall(r'"([^"]+)"', re.findall(r"^CMD (.*)$", dockerfile(), re.MULTILINE)[0])


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text()


def essence(command: list[str]) -> set[str]:
    """What decides how a process works: not where it listens, how it is called, or how long it takes to stop."""
    varies = (
        "--bind",
        "--hostname",
        "--graceful-timeout",
        "--timeout",
        "--no-control-socket",
        "--log-level",
        "--pidfile",
    )
    return {part for part in command if not part.startswith(varies)}


def test_every_process_is_deployed_everywhere() -> None:
    wanted = set(programs(8000, 1))
    places: dict[str, set[str]] = {}
    for place, name, _ in commands():
        places.setdefault(place, set()).add(name)
    assert places == {
        "compose": wanted - {"web"},  # that and web's pod run the image's own command
        "kubernetes": wanted - {"web"},
        "systemd": wanted,
        "image": {"web"},
    }


@pytest.mark.parametrize(("place", "name", "command"), list(commands()))
def test_a_deployed_process_works_as_that_of_make_up_does(place: str, name: str, command: list[str]) -> None:
    here = programs(8000, 1)[name][2:]  # without python -m
    optional = {"--without-gossip", "--without-mingle"}
    assert essence(command) - optional == essence(here) - optional, f"{place}: {name}"


def environments() -> Iterator[tuple[str, set[str]]]:
    for name, service in compose().items():
        if service.get("image") == "skincare:local":
            yield f"compose {name}", set(service["environment"])
    for document in kubernetes():
        template = document["spec"].get("template")
        for container in template["spec"]["containers"] if template else ():
            yield f"kubernetes {document['metadata']['name']}", {entry["name"] for entry in container.get("env", ())}
    example = (DEPLOY / ".env.example").read_text()
    yield "example", set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize(("place", "names"), list(environments()))
def test_only_what_the_program_reads_is_set(place: str, names: set[str]) -> None:
    assert names <= settings_read(), place


def test_only_what_prepares_the_database_is_told_the_owner_of_the_tables() -> None:
    programs_of_compose = {name: service for name, service in compose().items() if "DATABASE_URL" in str(service)}
    prepare = programs_of_compose.pop("prepare")["environment"]
    [application] = {service["environment"]["DATABASE_URL"] for service in programs_of_compose.values()}
    assert set(programs_of_compose) >= set(programs(8000, 1))
    assert prepare["SKINCARE_APPLICATION_DATABASE_URL"] == application
    owner = compose()["postgres"]["environment"]["POSTGRES_USER"]
    assert prepare["DATABASE_URL"].startswith(f"postgresql://{owner}:")
    assert application.startswith("postgresql://skincare_app:")
    assert "POSTGRES_PASSWORD" not in str(programs_of_compose)

    pods = {document["metadata"]["name"]: str(document) for document in kubernetes() if "envFrom" in str(document)}
    assert [name for name, pod in pods.items() if "skincare-owner" in pod] == ["prepare-1"]
    assert set(pods) >= set(programs(8000, 1))

    units = {path.name: path.read_text() for path in (DEPLOY / "systemd").glob("*.service")}
    assert [name for name, unit in units.items() if "/etc/skincare/owner" in unit] == ["skincare-prepare.service"]
    assert "skincare@.service" in units


def test_the_role_is_granted_its_rights_after_each_migration() -> None:
    wanted = ["migrate", "grant_application_role", "register_shipped_model"]
    [job] = [document for document in kubernetes() if document["kind"] == "Job"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    unit = (DEPLOY / "systemd" / "skincare-prepare.service").read_text()
    for commands_of in (compose()["prepare"]["command"][-1], container["args"][-1], unit):
        assert re.findall(r"manage\.py (\w+)", commands_of) == wanted
    assert container["envFrom"][-1] == {"secretRef": {"name": "skincare-owner"}}


def test_the_clock_runs_once_and_is_never_doubled_by_an_update() -> None:
    [clock] = [document for document in kubernetes() if document["metadata"]["name"] == "clock"]
    assert (clock["spec"]["replicas"], clock["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_no_secret_is_written_down() -> None:
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    secret = {name: value for name, value in example.items() if re.search("KEY|TOKEN|PASSWORD", name)}
    assert len(secret) >= 6
    assert set(secret.values()) <= {"", "first:"}


def test_a_photograph_on_its_way_in_touches_no_disk() -> None:
    assert compose()["nginx"]["tmpfs"] == ["/var/cache/nginx"]
    assert all(
        "/tmp" in service["tmpfs"] for name, service in compose().items() if service.get("image") == "skincare:local"
    )
    received = re.findall(r"client_body_temp_path (\S+);", (DEPLOY / "nginx" / "skincare.conf").read_text())
    assert [str(Path(path).parent) for path in received] == ["/var/cache/nginx"]
    mount = (DEPLOY / "systemd" / "var-cache-nginx.mount").read_text()
    assert "\nType=tmpfs\n" in mount
    assert "\nWhere=/var/cache/nginx\n" in mount
    for unit in (DEPLOY / "systemd").glob("*.service"):
        assert "\nTemporaryFileSystem=/tmp:mode=1777 /var/tmp:mode=1777\n" in unit.read_text(), unit.name


def test_the_image_holds_every_package_that_the_settings_name() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", dockerfile(), re.MULTILINE))
    assert copied >= {"skincare", "diagnosis", "training", "templates", "static", "locale"}
