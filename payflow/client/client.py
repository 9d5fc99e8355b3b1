"""Sending signed requests, repeating them until they are answered, and turning pages."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

import urllib3
from urllib3.util import parse_url

from .signing import Signer

_READS = frozenset({"GET", "HEAD"})
_TOO_MANY, _SERVER_ERROR = 429, 500

OnRetry = Callable[[str], object]
"""Is told why a request is sent again: "connection lost", "503 unavailable"."""


@dataclass(frozen=True)
class Patience:
    """How long a request is repeated, and how long the pauses are, in seconds."""

    total_seconds: float = 60.0
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0

    def pause_seconds(self, tries: int) -> float:
        """The pause after so many tries: doubled each time, and never the same for two clients."""
        doubled = self.first_pause_seconds * 2.0 ** min(tries - 1, 16)
        return min(doubled, self.longest_pause_seconds) * random.uniform(0.5, 1.0)  # noqa: S311


@dataclass(frozen=True)
class Answer:
    """What came back; a refusal is an answer, too."""

    status: int
    headers: Mapping[str, str]
    """Found in any spelling: `Location`, `location`."""
    body: bytes
    idempotency_key: str = ""
    """The key that the request carried."""

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def is_success(self) -> bool:
        """Whether it was carried out, or at least accepted (202)."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success, as HTTP has it

    @property
    def code(self) -> str:
        """The refusal's stable code, or its status if whoever refused knows none; else empty."""
        if self.is_success:
            return ""
        try:
            return str(self.document["code"])
        except (ValueError, KeyError, TypeError):
            return str(self.status)

    @property
    def is_worth_repeating(self) -> bool:
        """Whether the same request may be answered otherwise in a moment."""
        is_accepted_just_now = self.code == "idempotency_key_in_use"
        return self.status >= _SERVER_ERROR or self.status == _TOO_MANY or is_accepted_just_now


class Refused(Exception):
    """The request was refused; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(f"{answer.status} {answer.code}")
        self.answer = answer


class NoAnswer(Exception):
    """Nothing came back, and it may have happened all the same: ask again under the same key."""

    def __init__(self, idempotency_key: str) -> None:
        """Keep the key to ask again with."""
        super().__init__(f"No answer to the request with the idempotency key {idempotency_key!r}.")
        self.idempotency_key = idempotency_key


@dataclass(frozen=True)
class _Request:
    """A request that can be sent again: the same bytes under the same key, signed anew."""

    method: str
    url: str
    target: str
    body: bytes
    idempotency_key: str
    wait_seconds: int


@dataclass
class Client:
    """
    One merchant at one PayFlow; safe to share by threads.

    `api` ends in `/api/v1`. Version 1 of signatures opens reads, payments and tokens only; there
    is no reason for it but to try it.
    """

    api: str
    merchant_id: str
    api_key: str = field(repr=False)
    version: int = 2
    patience: Patience = field(default_factory=Patience)
    timeout_seconds: float = 40.0
    """Longer than a request may wait for a decision (`wait_seconds`, at most 30)."""
    connections: int = 10

    def __post_init__(self) -> None:
        """Make ready to connect; nothing is sent yet."""
        self.api = self.api.rstrip("/")
        # Repeating is done here: urllib3 knows nothing of keys, and would follow redirects.
        self._http = urllib3.PoolManager(
            maxsize=self.connections, block=False, retries=False, timeout=self.timeout_seconds
        )

    @classmethod
    def register(cls, api: str, *, name: str, email: str, **options: Any) -> Self:
        """Register a merchant, which is its client. Raises: Refused."""
        stranger = cls(api, "", "", **options)
        body = json.dumps({"name": name, "email": email}).encode()
        answer = stranger.send("POST", "/merchants/register", body)
        stranger.close()
        if not answer.is_success:
            raise Refused(answer)
        return cls(api, answer.document["merchantId"], answer.document["apiKey"], **options)

    @property
    def signer(self) -> Signer:
        """What signs its requests."""
        return Signer(self.merchant_id, self.api_key)

    def get(self, path: str, **query: str | int) -> Answer:
        """Read. Raises: NoAnswer."""
        return self.request("GET", _with_query(path, query))

    def post(self, path: str, document: Mapping[str, Any], **options: Any) -> Answer:
        """Ask for a change; `options` are those of `request`. Raises: NoAnswer."""
        return self.request("POST", path, document, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """Delete; `options` are those of `request`. Raises: NoAnswer."""
        return self.request("DELETE", path, **options)

    def items(self, path: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """All of a collection, page by page as they are wanted. Raises: NoAnswer, Refused."""
        cursor: dict[str, str] = {}
        while True:
            answer = self.get(path, **(query | cursor))
            if not answer.is_success:
                raise Refused(answer)
            page = answer.document
            yield from page["data"]
            if not page.get("nextCursor"):
                return
            cursor = {"cursor": page["nextCursor"]}

    def request(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str = "",
        wait_seconds: int = 0,
        on_retry: OnRetry = lambda reason: None,
    ) -> Answer:
        """
        Send a request, again and again under one idempotency key, until it is answered.

        The key is `idempotency_key`, or the document's own, or a new one. Give your own wish's name
        (an order's number) if it has to survive your process. A lost connection, 429, 5xx and a
        key in use are tried again until patience ends; then the last answer is given back.
        `wait_seconds` is how long the platform may wait for a decision (`Prefer: wait=N`).

        Raises:
            NoAnswer: there was none, not even a refusal.

        """
        request = self._prepared(method, path, document, idempotency_key, wait_seconds)
        give_up_at, tries = time.monotonic() + self.patience.total_seconds, 0
        while True:
            tries += 1
            answer = self._try(request)
            if isinstance(answer, Answer) and not answer.is_worth_repeating:
                return answer
            pause = max(self.patience.pause_seconds(tries), _asked_pause_seconds(answer))
            if time.monotonic() + pause > give_up_at:
                return _last(answer, request)
            on_retry(_reason(answer))
            time.sleep(pause)

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request as it is, neither signed nor repeated. Raises: urllib3's HTTPError."""
        return self._send(method, self.api + path, body, headers or {})

    def close(self) -> None:
        """Close its connections."""
        self._http.clear()

    def _prepared(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        idempotency_key: str,
        wait_seconds: int,
    ) -> _Request:
        url, key = parse_url(self.api + path), ""
        if method not in _READS:
            key = idempotency_key or (document or {}).get("idempotencyKey") or str(uuid4())
            if self.version == 1:
                document = {**(document or {}), "idempotencyKey": key}
        body = b"" if document is None else json.dumps(document, allow_nan=False).encode()
        return _Request(method, url.url, url.request_uri, body, key, wait_seconds)

    def _try(self, request: _Request) -> Answer | urllib3.exceptions.HTTPError:
        headers = self._signed(request)
        if request.wait_seconds:
            headers["Prefer"] = f"wait={request.wait_seconds}"
        try:
            return self._send(
                request.method, request.url, request.body, headers, request.idempotency_key
            )
        except urllib3.exceptions.HTTPError as error:
            return error

    def _signed(self, request: _Request) -> dict[str, str]:
        """Signed anew for each try: the time is part of it."""
        if self.version == 1:
            return self.signer.version_1(request.body)
        key = request.idempotency_key
        headers = self.signer.version_2(
            request.method, request.target, request.body, idempotency_key=key
        )
        return headers | ({"Idempotency-Key": key} if key else {})

    def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], key: str = ""
    ) -> Answer:
        kind = {"Content-Type": "application/json"} if body else {}
        answer = self._http.request(method, url, body=body or None, headers={**kind, **headers})
        return Answer(answer.status, answer.headers, answer.data, key)


def _with_query(path: str, query: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _asked_pause_seconds(answer: Answer | urllib3.exceptions.HTTPError) -> float:
    """What `Retry-After` asks for."""
    asked = answer.headers.get("Retry-After", "") if isinstance(answer, Answer) else ""
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0


def _reason(answer: Answer | urllib3.exceptions.HTTPError) -> str:
    if not isinstance(answer, Answer):
        return "connection lost"
    return f"{answer.status} {answer.code}" if answer.code != str(answer.status) else answer.code


def _last(answer: Answer | urllib3.exceptions.HTTPError, request: _Request) -> Answer:
    if isinstance(answer, Answer):
        return answer
    raise NoAnswer(request.idempotency_key) from answer
