"""`python -m payflow.sandbox --port N --book PATH`: runs until SIGTERM or Ctrl-C."""

import argparse
import os
import signal
import sqlite3
import sys
from pathlib import Path

from payflow.sandbox.application import Application
from payflow.sandbox.book import Book
from payflow.sandbox.callbacks import is_loopback
from payflow.sandbox.server import Server

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """This will serve; answers the exit code, with one line on stderr when it cannot start."""
    options = _options()
    secret = os.environ.get("PAYFLOW_SANDBOX_SECRET", "")
    webhook_url = os.environ.get("PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL", "")
    if not secret or not secret.isascii() or not secret.isprintable():
        return _cannot("PAYFLOW_SANDBOX_SECRET must be set to printable ASCII.")
    if webhook_url and not is_loopback(webhook_url):
        return _cannot("PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL must be http to this machine.")
    os.umask(0o077)  # the book tells who paid whom
    # Before any thread is started: they inherit it, so the signals wait for sigwait() below.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        book = Book(options.book)
    except sqlite3.Error as error:
        return _cannot(f"The book {options.book} cannot be used: {error}.")
    try:
        server = Server(options.port, hang_seconds=options.hang_seconds, address=options.address)
    except (OSError, OverflowError) as error:
        return _cannot(f"Port {options.port} of 127.0.0.1 cannot be used: {error}.")
    application = Application(book, secret.encode(), server.host, stripe_webhook_url=webhook_url)
    application.start()
    server.start(application.handle)
    sys.stdout.write(f"sandbox ready on http://{server.host}\n")
    sys.stdout.flush()
    signal.sigwait(_STOPPING)
    server.close()
    book.close()
    # All threads are daemons: some hang on purpose, and what they booked is in the book.
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m payflow.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 is any free one")
    parser.add_argument("--book", type=Path, required=True, help="the SQLite file of the book")
    parser.add_argument(
        "--address", default="127.0.0.1", help="another one inside a container only"
    )
    parser.add_argument(
        "--hang-seconds", type=float, default=30, help="how long a hanging call hangs"
    )
    return parser.parse_args()


def _cannot(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
