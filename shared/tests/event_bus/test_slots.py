"""Who gets a dispatcher's slots: rules without a database."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from shared.event_bus._slots import Slots, Turn

COUNT, HALF, MOST = 64, 32, 48
LOUD, LOUD_TOO, QUIET = (uuid4() for _ in range(3))


class World:
    """Calls that are due, the longest first, and those under way."""

    def __init__(self, slots: Slots, *due: tuple[UUID, int]) -> None:
        self.slots = slots
        self.due = [merchant for merchant, calls in due for _ in range(calls)]
        self.under_way: Counter[UUID] = Counter()
        self.claims = 0

    def serve(self) -> int:
        """Claim in turns, as a dispatcher does; how many calls began."""
        begun = 0
        for turn in self.slots.turns():
            self.claims += 1
            begun += self._claim(turn)
        return begun

    def settle(self) -> "World":
        """Serve until nothing more can begin."""
        while self.serve():
            pass
        return self

    def end(self, merchant: UUID, calls: int = 1) -> "World":
        """Calls of a merchant's end."""
        for _ in range(calls):
            self.under_way[merchant] -= 1
            self.slots.give_back(merchant)
        return self

    def plan(self, merchant: UUID, calls: int) -> "World":
        """Calls of a merchant's are due, after all others."""
        self.due += [merchant] * calls
        return self

    def _claim(self, turn: Turn) -> int:
        assert turn.limit > 0
        may = [
            m for m in self.due if m == turn.only or (not turn.only and m not in turn.passed_over)
        ]
        for merchant in may[: turn.limit]:
            self.due.remove(merchant)
            self.under_way[merchant] += 1
            self.slots.take(merchant)
        return len(may[: turn.limit])


class FirstCome(Slots):
    """The naive twin: whoever has been due the longest."""

    def turns(self) -> Iterator[Turn]:
        if self.free:
            yield Turn(self.free)


class TestOneMerchant:
    def test_takes_three_quarters_while_nobody_elses_call_is_due(self) -> None:
        assert World(Slots(COUNT), (LOUD, 500)).settle().under_way == {LOUD: MOST}

    def test_takes_half_while_others_are_due(self) -> None:
        world = World(Slots(COUNT), (LOUD, 500), (QUIET, 500)).settle()
        assert world.under_way == {LOUD: HALF, QUIET: HALF}

    def test_gives_back_what_is_more_than_half_to_others_who_come(self) -> None:
        world = World(Slots(COUNT), (LOUD, 500)).settle().plan(QUIET, 500).settle()
        assert world.under_way == {LOUD: MOST, QUIET: COUNT - MOST}
        for _ in range(MOST - HALF):
            world.end(LOUD).settle()
        assert world.under_way == {LOUD: HALF, QUIET: HALF}

    def test_leaves_a_quarter_to_who_comes_later(self) -> None:
        self.check_later(Slots)

    def test_would_leave_nothing_if_whoever_came_first_were_served_first(self) -> None:
        with pytest.raises(AssertionError):
            self.check_later(FirstCome)

    def check_later(self, kind: Callable[[int], Slots]) -> None:
        world = World(kind(COUNT), (LOUD, 500)).settle().plan(QUIET, COUNT - MOST).settle()
        assert world.under_way[QUIET] == COUNT - MOST


class TestSeveralLoudMerchants:
    def test_do_not_keep_another_one_out(self) -> None:
        world = World(Slots(COUNT), (LOUD, 500), (LOUD_TOO, 500)).settle().plan(QUIET, 3).settle()
        assert world.under_way == {LOUD: HALF, LOUD_TOO: HALF}
        for loud in (LOUD, LOUD_TOO, LOUD):
            world.end(loud).settle()
        assert world.under_way[QUIET] == 3

    @pytest.mark.parametrize("loud", [2, 3, 9, 20, 63])
    def test_share_equally_and_let_a_newcomer_in(self, loud: int) -> None:
        self.check_newcomer(Slots, loud)

    @pytest.mark.parametrize("loud", [2, 3, 9, 20, 63])
    def test_would_keep_it_out_if_whoever_came_first_were_served_first(self, loud: int) -> None:
        with pytest.raises(AssertionError):
            self.check_newcomer(FirstCome, loud)

    def check_newcomer(self, kind: Callable[[int], Slots], loud: int) -> None:
        merchants = [uuid4() for _ in range(loud)]
        world = World(kind(COUNT), *((merchant, 1 + 1000 // loud) for merchant in merchants))
        world.settle()
        for _ in range(4 * COUNT):
            (loudest, _), *_ = world.under_way.most_common(1)
            world.end(loudest).settle()
        world.plan(QUIET, 1)
        for merchant in world.under_way & Counter(merchants):
            world.end(merchant).settle()
        assert world.under_way[QUIET] == 1


class TestCost:
    def test_is_one_claim_while_slots_are_plenty(self) -> None:
        world = World(Slots(COUNT), *((uuid4(), 1) for _ in range(20)))
        assert (world.serve(), world.claims) == (20, 1)
        for merchant in list(world.under_way):
            world.plan(merchant, 1)
        assert (world.serve(), world.claims) == (20, 2)

    def test_is_no_claim_when_no_slot_is_free(self) -> None:
        world = World(Slots(COUNT), *((uuid4(), 1) for _ in range(COUNT))).settle()
        world.claims = 0
        assert (world.serve(), world.claims) == (0, 0)


class TestWorkOfNobody:
    def test_takes_what_is_free(self) -> None:
        slots, begun = Slots(COUNT), 0
        while turns := list(slots.turns()):
            for _ in range(turns[0].limit):
                slots.take(None)
                begun += 1
        assert begun == COUNT


class TestAnyWorld:
    @pytest.mark.parametrize("seed", range(40))
    def test_keeps_the_rules_and_leaves_no_slot_idle(self, seed: int) -> None:
        dice = random.Random(seed)
        count = dice.choice([1, 2, 4, 6, 8, 64])
        half, most = max(1, count // 2), max(1, count // 2, 3 * count // 4)
        merchants = [uuid4() for _ in range(dice.choice([1, 2, 3, 8, 80]))]
        world = World(Slots(count))
        for _ in range(60):
            for merchant in dice.sample(merchants, min(3, len(merchants))):
                world.plan(merchant, dice.choice([0, 1, 2, 50]))
            before = Counter(world.under_way)
            world.settle()
            assert world.under_way.total() <= count
            for merchant, held in world.under_way.items():
                others_due = [due for due in world.due if due != merchant]
                assert held <= most
                assert held <= max(half, before[merchant]) or not others_due
            free = count - world.under_way.total()
            beyond = half if len(set(world.due)) > 1 else most
            assert not free or all(world.under_way[due] >= beyond for due in world.due)
            for merchant in dice.choices(merchants, k=count // 2 + 1):
                if world.under_way[merchant]:
                    world.end(merchant)
