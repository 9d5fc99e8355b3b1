"""A merchant's side of the API, with nothing but the standard library."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

_TIMEOUT_SECONDS = 20
# What serves on 127.0.0.1 must not be asked for through somebody's proxy.
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def send(method: str, url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """One request; a refusal is an answer too."""
    request = Request(url, body or None, headers, method=method)  # noqa: S310 - our own address
    try:
        with _opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, dict(refusal.headers), refusal.read())


@dataclass(frozen=True)
class Merchant:
    """A registered merchant, who signs whatever it sends."""

    api: str
    merchant_id: str
    api_key: str

    @classmethod
    def register(cls, api: str, *, name: str, email: str) -> Self:
        """Register a merchant."""
        body = json.dumps({"name": name, "email": email}).encode()
        headers = {"Content-Type": "application/json"}
        return cls.from_registration(api, send("POST", f"{api}/merchants/register", body, headers))

    @classmethod
    def from_registration(cls, api: str, answer: Answer) -> Self:
        """The merchant that a registration has made."""
        return cls(api, answer.document["merchantId"], answer.document["apiKey"])

    def get(self, path: str) -> Answer:
        """A signed GET."""
        return self.send("GET", path, b"", signed=b"")

    def post(self, path: str, document: object) -> Answer:
        """A signed POST."""
        body = json.dumps(document).encode()
        return self.send("POST", path, body, signed=body)

    def send(self, method: str, path: str, body: bytes, *, signed: bytes) -> Answer:
        """A request whose signature is about `signed`, whatever the body is."""
        timestamp = str(int(time.time()))
        message = timestamp.encode() + b"." + signed
        headers = {
            "Content-Type": "application/json",
            "X-Merchant-ID": self.merchant_id,
            "X-Timestamp": timestamp,
            "X-Signature": hmac.new(self.api_key.encode(), message, hashlib.sha256).hexdigest(),
        }
        return send(method, self.api + path, body, headers)
