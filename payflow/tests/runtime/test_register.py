"""The register and the guardian: nothing of ours outlives us, and nothing of others is touched."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from payflow.runtime.processes import group_members, wait_until
from payflow.runtime.register import Group, Register

Spawn = Callable[..., subprocess.Popen[str]]

# Leads a group of two; the second would go on when only the first is ended.
FAMILY = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def family(spawn: Spawn) -> Iterator[subprocess.Popen[str]]:
    """A process group of two, started like a part."""
    leader = spawn(
        "-c", FAMILY, stdout=subprocess.PIPE, env={**os.environ, "PAYFLOW_PROCESS": "family"}
    )
    assert leader.stdout is not None
    assert leader.stdout.readline() == "ready\n"
    yield leader
    for member in group_members(leader.pid):
        os.kill(member.pid, signal.SIGKILL)


def is_gone(pgid: int) -> bool:
    return not group_members(pgid)


class TestGuardian:
    @pytest.fixture
    def guardian(self, spawn: Spawn) -> subprocess.Popen[str]:
        return spawn("-m", "payflow.runtime.guardian", stdin=subprocess.PIPE)

    def tell(self, guardian: subprocess.Popen[str], *messages: object) -> None:
        assert guardian.stdin is not None
        guardian.stdin.writelines(json.dumps(message) + "\n" for message in messages)
        guardian.stdin.close()

    def test_stops_groups_when_its_supervisor_vanishes(
        self, guardian: subprocess.Popen[str], family: subprocess.Popen[str]
    ) -> None:
        self.tell(guardian, {"watch": asdict(Group.of_leader(family.pid, "family"))})
        assert wait_until(lambda: is_gone(family.pid), 5)
        assert guardian.wait(5) == 0

    @pytest.mark.parametrize("last", ["bye", "forget"])
    def test_leaves_alone_what_is_no_longer_its_business(
        self, guardian: subprocess.Popen[str], family: subprocess.Popen[str], last: str
    ) -> None:
        message = "bye" if last == "bye" else {"forget": family.pid}
        group = asdict(Group.of_leader(family.pid, "family"))
        self.tell(guardian, {"watch": group}, message)
        assert guardian.wait(5) == 0
        assert not is_gone(family.pid)

    def test_survives_what_ends_everybody_else(
        self, guardian: subprocess.Popen[str], family: subprocess.Popen[str]
    ) -> None:
        assert guardian.stdin is not None
        group = asdict(Group.of_leader(family.pid, "family"))
        guardian.stdin.write(json.dumps({"watch": group}) + "\n")
        guardian.stdin.flush()
        time.sleep(0.5)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            guardian.send_signal(number)
        self.tell(guardian)
        assert wait_until(lambda: is_gone(family.pid), 5)


class TestGroup:
    def test_is_alive_as_long_as_a_member_is(self, family: subprocess.Popen[str]) -> None:
        group = Group.of_leader(family.pid, "family")
        family.kill()
        family.wait()
        # A process that is just being started shows no environment for a moment.
        assert wait_until(lambda: group.is_alive, 5)
        os.killpg(family.pid, signal.SIGKILL)
        assert wait_until(lambda: not group.is_alive, 5)

    def test_a_strangers_group_of_the_same_number_is_not_ours(
        self, family: subprocess.Popen[str]
    ) -> None:
        assert not replace(Group.of_leader(family.pid, "family"), started="before").is_alive

    def test_strangers_that_lost_their_leader_are_not_ours(
        self, family: subprocess.Popen[str]
    ) -> None:
        group = Group.of_leader(family.pid, "another part")
        family.kill()
        family.wait()
        assert not group.is_alive


class TestRegister:
    def test_a_later_start_stops_what_was_left(
        self, tmp_path: Path, family: subprocess.Popen[str]
    ) -> None:
        killed = Register(tmp_path / "children.json")
        killed.add(Group.of_leader(family.pid, "family"))
        assert Register(tmp_path / "children.json").stop_leftovers() == ["family"]
        assert is_gone(family.pid)
        assert Register(tmp_path / "children.json").stop_leftovers() == []

    @pytest.mark.parametrize("content", ["", "not json", '[{"pgid": 1}]', '{"a": 1}'])
    def test_an_unreadable_record_stops_nothing(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "children.json").write_text(content)
        assert Register(tmp_path / "children.json").stop_leftovers() == []

    def test_replaces_a_dead_guardian_and_tells_it_all(
        self, tmp_path: Path, family: subprocess.Popen[str], spawn: Spawn
    ) -> None:
        program = (
            "import os, sys, pathlib\n"
            "from payflow.runtime.processes import find_process, wait_until\n"
            "from payflow.runtime.register import Group, Register\n"
            "register = Register(pathlib.Path(sys.argv[1]))\n"
            "register.add(Group.of_leader(int(sys.argv[2]), 'family'))\n"
            "assert register.tend() and not register.tend()\n"
            "first = register.guardian_pid\n"
            "os.kill(first, 9)\n"
            "assert wait_until(lambda: find_process(first) is None, 5)\n"
            "assert register.tend() and register.guardian_pid != first\n"
            "os.kill(os.getpid(), 9)"
        )
        killed = spawn("-c", program, str(tmp_path / "children.json"), str(family.pid))
        assert killed.wait(10) == -signal.SIGKILL
        assert wait_until(lambda: is_gone(family.pid), 5)
