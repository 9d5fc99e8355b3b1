"""
The operators' admin: every row readable, nothing editable that would go around a use case.

    ReadOnlyAdmin                        how a module shows rows: searchable, bounded, never changed
    OutstandingAdmin                     the same for outside work: states, retry and skip
    OperatorAdmin                        the base of both, for the few rows that are configuration
    @asks_reason(label, consequence=…)   an action that asks why, on a page of its own
    choices_filter(title, name, choices) a filter whose choices cost no query

The machinery's own rows are registered in `shared.admin.machinery`.
"""

from shared.admin import machinery
from shared.admin.filters import EventTypeFilter, choices_filter
from shared.admin.outstanding import OutstandingAdmin
from shared.admin.reasons import NoCardNumber, Operator, ReasonForm, asks_reason
from shared.admin.rows import OperatorAdmin, ReadOnlyAdmin, ReadOnlyInline
from shared.admin.values import badge_of, money

__all__ = [
    "EventTypeFilter",
    "NoCardNumber",
    "Operator",
    "OperatorAdmin",
    "OutstandingAdmin",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "ReasonForm",
    "asks_reason",
    "badge_of",
    "choices_filter",
    "machinery",
    "money",
]
