"""What the story is written on: headings, tables, and expectations that hold or end it."""

from collections.abc import Callable, Sequence

_INDENT = "   "


class Differs(Exception):
    """Something in the story was not as it should be."""


class Paper:
    """Writes lines of text for a person, and counts the expectations that held."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._scenes = 0
        self.held = 0

    def title(self, text: str) -> None:
        """The line at the top."""
        self._write(f"\n{text}\n{'═' * len(text)}")

    def scene(self, text: str) -> None:
        """A numbered heading."""
        self._scenes += 1
        self._write(f"\n{self._scenes}  {text}")

    def line(self, text: str) -> None:
        """A line below the heading."""
        self._write(f"{_INDENT}{text}")

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        total: Sequence[str] = (),
        right: Sequence[int] = (),
    ) -> None:
        """A boxed table; `right` are the columns of numbers, `total` is a last row of its own."""
        cells = [header, *rows, *([total] if total else [])]
        widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

        def ruled(left: str, middle: str, end: str) -> str:
            return left + middle.join("─" * (width + 2) for width in widths) + end

        def filled(row: Sequence[str]) -> str:
            texts = (
                f" {text:>{widths[column]}} " if column in right else f" {text:<{widths[column]}} "
                for column, text in enumerate(row)
            )
            return "│" + "│".join(texts) + "│"

        self.line(ruled("┌", "┬", "┐"))
        self.line(filled(header))
        self.line(ruled("├", "┼", "┤"))
        for row in rows:
            self.line(filled(row))
        if total:
            self.line(ruled("├", "┼", "┤"))
            self.line(filled(total))
        self.line(ruled("└", "┴", "┘"))

    def expect(self, what: str, found: object, wanted: object) -> None:
        """
        Note that something is as it should be.

        Raises:
            Differs: it is not.

        """
        if found != wanted:
            raise Differs(f"{what}: expected {wanted!r}, found {found!r}")
        self.held += 1

    def proved(self, text: str) -> None:
        """What the expectations before this line have shown."""
        self.line(f"✓ {text}")
