"""
What a process counts of itself, in Prometheus' form; `docs/metrics.md` says how it is read.

Metrics are made here, so that where their values are kept is decided before the first of them:
with `PAYFLOW_METRICS_DIR` in files that every process on this machine adds to, else in memory.

# Note [Slots]

The library names its files after process ids and leaves those of dead processes behind, because
a sum must not fall; a process that is killed every minute then fills the disk. Here a process takes
the lowest number that no living one holds, by a lock that ends with it, and goes on counting in
that number's files: as many files as processes ran at once, and sums that never fall.
"""

import fcntl
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

import prometheus_client
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

DIRECTORY: str = settings.METRICS_DIR
_FILE_BYTES = 1 << 18

SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""For what should take milliseconds."""
LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
"""For what may have to wait."""
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""For how many at once."""

_registry = CollectorRegistry()


class BatchHistogram(Histogram):
    """A histogram that takes many values for the price of the buckets they fall into."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each of the amounts."""
        if len(amounts) == 1:
            self.observe(amounts[0])
        elif amounts:
            self._sum.inc(sum(amounts))
            for bucket, times in Tally(map(self._bucket, amounts)).items():
                self._buckets[bucket].inc(times)

    def observe(self, amount: float, exemplar: object = None) -> None:
        """Observe one: as the library does, without its search bound by bound."""
        self._sum.inc(amount)
        self._buckets[self._bucket(amount)].inc(1)

    def _bucket(self, amount: float) -> int:
        return bisect_left(self._upper_bounds, amount)


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows, one per combination of labels."""
    return Counter(name, text, labels, registry=_registry)


def histogram(
    name: str, text: str, labels: Sequence[str] = (), *, buckets: Iterable[float]
) -> BatchHistogram:
    """How values are spread, one per combination of labels."""
    return BatchHistogram(name, text, labels, buckets=tuple(buckets), registry=_registry)


def counted() -> CollectorRegistry:
    """What the processes sharing the directory counted together; without one, this process."""
    if not DIRECTORY:
        return _registry
    together = CollectorRegistry()
    MultiProcessCollector(together, path=DIRECTORY)  # type: ignore[no-untyped-call]
    return together


def serve(address: str, port: int) -> None:
    """Tell what is counted at a port, where no web does. Raises: OSError, OverflowError."""
    prometheus_client.start_http_server(port, address, registry=counted())


class Slot:
    """A number that no other living process of the directory has (Note [Slots])."""

    def __init__(self, directory: Path) -> None:
        """Hold none yet."""
        self._directory = directory
        self._owner = 0
        self._name = ""
        self._lock = -1

    def name(self) -> str:
        """The number, as text; a forked process takes one of its own."""
        if self._owner != os.getpid():
            self._take()
        return self._name

    def _take(self) -> None:
        for number in count():
            lock = os.open(self._directory / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                break
        self._owner, self._name, self._lock = os.getpid(), str(number), lock
        for kind in ("counter", "histogram"):
            _allocate(self._directory / f"{kind}_{number}.db")


def _allocate(path: Path) -> None:
    # The library maps sparse files: on a full disk, a write into such a hole kills the process.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        os.pwrite(file, bytes(max(0, _FILE_BYTES - size)), size)
    finally:
        os.close(file)


def _keep_in(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.update(PROMETHEUS_MULTIPROC_DIR=str(directory))
    values.ValueClass = values.MultiProcessValue(Slot(directory).name)  # type: ignore[no-untyped-call]


prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
if DIRECTORY:
    _keep_in(Path(DIRECTORY))
