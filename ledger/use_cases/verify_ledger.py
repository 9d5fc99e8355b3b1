"""Verifying the books."""

import structlog

from ledger.queries import Finding, find_imbalances

log = structlog.get_logger(__name__)


def verify_ledger() -> list[Finding]:
    """Compare every balance and entry with its postings; logs and returns what cannot be."""
    findings = find_imbalances()
    for finding in findings:
        log.error(
            "the ledger does not balance",
            what=finding.what,
            where=finding.where,
            detail=finding.detail,
        )
    return findings
