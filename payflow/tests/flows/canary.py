"""The numbers that tests plant, and the grep that finds them wherever and however they come out."""

import base64
import re
from functools import cache

from django.db import connection

PAN = "4539148803436467"
"""Planted; distinctive, so that a long part of it is found as surely as the whole."""
MISTYPED = "4539148803436468"
CVC = "8642"
PAID = {
    # The sandbox's numbers: what goes wrong must not tell the card, either.
    "AUTHORISED": "4012888888881881",
    "DECLINED": "4000000000009995",
    "half an answer": "4000000000010068",
    "an error page": "4000000000010050",
    "no connection": "4000000000010043",
}
_LONG_PART = 10


def spellings(number: str) -> set[str]:
    """The digits in text, hexadecimal and base64, wherever in the encoded bytes they begin."""
    raw = number.encode()
    found = {number, raw.hex()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
        found.add(encoded[first:last])
    return found


@cache
def traces(number: str) -> re.Pattern[str]:
    """The number in any spelling, or a long part of it."""
    parts = [number[i : i + _LONG_PART] for i in range(len(number) - _LONG_PART + 1)]
    return re.compile("|".join(map(re.escape, [*parts, *spellings(number)])))


def found_in(text: str, *numbers: str) -> list[str]:
    """The numbers of which there are traces in a text, whatever stands between digits."""
    joined = re.sub(r"(?<=[0-9])[\s/.-](?=[0-9])", "", text)
    return [n for n in numbers if traces(n).search(joined) or traces(n).search(text)]


def leaks(text: str) -> list[str]:
    """The beginnings of the lines in which a number stands that came in while the test ran."""
    numbers = (PAN, MISTYPED, *PAID.values())
    if not found_in(text, *numbers):
        return []
    return [line[:80] for line in text.splitlines() if found_in(line, *numbers)] or ["across lines"]


_COLUMNS = """
SELECT format('%I.%I', table_schema, table_name),
       string_agg(format(CASE data_type WHEN 'bytea' THEN 'encode(%I, ''escape'')'
                                        ELSE '%I::text' END, column_name), ', ')
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1
"""


def every_row() -> str:
    """Every column of every table as text; bytes as the characters they may be."""
    lines = []
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        for table, columns in cursor.fetchall():
            cursor.execute(f"SELECT concat_ws(' | ', {columns}) FROM {table}")
            lines += [f"{table}: {row}" for (row,) in cursor.fetchall()]
    return "\n".join(lines)
