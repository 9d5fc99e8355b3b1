"""
What operators see of payments, and what they may decide.

    payments    payments with their operations and their history, tokens
    operations  calls to processors, and what two people say became of one
    processors  routes to processors, and circuits

A payment itself is changed by nobody here. People say what became of an operation that its
processor does not answer for, route payments to processors, and close a circuit that they know is
sound: each through a use case that tells the audit trail.
"""

from payments.admin import operations, payments, processors

__all__ = ["operations", "payments", "processors"]
