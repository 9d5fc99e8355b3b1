"""Reading a body: strict JSON in UTF-8, or nothing."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from shared.http.parsing import Number, parse_object
from shared.testing.api import Written, payment_body, refused
from shared.testing.signing import SigningClient

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b"  ",
    "no JSON": b"amount=1",
    "unfinished": b'{"a": 1',
    "two documents": b"{}{}",
    "a comment": b'{"a": 1} // one',
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "an array": b"[]",
    "a text": b'"a"',
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": [-Infinity]}',
    "a key twice": b'{"a": 1, "a": 2}',
    "an inner key twice": b'{"a": {"b": 1, "b": 1}}',
    "a key twice, escaped": b'{"a": 1, "\\u0061": 2}',
    "NUL escaped": b'{"a": "\\u0000"}',
    "NUL in a key": b'{"\\u0000": 1}',
    "NUL raw": b'{"a": "\0"}',
    "NUL after the document": b"{}\0",
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "the other half": b'{"a": "\\udfff x"}',
    "halves in the wrong order": b'{"a": "\\udc00\\ud800"}',
    "half a pair in a key": b'{"\\ud800": 1}',
    "half a pair, deep": b'{"a": [[{"b": "\\ud800"}]]}',
    "a raw line break in a text": b'{"a": "\n"}',
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"a": "\xc0\x80"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "5,000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "30,000 arrays": b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "30,000 unfinished arrays": b"[" * 30_000,
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "21 levels": b'{"a":' * 21 + b"1" + b"}" * 21,
}
# What Python's own parser, called the usual way, takes for granted.
TAKEN_BY_THE_NAIVE_TWIN = {
    *["NaN", "Infinity", "-Infinity", "a key twice", "an inner key twice", "a key twice, escaped"],
    *["NUL escaped", "NUL in a key", "half a surrogate pair", "the other half", "UTF-16", "UTF-32"],
    *["UTF-16 without a mark", "a byte order mark", "half a pair in a key", "half a pair, deep"],
    *["halves in the wrong order", "an array", "a text", "a number", "null", "21 levels"],
}

documents = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=5,
)


class TestParseObject:
    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
    def test_refuses_what_two_readers_understand_differently(self, body: bytes) -> None:
        started_at = time.process_time()
        with pytest.raises(ParseError):
            parse_object(body)
        assert time.process_time() - started_at < 0.05

    def test_is_stricter_than_pythons_parser(self) -> None:
        taken = set()
        for name, body in MALFORMED.items():
            try:
                json.loads(body)
            except (ValueError, RecursionError):
                continue
            taken.add(name)
        assert taken >= TAKEN_BY_THE_NAIVE_TWIN

    def test_keeps_fractions_and_exponents_as_their_text(self) -> None:
        document = parse_object(b'{"a": 0.10, "b": 1e400, "c": 12}')
        assert (document["a"].text, document["b"].text) == ("0.10", "1e400")
        assert isinstance(document["a"], Number)
        assert document["c"] == 12

    @given(documents, st.booleans(), st.sampled_from([None, 2]))
    def test_reads_everything_else_as_it_is(
        self, document: dict[str, Any], escaped: bool, indent: int | None
    ) -> None:
        body = json.dumps(document, ensure_ascii=escaped, indent=indent).encode()
        assert parse_object(body) == document

    @given(
        st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()[1:])
    )
    def test_reads_or_refuses_but_never_breaks(self, body: bytes) -> None:
        with contextlib.suppress(ParseError):
            assert isinstance(parse_object(body), dict)


@pytest.mark.django_db
class TestBodies:
    """The same, signed and sent."""

    def test_that_are_malformed_are_400_and_write_nothing(self, merchant: SigningClient) -> None:
        before = Written.now()
        for name, body in MALFORMED.items():
            if body and len(body) <= 65_536:
                refused(merchant.send("POST", "/payments", body), 400, "malformed_body")
                assert Written.now() == before, name

    def test_are_verified_as_bytes_and_read_as_json(self, merchant: SigningClient) -> None:
        plain = payment_body(description="A")
        strange = json.dumps(plain, indent="\t").replace('"A"', '"\\u0041"') + "\r\n \n"
        answer = merchant.send("POST", "/payments", strange.encode())
        assert answer.status_code == 202
        assert answer.json()["description"] == "A"

    def test_of_another_type_are_415(self, merchant: SigningClient) -> None:
        body = json.dumps(payment_body()).encode()
        for content_type in (
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/vnd.api+json",
            "application/json-patch+json",
            "application/json; charset=utf-16",
            "application/json; charset=latin-1",
            "application/json; charset=utf-8x",
            "application",
            "/",
            ";",
        ):
            answer = merchant.send_with(
                "POST",
                "/payments",
                body,
                merchant.signed_headers(body) | {"CONTENT_TYPE": content_type},
            )
            refused(answer, 415, "unsupported_media_type")
            assert "415" not in answer.json()["detail"]

    def test_of_the_right_type_may_say_so_in_any_way(self, merchant: SigningClient) -> None:
        for content_type in (
            "application/json",
            "application/json;charset=UTF-8",
            'Application/JSON; charset="utf-8"',
            "application/json; charset=utf8; version=1",
            " application/json ; v=1",
        ):
            body = json.dumps(payment_body()).encode()
            answer = merchant.send_with(
                "POST",
                "/payments",
                body,
                merchant.signed_headers(body) | {"CONTENT_TYPE": content_type},
            )
            assert answer.status_code == 202, content_type

    def test_that_are_compressed_are_refused(self, merchant: SigningClient) -> None:
        body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
        answer = merchant.send("POST", "/payments", body, HTTP_CONTENT_ENCODING="gzip")
        refused(answer, 400, "malformed_body")

    def test_may_be_absent_where_only_a_key_is_needed(self, merchant: SigningClient) -> None:
        refused(merchant.send("POST", "/payments", b""), 400, "validation_failed")
