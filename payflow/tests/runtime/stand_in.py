"""
A supervisor of stand-in parts, for tests to start, kill and watch.

    python -m payflow.tests.runtime.stand_in [broken]

Database and broker are taken as given, so no PostgreSQL is started unless the test wants one.
"""

import sys

from payflow.runtime.configuration import Configuration
from payflow.runtime.parts import Part, sandbox_part
from payflow.runtime.supervisor import Supervisor

# Answers 200 to everything, as the web part does to its health check.
WEB = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("serving", flush=True)
server.serve_forever()
"""
# Writes a file as libraries do, without a thought for who may read it.
WORKER = """
import os, time
open(os.path.join(os.environ["PAYFLOW_HOME"], "left-by-a-part"), "w").close()
print("pid", os.getpid()); print("stand-in ready."); time.sleep(60)
"""
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)"
# Serves, and refuses whoever asks whether it is ready.
_REFUSAL = b'{"code":\n "no_such_host"}'
REFUSING = WEB.replace('"PORT"', '"OTHER_PORT"').replace(
    "self.send_response(200); self.end_headers()",
    f"self.send_response(400); self.end_headers(); self.wfile.write({_REFUSAL!r})",
)
BROKEN = "import sys; print('no such thing'); sys.exit(3)"


def parts(configuration: Configuration, kind: str) -> list[Part]:
    """Two parts that work, and one of the wanted kind."""
    url = configuration.url
    web = Part("web", (sys.executable, "-c", WEB), ready_url=f"{url}/api/v1/health")
    worker = Part("worker", (sys.executable, "-c", WORKER), ready_line="ready.")
    others = {
        "broken": [Part("broken", (sys.executable, "-c", BROKEN), ready_line="never")],
        "stubborn": [Part("stubborn", (sys.executable, "-c", STUBBORN), ready_line="deaf")],
        "sandbox": [sandbox_part(configuration.sandbox_port, configuration.home.sandbox_book)],
        "refusing": [
            Part(
                "refusing",
                (sys.executable, "-c", REFUSING),
                ready_url=f"http://127.0.0.1:{configuration.text('OTHER_PORT')}/ready",
                ready_within_seconds=2,
            )
        ],
        "slow": [Part("slow", worker.command, ready_line="never", ready_within_seconds=1)],
    }
    return [web, worker, *others.get(kind, [])]


if __name__ == "__main__":
    configuration = Configuration.from_environment()
    step = Part("step", (sys.executable, "-c", "print('a step')"), hidden=("",))
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.exit(Supervisor(configuration, parts=parts(configuration, kind), steps=[step]).run())
