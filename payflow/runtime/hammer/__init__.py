"""The hammer: races on fresh payments against a running PayFlow, and what held."""

from payflow.runtime.hammer.hammer import Hammer, Verdict

__all__ = ["Hammer", "Verdict"]
