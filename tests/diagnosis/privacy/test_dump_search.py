"""Whoever takes the database and the files, but not the master key, finds nobody in them."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection

from diagnosis.classifier.photograph import receive
from diagnosis.models import AnatomicalSite, Case, CaseImage, ConsentEvent, EmergencyReason, EvidenceMethod, Patient
from diagnosis.models.sealed import place_of
from diagnosis.services import demo, emergency, reading
from diagnosis.services.consents import record_consent
from diagnosis.services.files import open_sealed
from diagnosis.services.patients import NewLesion, create_lesion
from diagnosis.services.reference_sets import read_folder
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.encryption import folded_name, unseal
from skincare.launch import postgres_client
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
PNG = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
#: Fewer bytes stand somewhere in a megabyte of ciphertext by chance.
SHORTEST = 6


def spellings(secret: bytes) -> Iterator[bytes]:
    """Bytes as they may stand in a dump: as they are, in hex, in base64 at each of its three alignments."""
    yield secret
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    for offset in range(3):
        # Without the first and the last characters, which also depend on what stands before and after.
        encoded = base64.b64encode(bytes(offset) + secret).rstrip(b"=")
        core = encoded[(0, 2, 3)[offset] : len(encoded) - 1]
        yield core
        yield core.hex().encode()  # base64 inside a bytea


def forms(secret: str | bytes) -> set[bytes]:
    """All that is searched for: of a text also its UTF-16."""
    plain = [secret] if isinstance(secret, bytes) else [secret.encode(c) for c in ("utf-8", "utf-16-le", "utf-16-be")]
    return {form for each in plain for form in spellings(each) if len(form) >= SHORTEST}


def dates(iso: str) -> list[str]:
    """A birth date as people and programs write it."""
    day = date.fromisoformat(iso)
    return [iso, f"{day:%Y%m%d}", f"{day:%d.%m.%Y}", f"{day:%d/%m/%Y}", f"{day:%d %B %Y}"]


@pytest.fixture
def demonstration(settings: Any, tmp_path: Path) -> dict[str, list[str | bytes]]:
    """The demo, read by the network, with lesions described and consents witnessed. Returns what must not be found."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    call_command("load_demo")
    clinician = User.objects.get(email=demo.CLINICIAN.email)
    visitor = factories.clinician()
    clinic = factories.organisation_of(clinician)
    emergency.set_policy(
        user=clinician, organisation=clinic, enabled=True, minutes=60, open_to=[factories.organisation_of(visitor)]
    )
    secrets: dict[str, list[str | bytes]] = {"JPEG": [JPEG], "PNG": [PNG]}
    for number, patient in enumerate(Patient.objects.all()):
        described, witness = f"beside the heart-shaped tattoo {number}", f"Witness Quillfeather-{number}"
        new = NewLesion(AnatomicalSite.HEAD_NECK, description=described)
        create_lesion(user=clinician, patient=patient, new=new)
        spoken = replace(factories.statement(), method=EvidenceMethod.SPOKEN, witness=witness, id=uuid4())
        record_consent(user=clinician, patient=patient, statement=spoken)
        on_screen = replace(
            factories.statement(), method=EvidenceMethod.SIGNATURE, signature=factories.signature(), id=uuid4()
        )
        signature = record_consent(user=clinician, patient=patient, statement=on_screen).signature
        why = f"Found on the pier beside a green suitcase {number}"
        emergency.open_access(
            user=visitor,
            wanted=emergency.Wanted(patient.organisation_id, record_number=patient.record_number),
            reason=EmergencyReason.ACUTE,
            explanation=why,
        )
        secrets[f"patient {number}"] = [
            why,
            patient.record_number,
            patient.name,
            *(word for word in patient.name.split() if len(word) > 4),
            folded_name(patient.name),
            *dates(patient.birth_date),
            described,
            witness,
            *(signature[at : at + 24] for at in range(40, len(signature) - 24, len(signature) // 4)),
        ]
    assert len(secrets) == 8
    while reading.read_waiting_cases():
        pass
    for case in Case.objects.with_everything():
        secrets["notes"] = [case.note]
        image = case.images.get()
        for name in (image.photograph_file, image.view_file):
            plain = open_sealed(case.patient, name)
            # Slices from the middle, should somebody store a file without its beginning.
            secrets[f"{case.pk} {name}"] = [plain[at : at + 24] for at in range(200, len(plain) - 24, len(plain) // 8)]
        if case.analysis.sealed_map:
            for column in ("map", "embedding"):
                sealed = getattr(case.analysis, f"sealed_{column}")
                plain = unseal(case.analysis.data_key(), sealed, place=place_of(case.analysis, column))
                secrets[f"{case.pk} {column}"] = [plain[400:424]]
    assert sum("embedding" in what for what in secrets) >= 3, "the network should have read the demo"
    return secrets


def stolen(tmp_path: Path) -> list[tuple[str, bytes]]:
    """The database's dump and every stored file, each with its name."""
    dump = tmp_path / "dump.sql"
    postgres_client.run("pg_dump", [f"--file={dump}"], connection.get_connection_params(), server=18)
    files = [path for path in Path(django_settings.MEDIA_ROOT).rglob("*") if path.is_file()]
    # The public reference set is of no patient here, so it lies there as anybody may download it. By its bytes and not
    # by its place is it told apart: what else lies beside it is searched.
    public = public_photographs()
    contents = [(path.name, path.read_bytes()) for path in files]
    secret = [(name, content) for name, content in contents if content not in public]
    assert len(secret) >= 12
    assert len(contents) - len(secret) == len(public)
    assert b"COPY public.diagnosis_patient" in dump.read_bytes()
    return [("dump", dump.read_bytes()), *secret]


@cache
def public_photographs() -> frozenset[bytes]:
    """The photographs of the demo's reference set, as the platform keeps each photograph that it takes in."""
    _, images = read_folder(demo.PHOTOGRAPHS / "references")
    own = {path.read_bytes() for path in demo.PHOTOGRAPHS.glob("*.jpg")}
    assert own.isdisjoint(image.photograph for image in images), "a patient's photograph must not count as public"
    return frozenset(receive(image.photograph).jpeg for image in images)


def found(secrets: dict[str, list[str | bytes]], tmp_path: Path) -> set[str]:
    """Whose data stand readable in what was stolen."""
    loot = stolen(tmp_path)
    seen = {what for what, each in secrets.items() for secret in each for form in forms(secret) if form in _all(loot)}
    return seen | {"JPEG" for _, content in loot if content.startswith(JPEG_START)}


def _all(loot: list[tuple[str, bytes]]) -> bytes:
    return b"\x00\x00".join(content for _, content in loot)


def test_neither_dump_nor_files_show_anything_of_any_patient(
    demonstration: dict[str, list[str | bytes]], tmp_path: Path
) -> None:
    assert found(demonstration, tmp_path) == set()


def _in_audit(text: str) -> None:
    AuditEvent.objects.create(action="test", object_type="test", object_id="1", details={"text": text})


def _in_a_bytea(content: bytes) -> None:
    event = ConsentEvent.objects.first()
    assert event is not None
    Patient.objects.filter(pk=event.patient_id).update(sealed_name=content)


def _in_a_file(content: bytes) -> None:
    (Path(django_settings.MEDIA_ROOT) / "planted").write_bytes(content)


def _photograph_unsealed() -> None:
    image = CaseImage.objects.select_related("case__patient").first()
    assert image is not None
    _in_a_file(open_sealed(image.case.patient, image.photograph_file)[500:])


def test_the_search_finds_whatever_is_planted(demonstration: dict[str, list[str | bytes]], tmp_path: Path) -> None:
    name = "Ruth Almeida"
    (owner,) = [what for what, secrets in demonstration.items() if name in secrets]
    plants: dict[str, Callable[[], None]] = {
        "a name in JSON": lambda: _in_audit(f"asked by {name}"),
        "a name in a bytea": lambda: _in_a_bytea(b"xx" + name.encode()),
        "base64 in a bytea": lambda: _in_a_bytea(base64.b64encode(b"x" + name.encode() + b"yy")),
        "UTF-16 in a file": lambda: _in_a_file(name.encode("utf-16-le")),
        "hex in a file": lambda: _in_a_file(name.encode().hex().encode()),
        "base64 in a file": lambda: _in_a_file(base64.b64encode(b"xy" + name.encode() + b"z")),
    }
    for how, plant in plants.items():
        with _planted(plant):
            assert owner in found({owner: demonstration[owner]}, tmp_path), how
    with _planted(lambda: _in_a_file(JPEG_START + bytes(20))):
        assert found({}, tmp_path) == {"JPEG"}
    with _planted(lambda: _in_a_bytea(PNG)):
        assert found({"PNG": [PNG]}, tmp_path) == {"PNG"}
    with _planted(_photograph_unsealed):
        assert len(found(demonstration, tmp_path)) == 1


class _planted:
    """Plants for the length of a block."""

    def __init__(self, plant: Callable[[], None]) -> None:
        self.plant = plant

    def __enter__(self) -> None:
        self.names = dict(Patient.objects.values_list("pk", "sealed_name"))
        self.plant()

    def __exit__(self, *_: object) -> None:
        for pk, sealed_name in self.names.items():
            Patient.objects.filter(pk=pk).update(sealed_name=sealed_name)
        (Path(django_settings.MEDIA_ROOT) / "planted").unlink(missing_ok=True)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE audit_auditevent CASCADE")
