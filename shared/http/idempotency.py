"""
Idempotency keys: one effect and one answer per (merchant, key), whatever is raced, lost or retried.

# Note [Life of a key]

One transaction holds the record and the use case, the record first: a second request with the key
waits at its unique index until the first transaction ends. If that commits, the second one finds
the record; if it rolls back (a refusal, a crash), the second one is the first. An answer that needs
no wait is stored in that transaction. Otherwise whoever first sees the decision stores its answer,
and everybody, that one included, answers with the stored bytes. An answer that decides nothing is
never stored: stored, it would be repeated for ever, long after the decision. So until then each
request with the key looks again, and is told what it sees.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from shared import clock, crypto, db
from shared.errors import Conflict, Invalid
from shared.http.card_numbers import CardNumberRefused, contains_card_number
from shared.http.fields import WrittenAmount
from shared.http.principal import Principal, Signed, principal_of
from shared.http.rendering import Renderer
from shared.models import BURNT, IdempotencyKeyInUse

RETENTION = timedelta(days=30)
RETENTION_OF_SECRETS = timedelta(hours=24)
HEADER = "HTTP_IDEMPOTENCY_KEY"
MAX_KEY_LENGTH = 128
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    str,
    "header",
    enum=["true"],
    response=[200, 201, 204],
    description="The request was sent before: these are the stored bytes of its outcome.",
)
"""For the documents of endpoints that answer once per key."""
_PURPOSE = "idempotent response"


class IdempotencyKeyRequired(Invalid):
    """Every change carries an idempotency key: put `idempotencyKey` into the body."""


class IdempotencyKeyUnsigned(Invalid):
    """The key stands only in a header that this signature does not cover; put it into the body."""


class IdempotencyKeyMismatch(Invalid):
    """The idempotency keys of header and body differ."""


class IdempotencyKeyReused(Conflict):
    """This idempotency key was used for another request."""


class IdempotencyKeyCancelled(Conflict):
    """This idempotency key was cancelled before it was used."""


@dataclass(frozen=True)
class Answer:
    """
    What to say: a status, a body and the headers that belong to it.

    One that is not decided tells how things stand, and is told anew to every repeat.
    """

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    is_decided: bool = True


@dataclass(frozen=True)
class Accepted:
    """What the use case created, and the answer if it needs no wait, decided or not."""

    subject_id: UUID | None
    answer: Answer | None = None


Work = Callable[[str], Accepted]
Finish = Callable[[UUID], Answer]
Repeat = Callable[[UUID], object]


def answer_once(  # noqa: PLR0913 - each is something that endpoints differ in
    request: Request,
    validated: dict[str, Any],
    work: Work,
    *,
    finish: Finish | None = None,
    retention: timedelta = RETENTION,
    path: str | None = None,
    before_repeat: Repeat | None = None,
) -> Response:
    """
    Run `work(key)` once per key in one transaction; once decided, answer with the same bytes.

    `validated` are the request's validated fields, with `idempotencyKey` if the body has one.
    `finish(subject_id)` looks at what became of it, outside the transaction, and waits as long as
    this request wants to; it is called when `work` gave no answer, and by every repeat until an
    answer is stored. `Idempotent-Replayed` marks repeats that are answered with stored bytes.
    `path` stands for the request's own where one operation has several: a repeat at any of them is
    a repeat.
    `before_repeat(subject_id)` is called before a stored answer is given again, and may refuse: for
    an answer that must not be had for ever by whoever can sign.

    Raises:
        IdempotencyKeyRequired, IdempotencyKeyUnsigned, IdempotencyKeyMismatch: see `key_of`.
        IdempotencyKeyReused: the key was used for another request.
        IdempotencyKeyCancelled: the key was burnt.
        IdempotencyKeyInUse: the first request's transaction is still open after 2 seconds.

    """
    principal = principal_of(request)
    key = key_of(request, validated, principal)
    fingerprint = _fingerprint(request.method, path or request.path, validated)
    attempt = _Attempt(principal.merchant_id, key, fingerprint, retention, before_repeat)
    return attempt.answer(work, finish)


def key_of(request: Request, validated: dict[str, Any], principal: Principal) -> str:
    """
    The request's idempotency key: from the signed body, or from a header the signature covers.

    Raises:
        IdempotencyKeyRequired: neither has one.
        IdempotencyKeyUnsigned: only a header has one that the signature does not cover.
        IdempotencyKeyMismatch: both have one and they differ.
        CardNumberRefused: it contains a card number.

    """
    in_body, in_header = validated.get("idempotencyKey"), request.META.get(HEADER)
    if in_header is not None and in_body is not None and in_header != in_body:
        raise IdempotencyKeyMismatch
    if in_body is not None:
        return str(in_body)
    if in_header is None:
        raise IdempotencyKeyRequired
    if Signed.IDEMPOTENCY_KEY not in principal.signed:
        raise IdempotencyKeyUnsigned
    if not (
        in_header.isascii() and in_header.isprintable() and 1 <= len(in_header) <= MAX_KEY_LENGTH
    ):
        raise IdempotencyKeyRequired("An idempotency key is 1 to 128 printable ASCII characters.")
    if contains_card_number(in_header):
        raise CardNumberRefused
    return str(in_header)


def _fingerprint(method: str | None, path: str, validated: dict[str, Any]) -> bytes:
    fields = {
        name: value.value if isinstance(value, WrittenAmount) else value
        for name, value in validated.items()
        if name != "idempotencyKey"
    }
    message = json.dumps([method, path, fields], sort_keys=True, default=str)
    return crypto.fingerprint(message.encode(), purpose="idempotent request")


# A record whose term is over counts as purged, whether the nightly purge has met it or not.
_CLAIM_KEY = """
INSERT INTO shared.idempotency_record AS record (merchant_id, key, fingerprint, expires_at)
VALUES (%s, %s, %s, %s)
ON CONFLICT (merchant_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, subject_id = NULL,
    status = NULL, response = NULL
WHERE record.expires_at <= %s
RETURNING id
"""
_Stored = tuple[bytes, UUID | None, int | None, bytes | None]
_NOTHING: _Stored = (b"", None, None, None)


@dataclass(frozen=True)
class _Attempt:
    merchant_id: UUID
    key: str
    fingerprint: bytes
    retention: timedelta
    before_repeat: Repeat | None = None

    def answer(self, work: Work, finish: Finish | None) -> Response:
        accepted, stored = db.run_in_transaction(lambda: self._begin(work))
        if accepted is None:
            return self._replay(*stored, finish=finish)
        if accepted.answer is not None:
            return _respond(accepted.answer)
        assert finish is not None and accepted.subject_id is not None  # noqa: S101
        return self._look(accepted.subject_id, finish, is_repeat=False)

    def _begin(self, work: Work) -> tuple[Accepted | None, _Stored]:
        if not self._is_first():
            return None, self._stored()
        accepted = work(self.key)
        decided = accepted.answer if accepted.answer and accepted.answer.is_decided else None
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.idempotency_record SET subject_id = %s, status = %s, response = %s"
                " WHERE merchant_id = %s AND key = %s",
                [
                    accepted.subject_id,
                    decided.status if decided else None,
                    self._seal(decided) if decided else None,
                    self.merchant_id,
                    self.key,
                ],
            )
        return accepted, _NOTHING

    def _is_first(self) -> bool:
        now = clock.now()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    _CLAIM_KEY,
                    [self.merchant_id, self.key, self.fingerprint, now + self.retention, now],
                )
                return cursor.fetchone() is not None
        except OperationalError as error:
            if db.sqlstate(error) == "55P03":
                raise IdempotencyKeyInUse from None
            raise

    def _stored(self) -> "_Stored":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT fingerprint, subject_id, status, response FROM shared.idempotency_record"
                " WHERE merchant_id = %s AND key = %s",
                [self.merchant_id, self.key],
            )
            row = cursor.fetchone()
        if row is None:
            raise IdempotencyKeyInUse  # purged between the two statements
        return row  # type: ignore[no-any-return]

    def _replay(
        self,
        fingerprint: bytes,
        subject_id: UUID | None,
        status: int | None,
        response: bytes | None,
        *,
        finish: Finish | None,
    ) -> Response:
        if bytes(fingerprint) == BURNT:
            raise IdempotencyKeyCancelled
        if not crypto.same(bytes(fingerprint), self.fingerprint):
            raise IdempotencyKeyReused
        if response is not None and status is not None:
            if self.before_repeat is not None and subject_id is not None:
                self.before_repeat(subject_id)
            return _respond(self._unseal(status, response), is_repeat=True)
        if finish is None or subject_id is None:
            raise IdempotencyKeyInUse
        return self._look(subject_id, finish, is_repeat=True)

    def _look(self, subject_id: UUID, finish: Finish, *, is_repeat: bool) -> Response:
        answer = finish(subject_id)
        if not answer.is_decided:
            return _respond(answer)
        return _respond(self._stored_once(subject_id, answer), is_repeat=is_repeat)

    def _stored_once(self, subject_id: UUID, answer: Answer) -> Answer:
        """The answer, unless somebody saw the decision before: then theirs."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.idempotency_record SET status = %s, response = %s"
                " WHERE merchant_id = %s AND key = %s AND subject_id = %s AND response IS NULL",
                [answer.status, self._seal(answer), self.merchant_id, self.key, subject_id],
            )
            if cursor.rowcount == 1:
                return answer
        _, _, status, response = self._stored()
        if status is None or response is None:
            raise IdempotencyKeyInUse  # its term ended meanwhile, and another request has the key
        return self._unseal(status, response)

    def _seal(self, answer: Answer) -> bytes:
        headers = json.dumps(answer.headers).encode()
        return crypto.seal(
            headers + b"\n" + _bytes(answer.body), purpose=_PURPOSE, bound_to=self._place
        )

    def _unseal(self, status: int, sealed: bytes) -> Answer:
        opened = crypto.unseal(sealed, purpose=_PURPOSE, bound_to=self._place)
        headers, _, body = opened.partition(b"\n")
        return Answer(status, body, json.loads(headers))

    @property
    def _place(self) -> str:
        return f"{self.merchant_id}|{self.key}"


def _bytes(body: Any) -> bytes:
    return b"" if body is None else Renderer().render(body)


def _respond(answer: Answer, *, is_repeat: bool = False) -> Response:
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if is_repeat else {})
    content_type = headers.pop("Content-Type", None)
    return Response(answer.body or None, answer.status, headers=headers, content_type=content_type)
