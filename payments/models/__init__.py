"""The module's aggregates."""

from payments.models.circuit_breaker import BreakerState, CircuitBreaker
from payments.models.operation import Operation
from payments.models.operation_table import Purpose, Verdict
from payments.models.payment import Payment
from payments.models.resolution import Resolution
from payments.models.route import Route, RoutingTable
from payments.models.status_change import StatusChange
from payments.models.token import Token

__all__ = [
    "BreakerState",
    "CircuitBreaker",
    "Operation",
    "Payment",
    "Purpose",
    "Resolution",
    "Route",
    "RoutingTable",
    "StatusChange",
    "Token",
    "Verdict",
]
