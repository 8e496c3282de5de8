"""A bundle is trusted only whole and unaltered: every way to tamper with one is refused, naming the file."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from diagnosis.classifier import shipped, signature
from diagnosis.classifier.bundle import BUNDLES, Bundle, BundleRefused
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import PREPROCESSING

FILES = {"model.tflite": b"flat", "model.weights.h5": b"weights", "novelty.npz": b"statistics"}
Manifest = dict[str, Any]


def manifest() -> Manifest:
    return {
        "name": "network-under-test",
        "created": "2026-11-23T01:00:00+00:00",
        "architecture": "mobilenetv2-1.0-224",
        "taxonomy": list(CLASSES),
        "class_priors": [0.04, 0.05, 0.11, 0.01, 0.11, 0.66, 0.02],
        "temperature": 1.3,
        "decision_rule": "argmax(log p - log prior)",
        "thresholds": {"refer": {"risk": 0.1}, "refer_urgently": {"risk": 0.5}},
        "novelty": {"threshold": 0.7},
        "preprocessing": PREPROCESSING,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    }


def write(folder: Path, content: Manifest) -> str:
    """Write the bundle; returns the digest to pin."""
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    text = json.dumps(content).encode()
    (folder / "bundle.json").write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def test_a_sound_bundle_opens_with_all_it_says(tmp_path: Path) -> None:
    bundle = Bundle.open(tmp_path, write(tmp_path, manifest()))

    assert bundle.name == "network-under-test"
    assert bundle.created.isoformat() == "2026-11-23T01:00:00+00:00"
    assert bundle.temperature == 1.3
    assert (bundle.thresholds.refer, bundle.thresholds.refer_urgently) == (0.1, 0.5)
    assert bundle.novelty_threshold == 0.7
    assert np.allclose(bundle.class_priors, manifest()["class_priors"])
    assert bundle.content("model.tflite") == b"flat"


def test_the_bundle_that_ships_is_the_one_pinned() -> None:
    bundle = Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)

    assert bundle.name == shipped.SHIPPED_BUNDLE


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data + b"\0", lambda _: b""],
    ids=["truncated", "one bit changed", "lengthened", "emptied"],
)
def test_an_altered_file_is_refused_by_name(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    pinned = write(tmp_path, manifest())
    (tmp_path / name).write_bytes(change(FILES[name]))

    with pytest.raises(BundleRefused, match=name):
        Bundle.open(tmp_path, pinned)


@pytest.mark.parametrize("name", [*FILES, "bundle.json"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    pinned = write(tmp_path, manifest())
    (tmp_path / name).unlink()

    with pytest.raises(BundleRefused, match=name):
        Bundle.open(tmp_path, pinned)


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="nowhere"):
        Bundle.open(tmp_path / "nowhere", "0" * 64)


def test_a_changed_manifest_is_refused_whatever_it_says(tmp_path: Path) -> None:
    pinned = write(tmp_path, manifest())
    write(tmp_path, manifest() | {"temperature": 1.0})

    with pytest.raises(BundleRefused, match=r"bundle\.json.*pinned"):
        Bundle.open(tmp_path, pinned)


def test_a_file_altered_after_opening_is_refused_when_it_is_read(tmp_path: Path) -> None:
    bundle = Bundle.open(tmp_path, write(tmp_path, manifest()))
    (tmp_path / "model.tflite").write_bytes(b"other")

    with pytest.raises(BundleRefused, match=r"model\.tflite"):
        bundle.content("model.tflite")


@pytest.mark.parametrize("name", ["extra.npz", "model.keras", "run_me.py", ".hidden"])
def test_a_foreign_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    pinned = write(tmp_path, manifest())
    (tmp_path / name).write_bytes(b"foreign")

    with pytest.raises(BundleRefused, match=name):
        Bundle.open(tmp_path, pinned)


@pytest.mark.parametrize("name", ["model.keras", "model.pkl", "weights.pt"])
def test_a_file_that_could_run_code_is_refused_even_where_the_manifest_lists_it(tmp_path: Path, name: str) -> None:
    content = manifest()
    content["files"][name] = hashlib.sha256(b"code").hexdigest()
    (tmp_path / name).write_bytes(b"code")

    with pytest.raises(BundleRefused, match=name):
        Bundle.open(tmp_path, write(tmp_path, content))


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "sub/model.tflite", "bundle.json", ".", ""])
def test_a_manifest_that_points_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    content = manifest()
    content["files"][name] = "0" * 64

    with pytest.raises(BundleRefused, match=r"bundle\.json"):
        Bundle.open(tmp_path, write(tmp_path, content))


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_that_leaves_out_a_file_is_refused(tmp_path: Path, name: str) -> None:
    content = manifest()
    del content["files"][name]

    with pytest.raises(BundleRefused, match=name):
        Bundle.open(tmp_path, write(tmp_path, content))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("taxonomy", [*CLASSES[1:], CLASSES[0]]),
        ("taxonomy", [*CLASSES, "scc"]),
        ("class_priors", [1 / 6] * 6),
        ("class_priors", [0.5] * 7),
        ("class_priors", [0, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1]),
        ("temperature", 0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("thresholds", {"refer": {"risk": 0.6}, "refer_urgently": {"risk": 0.5}}),
        ("thresholds", {"refer": {"risk": 0.1}}),
        ("novelty", {"threshold": float("inf")}),
        ("preprocessing", "centre-crop/1"),
        ("decision_rule", "argmax(p)"),
        ("created", "yesterday"),
        ("files", ["model.tflite"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_manifest_for_another_program_is_refused(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(BundleRefused, match=r"bundle\.json"):
        Bundle.open(tmp_path, write(tmp_path, manifest() | {field: value}))


@pytest.mark.parametrize("field", sorted(manifest()))
def test_a_manifest_that_lacks_a_field_is_refused(tmp_path: Path, field: str) -> None:
    content = manifest()
    del content[field]

    with pytest.raises(BundleRefused, match=field):
        Bundle.open(tmp_path, write(tmp_path, content))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, text: bytes) -> None:
    write(tmp_path, manifest())
    (tmp_path / "bundle.json").write_bytes(text)

    with pytest.raises(BundleRefused, match=r"bundle\.json"):
        Bundle.open(tmp_path, hashlib.sha256(text).hexdigest())


KEY, ANOTHER = bytes(range(32)), bytes(range(1, 33))


def signed(folder: Path, key: bytes = KEY) -> str:
    """Write the bundle and sign it; returns the digest to pin."""
    pinned = write(folder, manifest())
    signature.sign(folder, (folder / "bundle.json").read_bytes(), key)
    return pinned


def test_a_bundle_signed_by_a_trusted_key_opens(tmp_path: Path) -> None:
    trusted = [signature.public_key_of(ANOTHER), signature.public_key_of(KEY)]
    assert Bundle.open(tmp_path, signed(tmp_path), signed_by=trusted).name == "network-under-test"
    assert sorted(path.name for path in tmp_path.parent.iterdir() if path.name.endswith(".new")) == []


def _flip(folder: Path) -> None:
    content = (folder / "bundle.sig").read_bytes()
    (folder / "bundle.sig").write_bytes(bytes([content[0] ^ 1]) + content[1:])


def _cut(folder: Path) -> None:
    (folder / "bundle.sig").write_bytes((folder / "bundle.sig").read_bytes()[:-1])


def _of_another_manifest(folder: Path) -> None:
    signature.sign(folder, json.dumps({**manifest(), "name": "another"}).encode(), KEY)


def _foreign(folder: Path) -> None:
    signature.sign(folder, (folder / "bundle.json").read_bytes(), ANOTHER)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "bundle.sig").unlink(), "the manifest is not signed"),
        (_flip, "not made for this manifest"),
        (_cut, "63 bytes, where a signature has 64"),
        (_of_another_manifest, "not made for this manifest"),
        (_foreign, "not made for this manifest by any of the 1 trusted"),
    ],
    ids=["unsigned", "tampered", "truncated", "of another manifest", "foreign"],
)
def test_a_bundle_without_a_sound_signature_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    pinned = signed(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BundleRefused, match=rf"bundle\.sig: .*{sentence}.*released again"):
        Bundle.open(tmp_path, pinned, signed_by=[signature.public_key_of(KEY)])


def test_a_signature_does_not_stand_for_files_that_were_altered_after_it(tmp_path: Path) -> None:
    pinned = signed(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"others")
    with pytest.raises(BundleRefused, match=r"model\.weights\.h5"):
        Bundle.open(tmp_path, pinned, signed_by=[signature.public_key_of(KEY)])


def test_nobody_is_trusted_where_no_key_is(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="0 trusted release keys"):
        Bundle.open(tmp_path, signed(tmp_path), signed_by=[])


def test_the_command_shows_the_public_key_and_never_the_private_one(settings: Any) -> None:
    settings.SKINCARE_RELEASE_KEY = private = os.urandom(32)
    said = io.StringIO()
    call_command("release_key", stdout=said)
    shown = base64.b64decode(said.getvalue().strip().partition("=")[2])
    assert shown == signature.public_key_of(private)
    assert base64.b64encode(private).decode() not in said.getvalue()
    settings.SKINCARE_RELEASE_KEY = None
    with pytest.raises(CommandError, match="--new makes one"):
        call_command("release_key")


def test_a_new_pair_signs_what_its_public_key_trusts(tmp_path: Path) -> None:
    said = io.StringIO()
    call_command("release_key", new=True, stdout=said)
    pair = {
        name: base64.b64decode(value) for name, _, value in (line.partition("=") for line in said.getvalue().split())
    }
    signature.sign(tmp_path, b"manifest", pair["SKINCARE_RELEASE_KEY"])
    signature.check(tmp_path, b"manifest", [pair["SKINCARE_RELEASE_PUBLIC_KEYS"]])
    with pytest.raises(signature.NotSigned):
        signature.check(tmp_path, b"another", [pair["SKINCARE_RELEASE_PUBLIC_KEYS"]])
