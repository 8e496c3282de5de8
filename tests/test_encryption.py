"""Sealing: nothing opens under another key, in another place, or after a change of a single bit."""

import os
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skincare.encryption import (
    KeyRing,
    MasterKeyMissing,
    SealBroken,
    blind_indexes,
    folded_name,
    index_key_id,
    name_indexes,
    new_data_key,
    open_text,
    seal,
    seal_text,
    sealed_under_current_key,
    unseal,
)

keys = st.binary(min_size=32, max_size=32)


@given(keys, st.binary(max_size=500), st.text(max_size=40))
def test_what_is_sealed_opens_again_in_its_place(key: bytes, plain: bytes, place: str) -> None:
    sealed = seal(key, plain, place=place)
    assert unseal(key, sealed, place=place) == plain
    assert len(plain) < 8 or plain not in sealed


@given(keys, st.binary(max_size=100), st.data())
def test_any_changed_bit_is_noticed(key: bytes, plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(key, plain, place="here"))
    position = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[position // 8] ^= 1 << position % 8
    with pytest.raises(SealBroken):
        unseal(key, bytes(sealed), place="here")


@given(keys, st.binary(max_size=100), st.data())
def test_any_truncation_is_noticed(key: bytes, plain: bytes, data: st.DataObject) -> None:
    sealed = seal(key, plain, place="here")
    with pytest.raises(SealBroken):
        unseal(key, sealed[: data.draw(st.integers(0, len(sealed) - 1))], place="here")


def test_another_place_or_another_key_does_not_open_it() -> None:
    key = new_data_key()
    sealed = seal(key, b"Ada", place="patient.name:1")
    with pytest.raises(SealBroken, match=r"patient\.name:2"):
        unseal(key, sealed, place="patient.name:2")
    with pytest.raises(SealBroken):
        unseal(new_data_key(), sealed, place="patient.name:1")


def test_the_same_text_is_never_sealed_to_the_same_bytes() -> None:
    key = new_data_key()
    assert seal(key, b"Ada", place="x") != seal(key, b"Ada", place="x")


class TestKeyRing:
    old, new = ("2025", os.urandom(32)), ("2026", os.urandom(32))

    def test_a_key_wrapped_by_an_older_master_key_still_opens(self) -> None:
        owner, data_key = uuid4(), new_data_key()
        wrapped = KeyRing([self.old]).wrap(data_key, owner=owner)
        assert KeyRing([self.new, self.old]).unwrap(wrapped, owner=owner) == data_key
        assert KeyRing([self.new, self.old]).wrap(data_key, owner=owner).master_key_id == "2026"

    def test_a_missing_master_key_is_named(self) -> None:
        owner = uuid4()
        wrapped = KeyRing([self.old]).wrap(new_data_key(), owner=owner)
        with pytest.raises(MasterKeyMissing, match=r"'2025'.*SKINCARE_MASTER_KEYS"):
            KeyRing([self.new]).unwrap(wrapped, owner=owner)

    def test_a_wrapped_key_does_not_open_for_another_patient(self) -> None:
        wrapped = KeyRing([self.old]).wrap(new_data_key(), owner=uuid4())
        with pytest.raises(SealBroken):
            KeyRing([self.old]).unwrap(wrapped, owner=uuid4())

    @pytest.mark.parametrize("keys", [[], [("short", b"x" * 31)]])
    def test_a_ring_without_a_whole_key_is_refused(self, keys: list[tuple[str, bytes]]) -> None:
        with pytest.raises(ValueError, match="master key"):
            KeyRing(keys)


class TestBlindIndex:
    salt = uuid4()

    @pytest.mark.parametrize("same", ["NHS 12-34", " nhs  12-34 ", "ＮＨＳ 12-34"])
    def test_case_spacing_and_unicode_form_do_not_matter(self, same: str) -> None:
        assert blind_indexes(same, purpose="p", salt=self.salt) == blind_indexes(
            "NHS 12-34", purpose="p", salt=self.salt
        )

    def test_value_purpose_and_organisation_matter(self) -> None:
        digests = {
            blind_indexes(value, purpose=purpose, salt=salt)[0]
            for value in ("1", "2")
            for purpose in ("number", "name")
            for salt in (self.salt, uuid4())
        }
        assert len(digests) == 8

    def test_each_key_gives_one_and_the_current_ones_is_first(self, settings: Any) -> None:
        old, new = bytes(32), b"n" * 32
        settings.SKINCARE_INDEX_KEYS = [old]
        by_old, old_id = blind_indexes("1", purpose="p", salt=self.salt), index_key_id()
        settings.SKINCARE_INDEX_KEYS = [new, old]
        by_both = blind_indexes("1", purpose="p", salt=self.salt)
        assert by_both[1:] == by_old != by_both[:1]
        assert index_key_id() != old_id == index_key_id(old)
        assert len(old_id) == 16


class TestTexts:
    def test_what_is_sealed_opens_in_its_place_only_and_under_a_key_that_is_there(self, settings: Any) -> None:
        old, new = ("old", bytes(32)), ("new", b"n" * 32)
        settings.SKINCARE_MASTER_KEYS = [old]
        sealed = seal_text("secret", place="here")
        assert "secret" not in sealed
        assert sealed_under_current_key(sealed)
        settings.SKINCARE_MASTER_KEYS = [new, old]
        assert open_text(sealed, place="here") == "secret"
        assert not sealed_under_current_key(sealed)
        with pytest.raises(SealBroken):
            open_text(sealed, place="there")
        settings.SKINCARE_MASTER_KEYS = [new]
        with pytest.raises(MasterKeyMissing, match="here was sealed under master key 'old'"):
            open_text(sealed, place="here")


class TestNames:
    @pytest.mark.parametrize(
        ("written", "found_as"),
        [
            ("Maria Lindqvist", "  LINDQVIST,\tmaría "),
            ("Anne O’Brien-Smith", "anne obrien smith"),
            ("Şükrü Işık", "SÜKRÜ IŞIK"),
            ("Jürgen Strauß", "jurgen STRAUSS"),
            ("Łukasz Żółć", "Lukasz Zolc"),
            ("Søren Æbelø", "soren aebelo"),
            ("مُحَمَّد أحمد", "محمد احمد"),
            ("Ｆｕｌｌ Ｗｉｄｔｈ", "full width"),
            ("Zero\u200bwidth", "zerowidth"),
            ("José", "Jose\u0301"),
        ],
    )
    def test_what_people_write_differently_does_not_matter(self, written: str, found_as: str) -> None:
        assert folded_name(written) == folded_name(found_as) != ""

    @pytest.mark.parametrize(
        ("one", "other"),
        [("Müller", "Mueller"), ("Maria Lindqvist", "Maria Lindqvis"), ("か", "が"), ("कि", "की"), ("Ann", "Ann Ann")],
    )
    def test_other_letters_are_another_name(self, one: str, other: str) -> None:
        assert folded_name(one) != folded_name(other)

    @given(st.text(max_size=60))
    def test_folding_again_changes_nothing(self, name: str) -> None:
        assert folded_name(folded_name(name)) == folded_name(name)

    @pytest.mark.parametrize(("name", "birth_date"), [("", "1961-04-17"), (" -’ ", "1961-04-17"), ("Ada", "")])
    def test_without_name_or_birth_date_there_is_no_index(self, name: str, birth_date: str) -> None:
        assert name_indexes(name, birth_date, salt=uuid4()) == []

    def test_name_birth_date_and_organisation_matter(self) -> None:
        clinic = uuid4()
        assert name_indexes("Ada Example", "1970-05-17", salt=clinic) == name_indexes(
            "example ADA", "1970-05-17", salt=clinic
        )
        digests = {
            name_indexes(name, birth_date, salt=salt)[0]
            for name in ("Ada Example", "Ada Exampl")
            for birth_date in ("1970-05-17", "1970-05-18")
            for salt in (clinic, uuid4())
        }
        assert len(digests) == 8
