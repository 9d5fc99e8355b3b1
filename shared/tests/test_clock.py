"""The clock: one form of an instant."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from shared import clock

instants = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - bounds are naive by contract
    timezones=st.timezones(),
)


class TestNow:
    def test_is_in_utc(self) -> None:
        assert clock.now().utcoffset() == timedelta(0)


class TestIso:
    def test_is_utc_with_microseconds_and_z(self) -> None:
        instant = datetime(2026, 1, 31, 12, tzinfo=UTC)
        assert clock.iso(instant) == "2026-01-31T12:00:00.000000Z"

    def test_converts_other_zones(self) -> None:
        instant = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        assert clock.iso(instant) == "2025-12-31T18:30:00.000000Z"

    @given(instants.filter(lambda instant: 1970 < instant.year < 9999))
    def test_is_read_back_to_the_microsecond(self, instant: datetime) -> None:
        # In UTC: an hour that a zone skips or repeats equals nothing, not even itself.
        assert clock.parse(clock.iso(instant)) == instant.astimezone(UTC)

    @given(st.lists(instants.filter(lambda instant: 1970 < instant.year < 9999), min_size=2))
    def test_sorts_as_text_as_it_does_in_time(self, several: list[datetime]) -> None:
        in_utc = sorted(instant.astimezone(UTC) for instant in several)
        assert sorted(map(clock.iso, several)) == list(map(clock.iso, in_utc))
