"""The one place that names the processors."""

from payments.adapters.acquirer import CardProcessor, NetbankingProcessor, WalletProcessor
from payments.adapters.stripe_processor import StripeProcessor
from payments.domain.processor import Processor

DEFAULT_PROCESSOR = "sandbox"

_PROCESSORS: dict[str, Processor] = {
    processor.name: processor
    for processor in (
        CardProcessor("sandbox"),
        CardProcessor("sandbox-backup"),
        WalletProcessor("sandbox-wallet"),
        NetbankingProcessor("sandbox-bank"),
        StripeProcessor(),
    )
}


def processor_named(name: str) -> Processor:
    """The processor of this name; KeyError if there is none."""
    return _PROCESSORS[name]


def processor_names() -> list[str]:
    """The names of all processors, configured or not, in the order of this file."""
    return list(_PROCESSORS)


def is_configured(name: str) -> bool:
    """Whether the settings have what it takes to call it; routes to one that is not are skipped."""
    return bool(getattr(_PROCESSORS.get(name), "is_configured", name in _PROCESSORS))


def configured_names() -> set[str]:
    """The names of all processors that can be called."""
    return {name for name in _PROCESSORS if is_configured(name)}
