"""The engine alone: a key is decided once, whoever asks at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from payflow.sandbox.acquirer import AcquirerFace
from payflow.sandbox.book import Book
from payflow.sandbox.callbacks import Messenger
from payflow.sandbox.control import Control
from payflow.sandbox.engine import Engine, InProgress, KeyReused
from payflow.sandbox.order import Authorisation, Kind, Operation, Order, Status

ORDER = Order("sandbox", Kind.AUTHORISE, "key", "print", 100, "USD", "pay-1")
THREADS = 8


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "book")
    yield opened
    opened.close()


@pytest.fixture
def engine(book: Book) -> Engine:
    made = Engine(book, Control())
    made.add_face(AcquirerFace(made, Messenger(), b"secret", "127.0.0.1:1"))
    return made


class NaiveEngine:
    """Looks first and writes then, each on its own."""

    def __init__(self, book: Book, barrier: Barrier) -> None:
        self._book = book
        self._barrier = barrier

    def perform(self, order: Order) -> None:
        known = self._book.operation(order.acquirer, order.key)
        self._barrier.wait()
        if known is None:
            self._book.add_line(operation_of(order), 1.0)


def operation_of(order: Order) -> Operation:
    return Operation(
        order.acquirer, order.key, order.kind, order.fingerprint, "auth_1", "auth_1",
        order.merchant_reference, order.amount_minor, order.currency, Status.APPROVED, "",
        is_retryable=False, created_at=1.0,
    )  # fmt: skip


class TestOnce:
    def test_one_key_is_one_line(self, engine: Engine, book: Book) -> None:
        barrier = Barrier(THREADS)

        def perform(_: int) -> bool:
            barrier.wait()
            try:
                return engine.perform(ORDER).is_replay
            except InProgress:
                return True

        with ThreadPoolExecutor(THREADS) as pool:
            assert sorted(pool.map(perform, range(THREADS)))[:2] == [False, True]
        assert len(book.lines(0, 100)) == 1

    def test_a_naive_engine_books_twice(self, book: Book) -> None:
        naive = NaiveEngine(book, Barrier(THREADS))
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda _: naive.perform(ORDER), range(THREADS)))
        assert len(book.lines(0, 100)) == THREADS

    def test_a_key_is_free_again_after_a_refusal(self, engine: Engine) -> None:
        engine.perform(ORDER)
        other = Order("sandbox", Kind.AUTHORISE, "key", "another", 100, "USD")
        for _ in range(2):
            with pytest.raises(KeyReused):
                engine.perform(other)


class TestSettle:
    def test_decides_once(self, engine: Engine, book: Book) -> None:
        engine.perform(Order("sandbox", Kind.AUTHORISE, "p", "print", 5, "USD", trigger="pending"))
        barrier = Barrier(2)

        def settle(status: Status) -> Operation | None:
            barrier.wait()
            return engine.settle("sandbox", "p", status)

        with ThreadPoolExecutor(2) as pool:
            settled = list(pool.map(settle, (Status.APPROVED, Status.DECLINED)))
        [decided] = [operation for operation in settled if operation]
        assert [line.status for line in book.lines(0, 10)] == ["PENDING", decided.status]
        held = book.authorisation("sandbox", decided.authorisation)
        assert isinstance(held, Authorisation)
        assert held.status is decided.status

    def test_knows_nothing_of_what_was_never_asked(self, engine: Engine) -> None:
        assert engine.settle("sandbox", "nobody", Status.APPROVED) is None
