"""Arming failpoints, and what they prove about a listener that would show every repetition."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connection, transaction

from shared.event_bus import _deliver, _failpoints
from shared.event_bus._deliver import deliver_again
from shared.event_bus._failpoints import Action, Failpoint, FailpointRaised, armed, hit
from shared.event_bus._outstanding import Claim
from shared.event_bus._queue import remove
from shared.event_bus._registry import Listener
from shared.identifiers import new_id
from shared.tests.event_bus.conftest import (
    Effects,
    action,
    deliver_to_test,
    hasten,
    outstanding,
    publish_committed,
)

POINTS = (
    Failpoint.DELIVER_CLAIMED,
    Failpoint.FINISH_REMOVED,
    Failpoint.FINISH_EFFECT,
    Failpoint.FINISH_COMMITTED,
)
TROUBLES = (Action.RAISE, Action.CUT, f"{Action.STALL}:0.01")


class TestArming:
    def test_goes_off_once_at_the_time_asked_for(self) -> None:
        with armed("finish.effect=raise@2"):
            hit(Failpoint.FINISH_EFFECT)
            with pytest.raises(FailpointRaised):
                hit(Failpoint.FINISH_EFFECT)
            hit(Failpoint.FINISH_EFFECT)
        hit(Failpoint.FINISH_EFFECT)

    def test_takes_several_points(self) -> None:
        with armed("finish.effect=raise; record.done=stall:0.01"):
            hit(Failpoint.RECORD_DONE)
            with pytest.raises(FailpointRaised):
                hit(Failpoint.FINISH_EFFECT)

    @pytest.mark.parametrize(
        "text",
        [
            "finish.elsewhere=kill",
            "finish.effect=explode",
            "finish.effect",
            "=kill",
            "finish.effect=kill@often",
            "finish.effect=stall:long",
        ],
    )
    def test_says_what_it_cannot_read(self, text: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="PAYFLOW_FAILPOINTS") as error, armed(text):
            pass
        assert repr(text) in str(error.value)
        assert "finish.effect" in str(error.value)

    def test_nothing_is_armed_unless_asked_for(self) -> None:
        assert _failpoints._armed == {}


class TestStart:
    def test_is_refused_in_production(self) -> None:
        answer = started(PAYFLOW_MODE="production", PAYFLOW_FAILPOINTS="finish.effect=kill")
        assert answer.returncode != 0
        assert "PAYFLOW_FAILPOINTS must not be set in production." in answer.stderr

    def test_is_refused_with_an_unknown_point(self) -> None:
        answer = started(PAYFLOW_FAILPOINTS="finish.elsewhere=kill")
        assert answer.returncode != 0
        assert "ImproperlyConfigured: PAYFLOW_FAILPOINTS cannot be read" in answer.stderr


def started(**environment: str) -> "subprocess.CompletedProcess[str]":
    """A process that starts as every part of the platform does."""
    secrets = {"PAYFLOW_SECRET_KEY": "s" * 50, "PAYFLOW_KEY_RING": f"k1:{'A' * 43}="}
    return subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        env=os.environ | secrets | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.django_db
class TestDelivery:
    @pytest.mark.parametrize("point", POINTS)
    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_has_its_effect_once_and_in_order(
        self, effects: Effects, point: Failpoint, trouble: str
    ) -> None:
        expected = publish_two_stories()

        assert deliver_all_despite(f"{point}={trouble}") == 1

        # Stories overtake each other, their events do not.
        assert sorted(effects.rows(), key=story) == sorted(expected, key=story)
        assert outstanding() == []


@pytest.mark.django_db
class TestNaiveTwins:
    def test_effect_first_doubles_it(
        self, effects: Effects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = publish_two_stories()
        monkeypatch.setattr(_deliver, "_run", in_two_transactions(effect_first=True))

        deliver_all_despite("finish.effect=raise")

        assert len(effects.rows()) > len(expected)

    def test_removal_first_loses_it(
        self, effects: Effects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = publish_two_stories()
        monkeypatch.setattr(_deliver, "_run", in_two_transactions(effect_first=False))

        deliver_all_despite("finish.removed=raise")

        assert len(effects.rows()) < len(expected)
        assert outstanding() == []


def in_two_transactions(*, effect_first: bool) -> Callable[[Listener, Sequence[Claim[Any]]], None]:
    def effect(entry: Listener, claims: Sequence[Claim[Any]]) -> None:
        entry.function([_deliver.restored_or_parked(claim) for claim in claims])
        transaction.on_commit(lambda: hit(Failpoint.FINISH_EFFECT))

    def removal(entry: Listener, claims: Sequence[Claim[Any]]) -> None:
        remove(claims)
        transaction.on_commit(lambda: hit(Failpoint.FINISH_REMOVED))

    def run(entry: Listener, claims: Sequence[Claim[Any]]) -> None:
        for step in (effect, removal) if effect_first else (removal, effect):
            with transaction.atomic():
                step(entry, claims)

    return run


def publish_two_stories() -> list[tuple[object, int]]:
    """Two events each of two stories; returns the effects in the order they must have."""
    one, other = new_id(), new_id()
    publish_committed(action(0, one), action(0, other), action(1, one), action(1, other))
    return [(one, 0), (other, 0), (one, 1), (other, 1)]


def story(row: tuple[object, int]) -> str:
    return str(row[0])


def deliver_all_despite(trouble: str) -> int:
    """Deliver until nothing is left, as the dispatcher does; how often it had to start again."""
    with armed(trouble):
        for _ in range(20):
            try:
                while deliver_to_test() or deliver_again():
                    pass
            except (FailpointRaised, DatabaseError, InterfaceError):
                connection.close()
            hasten()
        return sum(entry.passes_left <= 0 for entry in _failpoints._armed.values())
