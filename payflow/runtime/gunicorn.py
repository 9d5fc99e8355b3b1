"""
How gunicorn serves, with `make run` and in a container alike (there with `--bind 0.0.0.0:8000`).

Threads, because a request that waits for its payment only sleeps; two processes, because of the
interpreter lock. Database connections persist per thread, so their number is workers x threads.
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any

from gunicorn import util

from payflow.runtime import variables

bind = f"127.0.0.1:{variables.text('PORT', '8000')}"

worker_class = "gthread"
workers = int(variables.text("PAYFLOW_WEB_WORKERS", "2"))
threads = int(variables.text("PAYFLOW_WEB_THREADS", "8"))

# Longer than the idle time of usual proxies, so that it is never us who close first.
keepalive = 75
# A worker that has not reported for so long hangs; no request may take that long.
timeout = 60
# Below the supervisor's ten seconds and a container's usual grace.
graceful_timeout = 8

# The heartbeat file on a disk can block for seconds when that is busy.
_memory = Path("/dev", "shm")
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
control_socket_disable = True

# Requests are logged by the application, with correlation ids and without secrets.
accesslog = None
errorlog = "-"
loglevel = "warning"

# A client that stops in the middle of a request gives its thread back after so many seconds. Set on
# the listening sockets, from which accepted ones inherit it: gunicorn itself reads without a limit.
STALL_SECONDS = 5


def when_ready(server: Any) -> None:
    """Limit how long a read may stall."""
    for listener in server.LISTENERS:
        limit = struct.pack("ll", STALL_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def post_worker_init(worker: Any) -> None:
    """Answer what never reaches Django as a problem document, too."""
    # There is no setting for it: gunicorn's workers call this function for every error of theirs.
    util.write_error = write_problem


def write_problem(sock: socket.socket, status: int, reason: str, mesg: str) -> None:
    """Answer a request that is no HTTP, or too long to be read, without repeating it."""
    problem = {
        "type": "urn:payflow:problem:malformed_request",
        "title": reason,
        "status": status,
        "detail": "The request is not well-formed HTTP within our limits.",
        "code": "malformed_request",
        "correlationId": "",
    }
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin1") + body)
