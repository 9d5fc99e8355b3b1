"""Keys as merchants rotate and revoke them: through the API, under signature version 2."""

import json
from typing import Any

from shared.testing.api import send_v2
from shared.testing.signing import SigningClient

ROTATE = "/merchants/keys/rotate"
DAY_SECONDS = 24 * 3600


def ask_rotation(merchant: SigningClient, overlap_seconds: int = 60, key: str = "rotate") -> Any:
    """The answer to a rotation."""
    body = {"idempotencyKey": key, "overlapSeconds": overlap_seconds}
    return send_v2(merchant, "POST", ROTATE, json.dumps(body).encode())


def rotate(merchant: SigningClient, overlap_seconds: int, key: str = "rotate") -> SigningClient:
    """The merchant as it signs with the new key."""
    answer = ask_rotation(merchant, overlap_seconds, key)
    assert answer.status_code == 201, answer.content
    return SigningClient(merchant.merchant_id, answer.json()["apiKey"])


def revoke(merchant: SigningClient, key_id: object, key: str = "revoke") -> Any:
    """The answer to a revocation."""
    body = json.dumps({"idempotencyKey": key}).encode()
    return send_v2(merchant, "DELETE", f"/merchants/keys/{key_id}", body)


def status(merchant: SigningClient) -> int:
    """What a read under this key answers with."""
    return int(merchant.get("/merchants/me").status_code)


def key_ids(merchant: SigningClient) -> list[str]:
    """Of all its keys, oldest first."""
    return [key["apiKeyId"] for key in merchant.get("/merchants/keys").json()["data"]][::-1]
