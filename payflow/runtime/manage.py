"""
`python -m payflow.runtime.manage …`: a command of `manage.py` on what `make run` keeps running.

`manage.py` alone is told by its environment where the database is; this finds the database and the
secrets of `$PAYFLOW_HOME` first.
"""

import subprocess
import sys
from dataclasses import replace

from payflow.runtime.configuration import Configuration
from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.errors import CannotStart
from payflow.runtime.parts import manage


def main(arguments: list[str]) -> int:
    """Runs the command; answers its exit code, or 1 when nothing was ever started in this home."""
    try:
        # Without a sandbox of its own: the one that runs is the parts' business.
        configuration = replace(Configuration.from_environment(), sandbox_port=0)
        server = _server(configuration)
    except CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return 1
    environment = configuration.administration_environment(server)
    command = manage(*arguments)
    return subprocess.run(command, env=environment, check=False).returncode


def _server(configuration: Configuration) -> EmbeddedPostgres | None:
    """The server that runs for the home, if one is needed; otherwise the home alone."""
    if configuration.needs_postgres:
        return EmbeddedPostgres.run_by_another(configuration.home.path)
    configuration.home.prepare()
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
