"""`python -m payflow.runtime.bench chain|registry|brokers|slow`, what `make bench…` runs."""

import os
import sys
from collections import Counter

from payflow.runtime.bench import brokers, chain, floor, registry, slow
from payflow.runtime.bench.ground import Ground, ground, say
from payflow.runtime.errors import CannotStart

_PAYMENTS = int(os.environ.get("BENCH_PAYMENTS", "2000"))
_FLOOR_SECONDS = int(os.environ.get("BENCH_FLOOR_SECONDS", "5"))
_DISPATCHERS = (1, 2, 4)


def main(what: str = "chain") -> None:
    """Measure, and print a table with the ratios as it grows."""
    with ground() as made:
        _MEASURES[what](made)


def _chain(made: Ground) -> None:
    floors = floor.measure(made, seconds=_FLOOR_SECONDS)
    http = chain.over_http(made, _PAYMENTS)
    drains = {count: chain.drain(made, _PAYMENTS, dispatchers=count) for count in _DISPATCHERS}
    one_by_one = chain.drain(made, _PAYMENTS // 4, batch=1)
    for clients, rate in floor.measure(made, seconds=_FLOOR_SECONDS).items():
        floors[clients] = max(rate, floors[clients])
    best = max(floors.values())
    for clients, rate in floors.items():
        say(f"    floor, {clients:>2} clients", f"{rate:8.0f} payments/s")
    say("(a) floor, PostgreSQL alone", f"{best:8.0f} payments/s", "1.00")
    _rate("(b) HTTP to the last e-mail", http.rate, best)
    for count, drained in drains.items():
        _rate(f"(c) drain of {_PAYMENTS}, {count} dispatcher(s)", drained.rate, best)
    say("    4 dispatchers beside 1", "", f"{drains[4].rate / drains[1].rate:.2f}")
    _rate(f"    drain of {_PAYMENTS // 4}, event by event", one_by_one.rate, best)
    for name, measured in (("full", http.busy), ("half", http.relaxed)):
        percentiles = (
            f"p{share} {measured.percentile_ms(share / 100):.0f} ms" for share in (50, 99)
        )
        say(f"(d) POST /payments at {name} rate", f"{', '.join(percentiles)} {measured.statuses}")
    _cpu("(b)", http.cpu, _PAYMENTS)
    _cpu("(c), 1", drains[1].cpu, _PAYMENTS)
    _cpu("(c), 4", drains[4].cpu, _PAYMENTS)


def _rate(what: str, rate: float, best: float) -> None:
    say(what, f"{rate:8.0f} payments/s", f"{rate / best:.2f}")


def _cpu(name: str, spent: "Counter[str]", payments: int) -> None:
    parts = ", ".join(f"{part} {s / payments * 1000:.2f}" for part, s in spent.most_common())
    say(f"    CPU ms per payment in {name}", f"{spent.total() / payments * 1000:.2f} = {parts}")


_MEASURES = {
    "chain": _chain,
    "registry": registry.measure,
    "brokers": brokers.measure,
    "slow": slow.measure,
}


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except CannotStart as error:
        sys.exit(str(error))
