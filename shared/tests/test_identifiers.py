"""Identifiers: UUIDv7, and one spelling of each."""

import time
from collections.abc import Callable
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.identifiers import is_canonical, new_id

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
OTHER_SPELLINGS: list[Callable[[str], str]] = [
    lambda text: text.upper(),
    lambda text: text.replace("-", ""),
    lambda text: "{" + text + "}",
    lambda text: "urn:uuid:" + text,
    lambda text: text.replace("-", "", 1) + "-",
    lambda text: text.replace("0", "０", 1),
]


class TestNewId:
    def test_is_a_version_7_uuid_of_now(self) -> None:
        before = time.time_ns() // 1_000_000
        made = new_id()
        after = time.time_ns() // 1_000_000
        assert made.version == 7
        assert made.variant == RFC_4122
        assert before <= made.int >> 80 <= after

    def test_is_never_the_same(self) -> None:
        assert len({new_id() for _ in range(10_000)}) == 10_000

    def test_grows_with_time(self) -> None:
        first = new_id()
        time.sleep(0.002)
        assert first < new_id()


class TestIsCanonical:
    @given(st.uuids())
    def test_takes_the_usual_form_of_every_uuid(self, uuid: UUID) -> None:
        assert is_canonical(str(uuid))

    def test_takes_no_other_spelling(self) -> None:
        spellings = [respell(ID) for respell in OTHER_SPELLINGS]
        assert [text for text in spellings if is_canonical(text)] == []
        assert [UUID(text) for text in spellings] == [UUID(ID)] * 6  # the naive check takes all

    @pytest.mark.parametrize(
        "text",
        ["", ID + "\n", " " + ID, ID[:-1], ID + "0", ID[:-1] + "g", ID[:-1] + "\0", "\ud800"],
    )
    def test_refuses_what_is_no_uuid(self, text: str) -> None:
        assert not is_canonical(text)
