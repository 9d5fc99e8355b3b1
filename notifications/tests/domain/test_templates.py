"""Which events are worth a message."""

from notifications.domain.templates import TEMPLATES
from shared.events.base import DomainEvent
from shared.events.catalogue import contracts


class TestTemplates:
    def test_are_for_contracts_there_are(self) -> None:
        known: set[type[DomainEvent]] = set(contracts())
        assert set(TEMPLATES) <= known

    def test_are_named_once(self) -> None:
        assert len(set(TEMPLATES.values())) == len(TEMPLATES)

    def test_are_for_events_that_say_whom_to_tell(self) -> None:
        for event in TEMPLATES:
            assert {"merchant_email", "merchant_name"} <= set(event.__dataclass_fields__)
