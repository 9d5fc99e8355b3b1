"""Ids in addresses: one spelling, and nothing said about the others."""

from uuid import UUID

import pytest

from shared.http.paths import NOBODYS, Id
from shared.identifiers import new_id

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class TestId:
    def test_is_read_in_its_canonical_form(self) -> None:
        given = new_id()
        assert Id().to_python(str(given)) == given
        assert Id().to_url(given) == str(given)

    @pytest.mark.parametrize(
        "text",
        [
            "x",
            "%00",
            "\0",
            "..",
            ID.upper(),
            ID.replace("-", ""),
            f"{{{ID}}}",
            ID + "\n",
            "1" * 8000,
        ],
    )
    def test_is_nobodys_in_any_other_form(self, text: str) -> None:
        assert Id().to_python(text) == NOBODYS

    def test_of_nobody_is_never_made(self) -> None:
        assert UUID(int=0) == NOBODYS
        assert new_id().version == 7 != NOBODYS.version
