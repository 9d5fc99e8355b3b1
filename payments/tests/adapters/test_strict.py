"""Reading answers strictly: web addresses that a browser may be sent to, and what is none."""

import pytest

from payments.adapters.strict import NotAsPublished, web_address

BANK = "https://bank.example/"


class TestWebAddress:
    @pytest.mark.parametrize(
        "url", [BANK, "http://127.0.0.1:9/x?a=1&b=%00#c", BANK + "x" * (2_000 - len(BANK))]
    )
    def test_is_kept_as_it_is(self, url: str) -> None:
        assert web_address(url) == url

    @pytest.mark.parametrize("character", [chr(code) for code in (*range(32), 127, 0x85, 0x2028)])
    def test_has_no_control_characters(self, character: str) -> None:
        for url in (BANK + character, BANK + character + "x", character + BANK):
            with pytest.raises(NotAsPublished):
                web_address(url)

    def test_has_no_halves_of_surrogate_pairs(self) -> None:
        with pytest.raises(NotAsPublished):
            web_address(BANK + "\ud800")

    def test_is_no_longer_than_2000_characters(self) -> None:
        with pytest.raises(NotAsPublished):
            web_address(BANK + "x" * (2_001 - len(BANK)))

    @pytest.mark.parametrize("other", ["javascript:alert(1)", "//bank.example", "", None, 7, b""])
    def test_is_a_text_that_begins_as_one(self, other: object) -> None:
        with pytest.raises(NotAsPublished):
            web_address(other)
