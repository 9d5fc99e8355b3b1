"""A story as text of at most 120 columns."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from audit.queries import Recorded
from ledger.models import JournalEntry
from notifications.models import Message
from payflow.story.gather import Story
from payments.models import Operation
from shared import clock
from shared.event_bus.standing import State, state_of
from shared.event_bus.tracing import Delivery
from shared.events.catalogue import UnknownEventType, contract
from shared.http.card_numbers import contains_card_number
from shared.models import Event, Outstanding
from shared.money import format_amount

WIDTH = 120
Line = Sequence[object]


def lines_of(story: Story, *, now: datetime) -> Iterator[str]:
    """The story, section by section; sections without a row are left out."""
    yield from _head(story)
    yield from _section("Events", _EVENTS, _events(story, now))
    yield from _section("Calls to processors", _CALLS, _calls(story, now))
    yield from _section("Messages", _MESSAGES, _messages(story, now))
    yield from _section("Ledger", _LEDGER, _entries(story))


_EVENTS = (("+ms", 9), ("event, then → each listener", 36), ("publisher, then its state", 0))
_CALLS = (
    ("+ms", 9),
    ("call", 10),
    ("amount", 22),
    ("processor", 12),
    ("claims", 6),
    ("sends", 5),
    ("state", 0),
)
_MESSAGES = (("+ms", 9), ("template", 26), ("claims", 6), ("state", 0))
_LEDGER = (("+ms", 9), ("entry", 10), ("account", 24), ("debit", 24), ("credit", 24))
_NUMBERS = frozenset({"+ms", "amount", "claims", "sends", "debit", "credit"})


def _head(story: Story) -> Iterator[str]:
    yield f"Story    {story.id}"
    if (payment := story.payment) is not None:
        amount = _money(payment.amount_minor, payment.currency)
        yield f"Payment  {payment.pk}: {payment.status}, {amount}"
        yield f"Merchant {payment.merchant_id}"
    yield f"Began    {clock.iso(story.began_at)}; +ms counts from there"
    if not story.steps:
        yield "The registry's events are purged by now; these are from the audit trail."


def _events(story: Story, now: datetime) -> Iterator[Line]:
    for step in story.steps:
        yield _published(story, step.event, step.event.published_at)
        for delivery in step.deliveries:
            state = _state(delivery.state, delivery.publication, now)
            yield ("", f"→ {delivery.listener_id}", state)
            yield from _error(delivery)
    if not story.steps:
        for record in story.records:
            yield _published(story, record, record.occurred_at)


def _published(story: Story, event: Event | Recorded, at: datetime) -> Line:
    publisher = _publisher(event.event_type, event.version)
    return (_since(story, at), f"{event.event_type}.v{event.version}", publisher)


def _calls(story: Story, now: datetime) -> Iterator[Line]:
    for call in story.operations:
        yield (
            _since(story, call.created_at),
            call.kind,
            _money(call.amount_minor, call.currency),
            call.processor,
            call.attempts,
            call.sends,
            _outcome(call, now),
        )


def _outcome(call: Operation, now: datetime) -> str:
    known = [part for part in (call.verdict or call.outcome or "planned", call.reason) if part]
    waits = [] if call.due_at is None and not call.is_parked else [_state_of(call, now)]
    asked = [f"asked {call.inquiries}×"] if call.inquiries else []
    return ", ".join(known + asked + waits)


def _messages(story: Story, now: datetime) -> Iterator[Line]:
    for message in story.messages:
        since, state = _since(story, message.created_at), _sent(story, message, now)
        yield (since, message.template, message.attempts, state)


def _sent(story: Story, message: Message, now: datetime) -> str:
    if message.sent_at is not None:
        return f"sent at +{_since(story, message.sent_at)}"
    return _state_of(message, now)


def _entries(story: Story) -> Iterator[Line]:
    for entry in story.entries:
        said: Line = (_since(story, entry.created_at), entry.entry_type)
        for line in _postings(entry):
            yield (*said, *line)
            said = ("", "")


def _postings(entry: JournalEntry) -> Iterator[Line]:
    for posting in entry.postings.all():
        sides = (posting.debit_minor, posting.credit_minor)
        amounts = [_money(minor, entry.currency) if minor else "" for minor in sides]
        yield (posting.account.kind, *amounts)


def _state_of(row: Outstanding, now: datetime) -> str:
    return _state(state_of(row, now), row, now)


def _state(state: State, row: Outstanding | None, now: datetime) -> str:
    if row is None or state is State.DONE:
        return str(state)
    claims = f"claimed {row.attempts}×, failed {row.failures}×"
    if state is State.PARKED:
        return f"PARKED, {claims}"
    if row.due_at is not None and row.due_at > now:
        return f"{state}, {claims}, next in {(row.due_at - now).total_seconds():.0f} s"
    return f"{state}, {claims}"


def _error(delivery: Delivery) -> Iterator[Line]:
    error = delivery.publication.last_error.strip() if delivery.publication else ""
    if error:
        last = error.splitlines()[-1].strip()
        told = "(its words look like a card number)" if contains_card_number(last) else last
        yield ("", "", told)


def _publisher(event_type: str, version: int) -> str:
    try:
        return contract(event_type, version).__module__.rpartition(".")[2]
    except UnknownEventType:
        return "unknown"


def _since(story: Story, at: datetime) -> str:
    return f"{(at - story.began_at).total_seconds() * 1000:.0f}"


def _money(minor: int, currency: str) -> str:
    return f"{format_amount(minor, currency)} {currency}"


def _section(title: str, columns: Sequence[tuple[str, int]], rows: Iterable[Line]) -> Iterator[str]:
    told = list(rows)
    if told:
        yield from ("", title, _laid_out(columns, [name for name, _ in columns]))
        yield from (_laid_out(columns, row) for row in told)


def _laid_out(columns: Sequence[tuple[str, int]], row: Line) -> str:
    cells = []
    for (name, width), cell in zip(columns, row, strict=False):
        text = _printable(str(cell))
        if not width:
            cells.append(text)
        elif name in _NUMBERS:
            cells.append(text.rjust(width))
        else:
            cells.append(_cut(text, width).ljust(width))
    return _cut(("  " + "  ".join(cells)).rstrip(), WIDTH)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
