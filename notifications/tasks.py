"""The module's outside work: sending messages."""

from collections.abc import Sequence

from notifications import conf
from notifications.models import Message
from notifications.use_cases.address_messages import address_messages
from notifications.use_cases.record_messages import record_exhausted, record_sent
from notifications.use_cases.send_message import send_message
from shared import clock
from shared.event_bus import CELERY, QUICK_TRIES, intent


def prepare(messages: Sequence[Message]) -> Sequence[Message]:
    """See to whom they go by now."""
    return address_messages(messages=messages)


def record(finished: Sequence[tuple[Message, None]]) -> None:
    """Note that they were sent."""
    record_sent(messages=[message for message, _ in finished], now=clock.now())


def give_up(message: Message) -> None:
    """Tell that it was not delivered."""
    record_exhausted(message=message, now=clock.now())


@intent(
    "notifications.message",
    rows=Message,
    runs_in=CELERY,
    prepare=prepare,
    record=record,
    lease_seconds=conf.SEND_LEASE_SECONDS,
    when_parked=give_up,
    # A mail server may be away for a night.
    pauses=(*QUICK_TRIES, *[3600] * conf.HOURLY_TRIES),
)
def run_message(message: Message) -> None:
    """Send it."""
    send_message(message=message)
