"""Where the servers at hand listen."""

import os
from pathlib import Path

import pytest

from skincare.launch import places


@pytest.mark.parametrize("depth", [1, 10, 40])
def test_both_sockets_fit_into_a_socket_address_however_long_the_path_of_the_project_is(
    tmp_path: Path, depth: int
) -> None:
    var = tmp_path.joinpath(*["clinic-software"] * depth)

    for socket in (places.postgres_socket_folder(var) / f"{places.POSTGRES_SOCKET}.lock", places.valkey_socket(var)):
        assert len(os.fsencode(socket)) <= places.LONGEST_SOCKET_PATH


def test_two_checkouts_never_share_a_socket_folder_even_where_both_paths_are_too_long(tmp_path: Path) -> None:
    folders = {places.socket_folder(tmp_path / ("a" * 90) / str(number)) for number in range(20)}

    assert len(folders) == 20


def test_a_relative_and_an_absolute_path_of_one_folder_name_the_same_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert places.database_url(Path("var")) == places.database_url(tmp_path / "var")


def test_a_folder_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path)

    with pytest.raises(PermissionError, match="owned by this account"):
        places.make_private(tmp_path / "run")


def test_a_folder_left_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o777)

    assert places.make_private(tmp_path / "run").stat().st_mode & 0o777 == 0o700
