"""The one place that chooses a processor."""

from payments.adapters.sandbox_processor import SandboxProcessor
from payments.domain.processor import Processor

_PROCESSORS: dict[str, Processor] = {"sandbox": SandboxProcessor()}
DEFAULT_PROCESSOR = "sandbox"


def processor_named(name: str) -> Processor:
    """The processor of this name; KeyError if there is none."""
    return _PROCESSORS[name]
