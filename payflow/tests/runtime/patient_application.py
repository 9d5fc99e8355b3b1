"""A WSGI application that answers once a file exists: what a request under way looks like."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    folder = Path(os.environ["PATIENT_FOLDER"])
    if environ["PATH_INFO"] == "/held":
        (folder / "entered").touch()
        while not (folder / "released").exists():
            time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
