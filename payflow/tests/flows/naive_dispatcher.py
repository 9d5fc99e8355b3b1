"""A dispatcher built as one should not: publications are removed, then the effect happens."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from shared.event_bus import _deliver  # noqa: E402
from shared.event_bus._failpoints import Failpoint, hit  # noqa: E402
from shared.event_bus._outstanding import Claim  # noqa: E402
from shared.event_bus._queue import remove  # noqa: E402
from shared.event_bus._registry import Listener  # noqa: E402


def run(entry: Listener, claims: Sequence[Claim[Any]]) -> None:
    """Two transactions; a death between them loses what it stood for."""
    with transaction.atomic():
        remove(claims)
    hit(Failpoint.FINISH_REMOVED)
    with transaction.atomic():
        entry.function([_deliver.restored_or_parked(claim) for claim in claims])


if __name__ == "__main__":
    _deliver._run = run
    sys.exit(call_command("dispatch"))
