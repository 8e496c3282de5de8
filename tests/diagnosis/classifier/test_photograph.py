"""What becomes of an upload: refused with a code and a sentence, or stored clean, upright and in sRGB."""

import hashlib
import io
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from diagnosis.classifier import photograph
from diagnosis.classifier.photograph import PhotographRefused, receive
from diagnosis.classifier.view import SIDE, decode_view, encode_view, make_view
from tests.diagnosis.classifier.images import (
    BAD_UPLOADS,
    COMMENT,
    DISPLAY_P3,
    MAKER,
    ODD_UPLOADS,
    SCRIPT,
    BadUpload,
    OddUpload,
    deep_colour_png,
    jpeg,
    jpeg_with_metadata,
    lesion,
    matrix_profile,
    mpo,
    png,
    png_bomb,
    saved,
)

#: Markers that a baseline JPEG of pixels alone needs: tables, frame and scan behind a bare JFIF header.
NEEDED = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
BARE_JFIF = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"


def segments(stored: bytes) -> list[tuple[int, bytes]]:
    """Every marker segment of a baseline JPEG, walked from first to last byte; fails on anything before or after."""
    assert stored[:2] == b"\xff\xd8"
    assert stored[-2:] == b"\xff\xd9"
    found, position = [], 2
    while True:
        assert stored[position] == 0xFF
        marker, length = stored[position + 1], struct.unpack_from(">H", stored, position + 2)[0]
        found.append((marker, stored[position + 4 : position + 2 + length]))
        position += 2 + length
        if marker == 0xDA:
            break
    scan = stored[position:-2].replace(b"\xff\x00", b"")
    assert b"\xff" not in scan, "one scan and nothing after it"
    return found


def assert_clean(stored: bytes) -> None:
    """Only what draws the pixels is there."""
    parts = segments(stored)
    assert {marker for marker, _ in parts} == NEEDED
    assert [content for marker, content in parts if marker == 0xE0] == [BARE_JFIF]
    assert sum(marker == 0xDA for marker, _ in parts) == 1


def difference(stored: bytes, expected: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(np.asarray(Image.open(io.BytesIO(stored)), int) - np.asarray(expected, int)).mean())


@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=lambda bad: bad.id)
def test_what_is_no_usable_photograph_is_refused_by_its_code(bad: BadUpload) -> None:
    with pytest.raises(PhotographRefused) as refused:
        receive(bad.make())

    assert refused.value.code == bad.code
    assert " at 0x" not in str(refused.value)
    assert len(str(refused.value)) > 15


@pytest.mark.parametrize("odd", ODD_UPLOADS, ids=lambda odd: odd.id)
def test_what_is_odd_but_a_photograph_is_stored_clean(odd: OddUpload) -> None:
    stored = receive(odd.make())

    assert_clean(stored.jpeg)
    assert stored.received_format == odd.received_format
    assert stored.sha256 == hashlib.sha256(stored.jpeg).hexdigest()
    with Image.open(io.BytesIO(stored.jpeg)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (stored.width, stored.height))


@pytest.mark.parametrize("secret", [MAKER.encode(), COMMENT, b"Exif", b"xmpmeta", SCRIPT], ids=lambda s: s[:8].decode())
def test_nothing_that_came_with_the_pixels_is_stored(secret: bytes) -> None:
    upload = jpeg_with_metadata() + SCRIPT
    assert secret in upload

    stored = receive(upload)

    assert secret not in stored.jpeg
    assert secret not in stored.stored_view


@pytest.mark.parametrize("seed", range(3))
def test_any_view_is_stored_without_loss(seed: int) -> None:
    view = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(decode_view(encode_view(view)), view)


@pytest.mark.parametrize("stored", [b"", b"\0" * (SIDE * SIDE * 3 - 1), b"\x89PNG\r\n\x1a\n"], ids=len)
def test_what_is_no_stored_view_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match=f"{SIDE * SIDE * 3} bytes, not {len(stored)}"):
        decode_view(stored)


def test_position_data_does_not_survive() -> None:
    upload = jpeg_with_metadata()
    assert dict(Image.open(io.BytesIO(upload)).getexif().get_ifd(0x8825))

    stored = receive(upload)

    assert not Image.open(io.BytesIO(stored.jpeg)).getexif()


def test_further_frames_are_dropped_and_the_first_is_kept() -> None:
    stored = receive(mpo())

    assert getattr(Image.open(io.BytesIO(stored.jpeg)), "n_frames", 1) == 1
    assert difference(stored.jpeg, lesion()) < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_a_camera_is_turned_upright(orientation: int) -> None:
    camera_holds = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = lesion().copy()
    upright.paste((20, 90, 200), (0, 0, 120, 60))
    exif = Image.Exif()
    exif[0x0112] = orientation
    sensor = upright if camera_holds is None else upright.transpose(camera_holds)

    stored = receive(saved(sensor, quality=95, exif=exif))

    assert (stored.width, stored.height) == upright.size
    assert difference(stored.jpeg, upright) < 4
    assert np.abs(decode_view(stored.stored_view).astype(int) - make_view(upright)).mean() < 2


def test_the_colours_of_a_wide_profile_are_brought_to_srgb() -> None:
    red = Image.new("RGB", (300, 300), (200, 100, 100))

    plain = receive(saved(red, quality=95))
    converted = receive(saved(red, quality=95, icc_profile=matrix_profile(*DISPLAY_P3)))

    # (200, 100, 100) of Display P3 is (215, 95, 97) in sRGB.
    assert np.abs(np.asarray(Image.open(io.BytesIO(plain.jpeg)))[150, 150].astype(int) - (200, 100, 100)).max() <= 2
    assert np.abs(np.asarray(Image.open(io.BytesIO(converted.jpeg)))[150, 150].astype(int) - (215, 95, 97)).max() <= 4
    assert np.abs(decode_view(converted.stored_view)[112, 112].astype(int) - (215, 95, 97)).max() <= 4


def test_the_view_is_made_of_the_pixels_received_not_of_the_second_encoding() -> None:
    stored = receive(png())

    assert np.array_equal(decode_view(stored.stored_view), make_view(lesion()))


def test_sixteen_bits_of_colour_keep_their_eight_highest() -> None:
    stored = receive(deep_colour_png())

    assert np.array_equal(decode_view(stored.stored_view), make_view(lesion()))


@pytest.mark.parametrize(("subsampling", "kept"), [(0, 0), (1, 1), (2, 2)])
def test_colour_is_stored_as_finely_as_it_came(subsampling: int, kept: int) -> None:
    stored = receive(jpeg(subsampling=subsampling))

    assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(stored.jpeg))) == kept


def test_twenty_four_megapixels_are_kept_whole_and_more_is_halved() -> None:
    whole = receive(saved(Image.new("RGB", (6000, 4000), (200, 150, 130))))
    halved = receive(saved(Image.new("RGB", (8000, 6001), (200, 150, 130))))

    assert (whole.width, whole.height) == (6000, 4000)
    assert (halved.width, halved.height) == (4000, 3001)


@pytest.mark.parametrize(
    "upload",
    [
        lambda: saved(Image.new("P", (8000, 6000)), "PNG"),
        lambda: saved(Image.new("RGB", (8000, 6000)), progressive=True),
    ],
    ids=["png", "progressive jpeg"],
)
def test_what_would_have_to_be_held_whole_in_memory_is_refused_above_25_megapixels(
    upload: Callable[[], bytes],
) -> None:
    with pytest.raises(PhotographRefused, match="8000x6000 pixels; at most 25 megapixels"):
        receive(upload())


def test_a_small_photograph_is_taken_with_a_warning() -> None:
    assert "small" in receive(jpeg(300, 300)).quality.warnings
    assert "small" not in receive(jpeg(600, 450)).quality.warnings


def test_a_refusal_says_what_is_wrong_and_what_is_needed() -> None:
    with pytest.raises(PhotographRefused, match="180x120 pixels; at least 224x224 are needed"):
        receive(jpeg(180, 120))
    with pytest.raises(PhotographRefused, match="20000x20000 pixels; at most 25 megapixels"):
        receive(png_bomb())
    with pytest.raises(PhotographRefused, match="60 MB; at most 26 MB"):
        receive(bytes(60_000_000))
    with pytest.raises(PhotographRefused, match="HEIC picture: set the phone's camera to JPEG"):
        receive(b"\0\0\0\x24ftypheic")


BOMB_IN_A_SMALL_PROCESS = """
import resource, sys
from diagnosis.classifier.photograph import PhotographRefused, receive
upload = sys.stdin.buffer.read()
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    receive(upload)
except PhotographRefused as refused:
    print(refused.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)
"""


def test_a_decompression_bomb_costs_no_memory() -> None:
    bomb = png_bomb()
    assert len(bomb) < 21_000

    done = subprocess.run([sys.executable, "-c", BOMB_IN_A_SMALL_PROCESS], input=bomb, capture_output=True, check=True)

    code, kilobytes = done.stdout.split()
    assert code == b"too_many_pixels"
    assert int(kilobytes) < 4_000


def test_refusing_bombs_is_far_cheaper_than_decoding_one_photograph() -> None:
    photograph_bytes, bombs = jpeg(2000, 1500), [bad.make() for bad in BAD_UPLOADS if bad.code.startswith("too_many")]

    def seconds(upload: bytes) -> float:
        begin = time.process_time()
        with suppress(PhotographRefused):
            receive(upload)
        return time.process_time() - begin

    taken = min(seconds(photograph_bytes) for _ in range(3))
    assert max(min(seconds(bomb) for _ in range(3)) for bomb in bombs) < taken


@pytest.mark.parametrize("place", [8, 33], ids=["before the true one", "after the true one"])
def test_of_several_announced_sizes_the_largest_counts(place: int) -> None:
    plain, bomb_header = png(), png_bomb()[8:33]

    with pytest.raises(PhotographRefused, match="20000x20000"):
        receive(plain[:place] + bomb_header + plain[place:])


ORIGINALS = {"jpeg": jpeg(300, 260), "progressive": jpeg(300, 260, progressive=True), "png": png(240, 230)}


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A photograph cut short, with bytes changed, doubled or put in."""
    upload = bytearray(ORIGINALS[draw(st.sampled_from(sorted(ORIGINALS)))])
    # Most of what matters to a parser is in the first kilobyte.
    places = st.one_of(st.integers(0, 1000), st.integers(0, len(upload) - 1))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(places) % len(upload)
        upload[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    if draw(st.booleans()):
        del upload[draw(places) :]
    return bytes(upload) + draw(st.binary(max_size=20))


@settings(max_examples=150, deadline=None)
@given(upload=mutations())
def test_whatever_the_bytes_are_they_are_refused_or_stored_clean(upload: bytes) -> None:
    with suppress(PhotographRefused):
        stored = receive(upload)

        assert_clean(stored.jpeg)
        assert decode_view(stored.stored_view).shape == (224, 224, 3)
        assert stored.width * stored.height <= photograph.MAX_KEPT_PIXELS


@settings(max_examples=100, deadline=None)
@given(upload=st.binary(max_size=200) | st.builds(lambda tail: b"\xff\xd8\xff" + tail, st.binary(max_size=200)))
def test_bytes_at_random_are_refused_and_raise_nothing_else(upload: bytes) -> None:
    with pytest.raises(PhotographRefused):
        receive(upload)


def test_receiving_a_photograph_imports_no_heavy_library() -> None:
    heavy = {"tensorflow", "keras", "scipy", "skimage", "sklearn", "ai_edge_litert", "django"}
    code = "import sys, diagnosis.classifier.photograph; print(*{name.split('.')[0] for name in sys.modules})"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not heavy & set(done.stdout.split())


def test_other_decoders_are_not_even_loaded_for_a_file_that_is_damaged() -> None:
    code = """
import sys
from diagnosis.classifier.photograph import PhotographRefused, receive
for upload in (b"\\xff\\xd8\\xff" + bytes(500), b"\\x89PNG\\r\\n\\x1a\\n" + bytes(500), b"%!PS-Adobe-3.0 EPSF-3.0"):
    try:
        receive(upload)
    except PhotographRefused as refused:
        print(refused.code)
print("PIL.EpsImagePlugin" in sys.modules, "PIL.TiffImagePlugin" in sys.modules)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["damaged", "damaged", "not_jpeg_or_png", "False", "False"]
