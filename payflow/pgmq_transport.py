"""
kombu's PostgreSQL transport, mended where many processes meet.

# Note [A trigger is created once]

Every process that declares or consumes a queue has kombu switch its notifications on. pgmq does
that by dropping the queue's trigger, rewriting a row and creating the trigger again, without any
lock around it. Two processes that start together then fail over the trigger that the other has just
created; and one that holds the row waits for the table, while a sender holds the table and its
trigger waits for the row: a deadlock. Here it is looked first, under the lock that pgmq itself
takes to create the queue, so that all but the first change nothing and wait for nobody.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, pgmq

_IS_ON = """
SELECT EXISTS (
    SELECT FROM pg_trigger WHERE tgname = 'trigger_notify_queue_insert_listeners'
    AND tgrelid = format('pgmq.%%I', pgmq.format_table_name(%s, 'q'))::regclass
)
"""


class Channel(pgmq.Channel):  # type: ignore[misc]
    """A channel that creates a queue and its trigger once, whoever else is about to."""

    def _new_queue(self, queue: str, **arguments: Any) -> None:
        if self._has_queue(queue):
            self._maybe_enable_notify(queue)
        else:
            super()._new_queue(queue, **arguments)

    def _maybe_enable_notify(self, queue: str, queue_name: str | None = None) -> None:
        # See Note [A trigger is created once].
        name = queue_name or self._queue_name(queue)
        with self.pgmq.pool.connection() as line:
            line.execute("SELECT pgmq.acquire_queue_lock(%s)", [name])
            if line.execute(_IS_ON, [name]).fetchone() == (False,):
                throttle: Any = self.notify_throttle_interval_ms
                line.execute("SELECT pgmq.enable_notify_insert(%s, %s)", [name, throttle])
        self.connection._register_notify_queue(name)


class Transport(pgmq.Transport):  # type: ignore[misc]
    """What `pgmq://` means in this project."""

    Channel = Channel


def register() -> None:
    """Let `pgmq://` mean this transport, in this process."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
