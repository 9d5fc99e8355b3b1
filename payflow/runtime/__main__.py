"""`python -m payflow.runtime`: what `make run` calls."""

import sys

from payflow.runtime.configuration import Configuration
from payflow.runtime.errors import CannotStart
from payflow.runtime.supervisor import Supervisor


def main() -> int:
    """Runs PayFlow until it is told to stop; answers the exit code."""
    try:
        supervisor = Supervisor(Configuration.from_environment())
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
