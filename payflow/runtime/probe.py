"""
`python -m payflow.runtime.probe URL`: whether something answers there, for health checks.

With `--any`, whatever it answers; otherwise only 200 is well. Says what it saw, because that is all
that `docker inspect` shows of a container that is not healthy.
"""

import http.client
import sys
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 3
_SHOWN = 500


def main(arguments: list[str]) -> int:
    """Asks once; answers the exit code."""
    *options, url = arguments
    status, said = ask(url, patience_seconds=_PATIENCE_SECONDS)
    sys.stdout.write(f"{status or 'nothing'} {said}\n")
    return 0 if status == http.client.OK or (status and "--any" in options) else 1


def ask(url: str, *, patience_seconds: float) -> tuple[int, str]:
    """The status that the URL answers (0: none), and in one line how what it said begins."""
    # `http.client` and not `urllib`: a proxy named in the environment is not to be asked for us.
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=patience_seconds
    )
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return answer.status, " ".join(answer.read(_SHOWN).decode(errors="replace").split())
    except (OSError, http.client.HTTPException) as error:
        return 0, f"({error})"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
