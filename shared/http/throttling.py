"""Rate limits: token buckets in one SQL upsert each, exact under any number of processes."""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from shared.http.addresses import client_address, subscriber

# Runs by itself, never in a request's transaction: its row lock would be held to the commit.
_TAKE = """
INSERT INTO shared.rate_bucket AS bucket (bucket, tokens, refilled_at)
VALUES (%(bucket)s, %(capacity)s - 1, clock_timestamp())
ON CONFLICT (bucket) DO UPDATE
SET tokens = LEAST(%(capacity)s, bucket.tokens + %(refill)s
        * EXTRACT(EPOCH FROM clock_timestamp() - bucket.refilled_at)) - 1,
    refilled_at = clock_timestamp()
WHERE LEAST(%(capacity)s, bucket.tokens + %(refill)s
        * EXTRACT(EPOCH FROM clock_timestamp() - bucket.refilled_at)) >= 1
RETURNING tokens
"""


@dataclass(frozen=True)
class RateLimit:
    """A bucket per caller: `capacity` requests at once, refilled by `refill_per_second`."""

    name: str
    capacity: int
    refill_per_second: float

    def take(self, caller: str) -> None:
        """Take one token. Raises: Throttled (429 with `Retry-After`) when none is left."""
        with connection.cursor() as cursor:
            cursor.execute(
                _TAKE,
                {
                    "bucket": f"{self.name}:{caller}",
                    "capacity": self.capacity,
                    "refill": self.refill_per_second,
                },
            )
            if cursor.fetchone() is None:
                raise Throttled(wait=1 / self.refill_per_second)

    def give_back(self, caller: str) -> None:
        """Put a token back that was taken for nothing."""
        self._change(
            "UPDATE shared.rate_bucket SET tokens = LEAST(%s, tokens + 1) WHERE bucket = %s",
            self.capacity,
            f"{self.name}:{caller}",
        )

    def forget(self, caller: str) -> None:
        """Let a caller begin anew, with a full bucket."""
        self._change("DELETE FROM shared.rate_bucket WHERE bucket = %s", f"{self.name}:{caller}")

    def forget_all_of(self, callers: str) -> None:
        """Let every caller begin anew whose name begins so."""
        self._change(
            "DELETE FROM shared.rate_bucket WHERE starts_with(bucket, %s)",
            f"{self.name}:{callers}",
        )

    @staticmethod
    def _change(statement: str, *values: int | str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)


def address_of(request: HttpRequest) -> str:
    """
    The client's address: the connection's, or what proxies of ours say in `X-Forwarded-For`.

    Without `PAYFLOW_TRUSTED_PROXIES` no header is believed: anybody can write one.
    """
    meta = request.META
    return client_address(
        str(meta.get("REMOTE_ADDR", "")),
        meta.get("HTTP_X_FORWARDED_FOR", ""),
        settings.TRUSTED_PROXIES,
    )


def subscriber_of(request: HttpRequest) -> str:
    """Whom to limit a request's address as: itself, or its /64 where that is IPv6."""
    return subscriber(address_of(request))
