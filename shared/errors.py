"""
Kinds of anticipated errors.

A module declares its errors beside the function that raises them, named after the refused fact,
and inherits one of these kinds. The kind decides the HTTP status in one place
(`shared.http.problems`); domain code never mentions a status. The first paragraph of the class
docstring is the default message; the code on the wire is the class name in snake_case.
"""

import inspect
import re
from typing import ClassVar


class DomainError(Exception):
    """The request could not be carried out."""

    status: ClassVar[int] = 400

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        """Take a message for people and, if useful, extra members for the answer."""
        self.detail = detail or first_paragraph(type(self))
        self.extra = extra
        super().__init__(self.detail)

    @property
    def code(self) -> str:
        """The stable code a program can branch on."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()


class Invalid(DomainError):
    """The request is not well formed."""

    status = 400


class NotAllowed(DomainError):
    """The caller may not do this."""

    status = 403


class NotFound(DomainError):
    """There is no such thing, or it belongs to somebody else."""

    status = 404


class Conflict(DomainError):
    """The current state does not allow this."""

    status = 409


class Rejected(DomainError):
    """The request is understood and refused."""

    status = 422


class TooMany(DomainError):
    """Too many requests; slow down."""

    status = 429


class Unavailable(DomainError):
    """The platform cannot answer now; try again with the same idempotency key."""

    status = 503


def first_paragraph(documented: type) -> str:
    """The first paragraph of a class docstring as one line."""
    text = inspect.cleandoc(documented.__doc__ or documented.__name__)
    return " ".join(text.split("\n\n")[0].split())
