"""Ids in addresses: `<id:payment_id>`, registered by `shared.apps`."""

from uuid import UUID

from shared.identifiers import is_canonical

NOBODYS = UUID(int=0)
"""An id that `new_id` never makes."""


class Id:
    """An id; a malformed one is looked up as nobody's, and so answered as an unknown one is."""

    regex = "[^/]+"

    def to_python(self, text: str) -> UUID:
        """The id, of its canonical form only."""
        return UUID(text) if is_canonical(text) else NOBODYS

    def to_url(self, value: UUID) -> str:
        """The canonical form."""
        return str(value)
