"""One run: a platform of its own, a load, the faults, the rest, the judgement."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from payflow.client import Client
from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.hammer.client import SandboxControl
from payflow.runtime.home import Home
from payflow.runtime.scratch import Platform
from payflow.runtime.torture.client import (
    PATIENCE,
    REQUEST_SECONDS,
    Demand,
    InsistentMerchant,
)
from payflow.runtime.torture.evidence import collect
from payflow.runtime.torture.faults import Faults
from payflow.runtime.torture.judge import judge
from payflow.runtime.torture.load import Load
from payflow.runtime.torture.rest import cut_leases, time_to_rest, wait_until_all_is_done
from payflow.runtime.torture.verdict import Verdict

_WARM_UP_SECONDS = 2
_REPORT_EVERY = 20


@dataclass(frozen=True)
class Plan:
    """How much, how fast, and the dice."""

    kills: int
    restarts: int
    seed: int
    lanes: int
    pause_seconds: float
    cuts_leases: bool
    """Whether leases of intents end with the last fault, for runs that must be short."""


class Torture:
    """Against one platform that a supervisor keeps running."""

    def __init__(self, running: Platform, plan: Plan, *, report: Callable[[str], None]) -> None:
        self._running, self._plan, self._report = running, plan, report
        self._database = EmbeddedPostgres.run_by_another(running.home).owner_url
        self._load = Load(self._merchant(), lanes=plan.lanes, seed=plan.seed)
        self._faults = Faults(
            Home(running.home).children,
            kills=plan.kills,
            restarts=plan.restarts,
            seed=plan.seed,
        )

    def run(self) -> Verdict:
        """Load, strike, let it come to rest, judge."""
        began = time.monotonic()
        self._load.start()
        time.sleep(_WARM_UP_SECONDS)
        struck_at = self._faults.strike(
            pause_seconds=self._plan.pause_seconds,
            progress=lambda: self._load.acknowledged,
            report=self._tell_progress,
        )
        demands = self._load.stop()
        if self._plan.cuts_leases:
            cut_leases(self._database)
        drained = time_to_rest(self._database, since=struck_at)
        wait_until_all_is_done(self._database)
        verdict = self._verdict(demands, drained)
        verdict.seconds = time.monotonic() - began
        return verdict

    def _verdict(self, demands: list[Demand], drained: dict[str, float]) -> Verdict:
        sandbox = SandboxControl(self._running.sandbox_url, self._running.sandbox_secret)
        evidence = collect(self._database, demands, sandbox.lines(after=0))
        return Verdict(
            faults=self._faults.done,
            acknowledged=_acknowledged(demands),
            errors=sum((demand.errors for demand in demands), Counter()),
            drained=drained,
            leases_cut=self._plan.cuts_leases,
            findings=judge(evidence),
        )

    def _merchant(self) -> InsistentMerchant:
        client = Client.register(
            self._running.api,
            name="Torture",
            email="torture@example.com",
            patience=PATIENCE,
            timeout_seconds=REQUEST_SECONDS,
            connections=self._plan.lanes,
        )
        return InsistentMerchant(client)

    def _tell_progress(self, number: int) -> None:
        if number % _REPORT_EVERY == 0:
            self._report(f"{number} faults, {self._load.acknowledged:,} payments acknowledged")


def _acknowledged(demands: Iterable[Demand]) -> Counter[str]:
    return Counter(
        f"{demand.path.rpartition('/')[2].removesuffix('s')}s"
        for demand in demands
        if demand.is_acknowledged
    )
