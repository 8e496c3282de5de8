"""Reading HAM10000 from archives like the official ones, and pictures that are no lesions."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.datasets import foreign, ham10000
from training.datasets.ham10000 import DatasetIncomplete

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (224, 224)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["HAM_2,ISIC_3,mel,histo,,unknown,unknown", "HAM_1,ISIC_1,nv,histo,45.0,female,back"]
    (tmp_path / ham10000.METADATA).write_text("\n".join([HEADER, *rows]) + "\n")
    for name, image, content in (
        (ham10000.ARCHIVES[0], "ISIC_1", jpeg((200, 10, 10))),
        (ham10000.ARCHIVES[1], "images/ISIC_3", jpeg((10, 10, 200), size=(600, 450))),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{image}.jpg", content)
    return tmp_path


def test_images_are_read_from_both_archives_in_the_order_of_their_ids(folder: Path, tmp_path: Path) -> None:
    dataset = ham10000.read(folder, tmp_path / "cache")

    assert [record.image_id for record in dataset.records] == ["ISIC_1", "ISIC_3"]
    assert [record.age for record in dataset.records] == [45.0, None]
    assert list(dataset.labels) == [5, 4]
    assert dataset.views.shape == (2, 224, 224, 3)
    assert dataset.views[0, 100, 100, 0] > 150 > dataset.views[1, 100, 100, 0]


def test_a_second_reading_comes_from_the_cache_and_has_the_same_fingerprint(folder: Path, tmp_path: Path) -> None:
    first = ham10000.read(folder, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").iterdir()
    written = cached.stat().st_mtime_ns

    second = ham10000.read(folder, tmp_path / "cache")

    assert second.fingerprint == first.fingerprint
    assert cached.stat().st_mtime_ns == written


def test_another_label_is_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    before = ham10000.read(folder, tmp_path / "cache").fingerprint
    metadata = folder / ham10000.METADATA
    metadata.write_text(metadata.read_text().replace("mel", "bkl"))

    assert ham10000.read(folder, tmp_path / "cache").fingerprint != before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("HAM_9,ISIC_9,nv,histo,45.0,male,back", "1 images are in no archive, the first is ISIC_9"),
        ("HAM_9,ISIC_9,wart,histo,45.0,male,back", "unknown diagnosis 'wart'"),
        ("HAM_9,ISIC_1,nv,histo,45.0,male,back", "occurs twice"),
    ],
)
def test_metadata_that_do_not_fit_the_images_are_refused(folder: Path, tmp_path: Path, line: str, problem: str) -> None:
    with (folder / ham10000.METADATA).open("a") as metadata:
        metadata.write(line + "\n")

    with pytest.raises(DatasetIncomplete, match=problem):
        ham10000.read(folder, tmp_path / "cache")


@pytest.mark.parametrize("name", [ham10000.METADATA, *ham10000.ARCHIVES])
def test_a_missing_file_is_named_with_where_to_get_it(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(DatasetIncomplete, match=f"{name} is missing: download HAM10000"):
        ham10000.read(folder, tmp_path / "cache")


def test_pages_and_textures_repeat_themselves_for_a_seed() -> None:
    for make in (foreign.pages, foreign.textures):
        once, again = (make(np.random.default_rng(4), 5) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        assert once.shape == (5, 224, 224, 3)
        assert once.dtype == np.uint8


def test_skin_is_taken_from_the_corner_that_the_lesion_leaves_free() -> None:
    view = np.full((224, 224, 3), 200, dtype=np.uint8)
    view[0:112, 0:112] = 40
    whole = np.full((224, 224, 3), 40, dtype=np.uint8)

    skin = foreign.skin_beside(np.stack([view, whole]), [(0.0, 0.0, 0.5, 0.5), (0.05, 0.05, 0.95, 0.95)])

    assert skin.shape == (1, 224, 224, 3)
    assert skin.min() == 200


def test_a_lesion_is_enlarged_as_much_as_the_skin_beside_it() -> None:
    view = np.full((224, 224, 3), 200, dtype=np.uint8)
    view[0:112, 0:112] = 40

    enlarged = foreign.enlarged_lesions(view[None], [(0.0, 0.0, 0.5, 0.5)])

    assert enlarged.shape == (1, 224, 224, 3)
    assert enlarged.max() == 40


def test_no_photograph_that_is_judged_by_was_learned_from() -> None:
    splits = [foreign.photographs(np.random.default_rng(1), 0, split) for split in ("training", "validation", "test")]
    contents = [{view.tobytes() for view in views} for views in splits]

    assert sum(len(each) for each in contents) == 24
    assert min(len(each) for each in contents) >= 7
    assert not contents[0] & contents[1]
    assert not contents[1] & contents[2]
    assert not contents[0] & contents[2]
