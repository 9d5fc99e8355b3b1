"""
Whose calls are begun next: the slots of a dispatcher are shared by all merchants.

# Note [Shares of call slots]

One merchant holds at most half of the slots; up to three quarters while nobody else's call is due.
So a quarter is always left for others, and who was quiet is served at once however many slow calls
somebody else has planned. When slots are short, the merchants that hold less than an equal share
come first: several who crowd together cannot keep another one out either. Among equals what has
been due the longest comes first, so nobody waits for what was planned later.

A claim takes the rows that have been due the longest. Whose turn it is not is *passed over* by a
condition of that claim, never by claiming and giving back: a row that gets no slot gets no lease.
A claim is so small that even if all of its rows were one merchant's, no share would be exceeded.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

Merchant = UUID | None
"""None for outside work that is nobody's: it takes what is free."""


@dataclass(frozen=True)
class Turn:
    """What may be claimed next: so many rows, of all but some merchants, or of a single one."""

    limit: int
    passed_over: frozenset[UUID] = frozenset()
    only: UUID | None = None

    @property
    def is_everybodys(self) -> bool:
        """Whether any merchant's rows may be claimed."""
        return not self.passed_over and self.only is None


class Slots:
    """The slots of one kind of calls, and who holds them; for one thread at a time."""

    def __init__(self, count: int) -> None:
        """All are free."""
        self._count = count
        self._held: Counter[Merchant] = Counter()

    def take(self, merchant_id: Merchant) -> None:
        """A call of the merchant's begins."""
        self._held[merchant_id] += 1

    def give_back(self, merchant_id: Merchant) -> None:
        """A call of the merchant's ended."""
        self._held[merchant_id] -= 1
        self._held += Counter()  # forgets those who hold none

    def turns(self) -> Iterator[Turn]:
        """
        Turns to claim in, one after the other; `take` what each claimed before the next.

        A single one while slots are plenty. What a turn left due is found by the next call.
        """
        yield from self._turns_of_the_quiet()
        if not (free := self.free):
            return
        turn = self._turn_of_all_below(self._half)
        yield turn
        has_found_all = free - self.free < turn.limit
        if has_found_all and len(turn.passed_over) == 1:
            yield from self._turns_of_the_rest(*turn.passed_over)

    # Properties

    @property
    def free(self) -> int:
        """How many calls can begin now."""
        return self._count - self._held.total()

    @property
    def _half(self) -> int:
        return max(1, self._count // 2)

    @property
    def _equal_share(self) -> int:
        return max(1, self._count // (len(self._held) + 1))

    def _turns_of_the_quiet(self) -> Iterator[Turn]:
        quiet, all_below_half = map(self._turn_of_all_below, (self._equal_share, self._half))
        is_short = 4 * self.free < self._count or all_below_half.passed_over
        if self.free and is_short and quiet.passed_over != all_below_half.passed_over:
            yield quiet

    def _turn_of_all_below(self, most: int) -> Turn:
        held = {merchant: held for merchant, held in self._held.items() if merchant is not None}
        passed_over = frozenset(merchant for merchant in held if held[merchant] >= most)
        highest = max((held[merchant] for merchant in held.keys() - passed_over), default=0)
        return Turn(min(self.free, most - highest), passed_over)

    def _turns_of_the_rest(self, merchant_id: UUID) -> Iterator[Turn]:
        limit = min(self.free, 3 * self._count // 4 - self._held[merchant_id])
        if limit > 0:
            yield Turn(limit, only=merchant_id)
