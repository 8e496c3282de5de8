"""One case from the first byte of its photograph to the answer that the clinician reads, stage by stage.

    python -m bench.case [--short]

A request goes through the whole of Django in this process, then the worker's own function reads what waits, then the
case is asked for as a client polls. A stage's time is without that of the stages within it, so that they add up.
"""

import argparse
import io
import json
import logging
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from bench import api, page, stages
from bench.stage_clock import StageClock

PHOTOGRAPHS: Final = Path(__file__).resolve().parent.parent / "diagnosis" / "demo"


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few rounds")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        # Before Django is imported: its settings ask the environment where the servers are.
        os.environ["SKINCARE_VAR"] = folder
        os.environ["SKINCARE_RATE_SUBMISSIONS"] = os.environ["SKINCARE_RATE_READS"] = "1000000/min"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
        import django

        from skincare.launch.servers import Servers

        django.setup()
        with Servers.wanted(Path(folder)).borrowed():
            log_into_nothing()
            rounds = 9 if options.short else 41
            print(report(rounds, page.conditions(before, f"medians of {rounds} rounds, one case each")))


def report(rounds: int, conditions: str) -> str:
    """Measure both sizes in turns."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("load_demo", verbosity=0, stdout=io.StringIO())
    path = sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0]
    uploads = {"600x450": path.read_bytes(), "12 megapixels": stages.camera_photograph(path)}
    walk = Walk()
    walk.case(uploads["600x450"])
    walk.case(uploads["12 megapixels"])
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in uploads}
    counts: dict[str, list[int]] = {}
    for _ in range(rounds):
        for name, upload in uploads.items():
            said, counts[name] = walk.case(upload)
            taken[name].append(said)
    names = list(dict.fromkeys(stage for each in taken.values() for said in each for stage in said))
    rows = []
    for stage in names:
        row = [stage]
        for each in taken.values():
            times = [said.get(stage, 0.0) for said in each]
            low, middle, high = statistics.quantiles(times, n=4)
            whole = statistics.median(sum(said.values()) for said in each)
            row += [f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{100 * middle / whole:.0f} %"]
        rows.append(row)
    wholes = [statistics.median(sum(said.values()) for said in each) for each in taken.values()]
    rows.append(["**together**", *(part for whole in wholes for part in (f"**{whole:.1f}**", ""))])
    table = page.table(["ms", *(part for name in uploads for part in (name, "share"))], rows)
    posted, read, asked = counts["600x450"]
    statements = (
        f"Statements to the database: {posted} to submit, {read} to read and answer, {asked} to fetch the answer."
    )
    return f"{conditions}\n\n{table}\n\n{statements}"


def log_into_nothing() -> None:
    """Let log lines be made, as in service, and written where nobody reads them."""
    nowhere = open(os.devnull, "w")  # noqa: SIM115 (lives as long as the process)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(nowhere)


class Walk:
    """A clinician with a token, and a worker in the same process."""

    def __init__(self) -> None:
        from django.db import connection
        from django.test import Client

        from diagnosis.services import demo, reading

        self.clock = StageClock()
        self.connection = connection
        self.reading = reading
        login = {
            "email": demo.CLINICIAN.email,
            "password": (Path(os.environ["SKINCARE_VAR"]) / "secrets" / "demo-password").read_text().strip(),
        }
        token = (
            Client(headers={"Host": "127.0.0.1"}).post("/api/v1/auth/token/", login, "application/json").json()["token"]
        )
        self.client = Client(headers={"Authorization": f"Token {token}", "Host": "127.0.0.1"})
        reading.read_waiting_cases()  # what the demonstration left, and the network

    def case(self, upload: bytes) -> tuple[dict[str, float], list[int]]:
        """One case: milliseconds by stage, and the statements to submit, to read and to fetch it."""
        clock = self.clock
        body, content_type = api.submission(upload)
        key = str(uuid4())
        counts = []
        with clock.watching(watched(self.connection)), self.connection.execute_wrapper(clock.statement):
            clock.statements = 0
            with clock.stage("web: Django, REST framework, the answer's JSON"):
                answer = self.client.post(
                    "/api/v1/cases/", body, content_type=content_type, headers={"Idempotency-Key": key}
                )
            if answer.status_code != 201:
                raise RuntimeError(f"{answer.status_code}: {answer.content[:500]!r}")
            submitted = clock.read()
            counts.append(clock.statements)
            clock.statements = 0
            with clock.stage("worker: the rest"):
                self.reading.read_waiting_cases()
            worker = clock.read()
            counts.append(clock.statements)
            clock.statements = 0
            with clock.stage("the clinician fetches the answer"):
                answer = self.client.get(f"/api/v1/cases/{key}/")
            fetched = sum(clock.read().values())
            counts.append(clock.statements)
        if json.loads(answer.content)["state"] not in ("answered", "abstained"):
            raise RuntimeError(answer.content[:500])
        stages_of = {(name if ":" in name else f"web: {name}"): taken for name, taken in submitted.items()}
        stages_of |= {(name if ":" in name else f"worker: {name}"): taken for name, taken in worker.items()}
        return stages_of | {"the clinician fetches the answer": fetched}, counts


def watched(connection: Any) -> list[tuple[Any, str, str]]:
    """The stages: in which module which function is looked up, and what to call it."""
    from diagnosis.api import cases
    from diagnosis.classifier import container, photograph, quality, view
    from diagnosis.classifier.network import Network
    from diagnosis.services import bell, files, photographs, reading

    return [
        (cases, "read_submission", "receive: form, JSON, fields"),
        (container, "inspect", "check the container"),
        (photograph, "_decode", "decode"),
        (photograph, "_upright", "turn upright, colours to sRGB"),
        (photograph, "_to_srgb", "turn upright, colours to sRGB"),
        (view, "make_view", "shrink to the network's view"),
        (photograph, "_encode", "encode again without metadata"),
        (quality, "assess", "judge quality"),
        (photographs, "receive", "hash"),
        (files, "seal", "encrypt photograph and view"),
        (files.default_storage, "save", "store two files"),
        (cases, "submit_case", "rules and rows"),
        (connection, "_commit", "commit"),
        (bell, "ring", "ring"),
        (reading, "claim", "claim"),
        (reading, "open_case", "fetch and decrypt the view"),
        (Network, "read", "forward, with stretch, temperature, novelty"),
        (reading, "fill_in", "conclude, encrypt map and embedding"),
        (reading, "answer", "write the answer"),
        (reading, "count_finished", "count"),
    ]


if __name__ == "__main__":
    main()
