"""
How gunicorn serves, with `make run` and in a container alike (there with `--bind 0.0.0.0:8000`).

Threads, because a request that waits for its payment only sleeps; two processes, because of the
interpreter lock. Database connections persist per thread, so their number is at most workers x
threads. What a client may do is decided in `payflow.runtime.web`.
"""

from pathlib import Path

from payflow.runtime import variables

bind = f"127.0.0.1:{variables.text('PORT', '8000')}"
backlog = 1024

worker_class = "payflow.runtime.web.worker.BufferingWorker"
workers = int(variables.text("PAYFLOW_WEB_WORKERS", "2"))
threads = int(variables.text("PAYFLOW_WEB_THREADS", "32"))

# A worker whose loop has not turned for so long hangs.
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
