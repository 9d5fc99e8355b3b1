"""
The sandbox processor: decides by token, so that every outcome can be tried without a bank.

It runs in the process and keeps no book: what it answers depends on the request alone, so the same
operation always gets the same answer.
"""

import time
from uuid import UUID

from payments.domain.processor import Authorisation, Outcome, OutcomeKind

_DECLINED = {
    "tok_declined": "do_not_honor",
    "tok_insufficient_funds": "insufficient_funds",
}
_SLOW_SECONDS = {"tok_slow": 2.0}


class SandboxProcessor:
    """Approves every token but those documented to decline; `tok_slow` takes two seconds."""

    name = "sandbox"

    def authorise(self, request: Authorisation) -> Outcome:
        """Hold the amount, or decline it, as the token says."""
        time.sleep(_SLOW_SECONDS.get(request.token, 0))
        if reason := _DECLINED.get(request.token):
            return Outcome(OutcomeKind.DECLINED, reason=reason)
        return Outcome(OutcomeKind.APPROVED, reference=f"sbx_{request.operation_id.hex}")

    def inquire(self, operation_id: UUID) -> Outcome:
        """Without a book nothing was ever held, so sending again is safe."""
        return Outcome(OutcomeKind.NOT_SENT)
