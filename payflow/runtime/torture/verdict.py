"""What was done to the platform, what was asked of it, and what held."""

from collections import Counter
from dataclasses import dataclass, field

from payflow.runtime.torture.faults import POSTGRES
from payflow.runtime.torture.judge import Findings

PUBLICATIONS_WITHIN_SECONDS = 10.0
LEASES_SECONDS = {"operations": 30.0, "messages": 300.0}
"""How long a dead worker's intents stay taken: `payments.conf`, `notifications.conf`."""
_INTENTS_WITHIN_SECONDS = 10.0
_SHOWN = 20


@dataclass
class Verdict:
    """One run of the torture."""

    faults: Counter[str]
    acknowledged: Counter[str]
    """Requests that were accepted, by their last path segment."""
    errors: Counter[str]
    drained: dict[str, float]
    """Seconds after the last fault until none was left: publications, operations, messages."""
    leases_cut: bool
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether nothing gave."""
        return not list(self.findings) and not self.late

    @property
    def late(self) -> list[str]:
        """What was drained later than promised."""
        return [
            f"{name} were drained after {seconds:.1f} s, not within {self._within(name):.0f} s"
            for name, seconds in self.drained.items()
            if seconds > self._within(name)
        ]

    def table(self) -> str:
        """For people."""
        kills = {kind: count for kind, count in self.faults.items() if kind != POSTGRES}
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(kills.items()))
        rows = {
            "kill -9": f"{sum(kills.values())} ({kinds})",
            "immediate restarts": f"{self.faults[POSTGRES]} of PostgreSQL",
            "acknowledged": ", ".join(f"{n:,} {what}" for what, n in self.acknowledged.items()),
            "errors": f"{self.errors.total():,} ({_listed(self.errors)}){self._resolved()}",
            "lost": f"{len(self.findings.lost)}",
            "doubled": f"{len(self.findings.doubled)}",
            "out of order": f"{len(self.findings.disordered)}",
            "ledger": "balanced, and as the acquirer's book"
            if not self.findings.unbalanced
            else f"{len(self.findings.unbalanced)} differences",
            "parked or open": f"{len(self.findings.unfinished)}",
            **{f"{name} drained": f"in {s:.1f} s" for name, s in self.drained.items()},
            "leases": "ended at once after the last fault" if self.leases_cut else "waited for",
            "took": f"{self.seconds:.0f} s",
        }
        problems = [*self.late, *self.findings][:_SHOWN]
        return "\n".join([*(f"{name:<22}{text}" for name, text in rows.items()), *problems])

    def _resolved(self) -> str:
        is_resolved = not any("never answered" in text for text in self.findings.unfinished)
        return ", all resolved by retrying" if is_resolved else ""

    def _within(self, name: str) -> float:
        if name not in LEASES_SECONDS:
            return PUBLICATIONS_WITHIN_SECONDS
        lease = 0.0 if self.leases_cut else LEASES_SECONDS[name]
        return lease + _INTENTS_WITHIN_SECONDS


def _listed(errors: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in errors.most_common()) or "none"
