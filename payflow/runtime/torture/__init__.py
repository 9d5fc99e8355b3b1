"""The torture: kill -9 and database restarts under a merchant's load, and what was left of it."""

from payflow.runtime.torture.faults import NobodyToKill
from payflow.runtime.torture.torture import Plan, Torture
from payflow.runtime.torture.verdict import Verdict

__all__ = ["NobodyToKill", "Plan", "Torture", "Verdict"]
