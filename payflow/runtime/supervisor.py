"""
The supervisor: starts every part of PayFlow, keeps it running, and stops it.

It has one thread for decisions, this one, and one per child that only listens. Nothing is decided
in a signal handler: it sets an event, which every wait here looks at.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence

from payflow.runtime import variables
from payflow.runtime.child import Child
from payflow.runtime.configuration import Configuration
from payflow.runtime.console import Console
from payflow.runtime.database import NAME as POSTGRES
from payflow.runtime.database import Database
from payflow.runtime.errors import Cancelled, CannotStart
from payflow.runtime.parts import ENSURE_ADMIN, MIGRATE, Part, all_parts, sandbox_part
from payflow.runtime.private_files import UMASK
from payflow.runtime.processes import wait_until
from payflow.runtime.register import Register

_STOP_SECONDS = 10
_DEATHS_BEFORE_READY = 3
_TICK_SECONDS = 0.1


class Supervisor:
    """One run of PayFlow, from the lock on its home to the last process ended."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        parts: Sequence[Part] | None = None,
        steps: Sequence[Part] = (MIGRATE, ENSURE_ADMIN),
        console: Console | None = None,
    ) -> None:
        self._configuration = configuration
        self._parts = tuple(parts if parts is not None else parts_of(configuration))
        self._steps = tuple(steps)
        names = tuple(part.name for part in (*self._steps, *self._parts))
        self._console = console or Console((POSTGRES, *names))
        self._stopping = threading.Event()
        self._register = Register(configuration.home.children)
        self._children: list[Child] = []
        self._last_words: dict[str, str] = {}
        self._database = Database(
            configuration,
            console=self._console,
            register=self._register,
            is_cancelled=self._stopping.is_set,
        )

    def run(self) -> int:
        """Runs until a signal asks to stop; answers the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        variables.forget_libpq()
        os.umask(UMASK)
        try:
            self._configuration.home.prepare()
            with self._configuration.home.locked(self._configuration.url):
                self._run_locked()
        except Cancelled:
            return 0
        except CannotStart as error:
            self._console.problem(str(error))
            return 1
        return 0

    def stop(self) -> None:
        """Asks for what Ctrl-C asks for."""
        self._stopping.set()

    # Phases ------------------------------------------------------------------------------------

    def _run_locked(self) -> None:
        self._stop_leftovers()
        self._configuration.home.forget_metrics()
        self._configuration.check_port()
        self._register.tend()
        try:
            self._start()
            self._console.block(
                banner(self._configuration, self._last_words.get(ENSURE_ADMIN.name, ""))
            )
            while not self._stopping.wait(_TICK_SECONDS):
                self._tend()
        finally:
            self._stop()

    def _stop_leftovers(self) -> None:
        names = self._register.stop_leftovers()
        if names:
            self._console.say(f"stopped what a killed start had left: {', '.join(names)}")

    def _start(self) -> None:
        self._database.start()
        for step in self._steps:
            self._run_step(step)
        for part in self._parts:
            self._check_stopping()
            child = self._child(part, self._part_environment)
            self._children.append(child)
            child.start()
        self._wait_for(self._children)

    def _run_step(self, step: Part) -> None:
        """Runs a command to its end; it must succeed."""
        child = self._child(step, self._administration_environment)
        try:
            child.start()
            while child.is_alive:
                self._pause()
        finally:
            child.ask_to_stop()
            wait_until(lambda: not child.is_alive, _STOP_SECONDS)
            child.clear_up()
        if child.exit_code != 0:
            raise CannotStart(_failure(child, child.ending))
        self._last_words[step.name] = child.last_lines[-1] if child.last_lines else "done"
        self._console.line(step.name, "done")

    def _wait_for(self, children: Sequence[Child]) -> None:
        while not all(child.is_ready for child in children):
            self._pause()
            self._tend()
            for child in children:
                if child.deaths >= _DEATHS_BEFORE_READY:
                    raise CannotStart(_failure(child, child.ending))
                if child.is_overdue:
                    seconds = child.part.ready_within_seconds
                    raise CannotStart(_failure(child, f"was not ready after {seconds:g} s"))

    def _tend(self) -> None:
        if self._register.tend():
            self._console.say("the guardian had ended; started another")
        if self._database.tend():
            self._console.say("the database has a new port, so the parts are started again")
            for child in self._children:
                child.ask_to_stop()
        for child in self._children:
            child.tend()

    def _stop(self) -> None:
        self._console.say("stopping")
        children = list(reversed(self._children))
        for child in children:
            child.ask_to_stop()
        wait_until(lambda: not any(child.is_alive for child in children), _STOP_SECONDS)
        for child in children:
            if child.is_alive:
                self._console.line(child.part.name, f"did not end in {_STOP_SECONDS} s: killed")
            child.clear_up()
        self._database.stop()
        self._register.close()
        self._console.say("stopped")

    # Steps -------------------------------------------------------------------------------------

    def _child(self, part: Part, environment: Callable[[], dict[str, str]]) -> Child:
        return Child(
            part,
            environment=environment,
            console=self._console,
            register=self._register,
            logs=self._configuration.home.logs,
        )

    def _part_environment(self) -> dict[str, str]:
        return self._configuration.part_environment(self._database.server)

    def _administration_environment(self) -> dict[str, str]:
        return self._configuration.administration_environment(self._database.server)

    def _pause(self) -> None:
        self._stopping.wait(_TICK_SECONDS / 2)
        self._check_stopping()

    def _check_stopping(self) -> None:
        if self._stopping.is_set():
            raise Cancelled("Stopped while starting.")

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping.set()


def banner(configuration: Configuration, who_may_log_in: str = "") -> str:
    """What one needs to know to use what has just been started."""
    url, home = configuration.url, configuration.home
    lines = {
        "API": f"{url}/api/v1",
        "Swagger": f"{url}/swagger-ui.html",
        "Admin": f"{url}/admin/  {_login(configuration, who_may_log_in)}",
        "Sandbox": configuration.sandbox_url,
        "E-mails": "" if configuration.text("EMAIL_HOST") else str(home.mail),
        "Logs": str(home.logs),
        "Stop": "Ctrl-C",
    }
    rows = "\n".join(f"  {name:<8} {value}" for name, value in lines.items() if value)
    return f"\nPayFlow is running.\n{rows}\n"


def _login(configuration: Configuration, who_may_log_in: str) -> str:
    """Who may log in, as the database says; with the generated password while it is that one."""
    generated = configuration.generated_secrets.get("PAYFLOW_ADMIN_PASSWORD")
    if not generated or not who_may_log_in.startswith(
        ("user admin was", "user admin exists, with")
    ):
        return who_may_log_in
    doubt = " unless it was changed" if "exists" in who_may_log_in else ""
    return f"user admin, password {generated}{doubt}"


def parts_of(configuration: Configuration) -> tuple[Part, ...]:
    """What a start keeps running: the sandbox, if there is to be one, and all of ours."""
    home = configuration.home
    ours = all_parts(
        configuration.url,
        home.beat_schedule,
        dispatchers=configuration.dispatchers,
        workers=configuration.workers,
    )
    if not configuration.sandbox_port:
        return ours
    return (sandbox_part(configuration.sandbox_port, home.sandbox_book), *ours)


def _failure(child: Child, what: str) -> str:
    return f"{child.part.name} {what}.{child.evidence}"
