"""
The guardian: a tiny process that outlives a supervisor killed with -9 and clears up after it.

    python -m payflow.runtime.guardian

It reads one JSON message per line: `{"watch": <group>}`, `{"forget": <pgid>}`, `"bye"`. When its
input ends without a goodbye, nobody is left to stop the groups, so it does, and ends.
"""

import json
import signal
import sys
from collections.abc import Iterable

from payflow.runtime.register import Group, stop_groups


def main(lines: Iterable[str]) -> None:
    """Follows the messages to their end, and acts if it was a sudden one."""
    groups: dict[int, Group] = {}
    for line in lines:
        message = json.loads(line)
        if message == "bye":
            return
        if "watch" in message:
            group = Group(**message["watch"])
            groups[group.pgid] = group
        else:
            groups.pop(message["forget"], None)
    stop_groups(groups.values())


def ignore_signals() -> None:
    """What ends a supervisor must not end its guardian, even when sent to everybody."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    ignore_signals()
    main(sys.stdin)
