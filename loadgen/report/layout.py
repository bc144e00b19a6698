"""How a report's parts become lines: tables that never lose a column, figures, and text from outside."""

from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

PIPED_WIDTH: Final = 100
"""Columns of what goes to a file or a pipe, whatever terminal it was started from."""
WIDEST: Final = 140
"""Beyond this, lines of text are hard to read; wider terminals are not filled."""

NO_FIGURE: Final = "·"
DIFFERS: Final = "≠"
LEGEND: Final = f"{NO_FIGURE} not visible to that party, or not measured   {DIFFERS} not as expected"

_AS_WIDE_AS_IT_TAKES: Final = 10_000


class FirstThatFits:
    """The first of several forms of one table that fits the width; if none does, the last, uncut.

    A line that the terminal breaks is ugly, but a figure that was cut off is gone.
    """

    def __init__(self, *forms: ConsoleRenderable) -> None:
        self._forms = forms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        boundless = options.update_width(_AS_WIDE_AS_IT_TAKES)
        for form in self._forms:
            needed = Measurement.get(console, boundless, form).maximum
            if needed <= options.max_width:
                break
        yield from console.render(form, options.update_width(max(needed, options.max_width)))


def output_console() -> Console:
    """Standard output: as wide as the terminal, up to a limit; of a fixed width where it is none."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST) if console.is_terminal else PIPED_WIDTH
    return console


def headed(title: str, *parts: ConsoleRenderable) -> Group:
    """Parts of a report under a title."""
    return Group(Text(title, "bold"), *parts)


def titled(title: str, *parts: ConsoleRenderable) -> Group:
    """Parts under a title, with an empty line before: all but what stands first."""
    return Group(Text(), headed(title, *parts))


def table(*figures: str, texts: tuple[str, ...] = ("",), gap: int = 2) -> Table:
    """An empty table: columns of text, then right-aligned columns of figures, ``gap`` (1 or more) apart."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)
    for header in texts:
        found.add_column(header, no_wrap=True, vertical="bottom")
    for header in figures:
        found.add_column(header, justify="right", no_wrap=True, vertical="bottom")
    return found


def safe(text: str) -> str:
    """Text from outside on one line, with whatever a terminal could act on made visible."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plain(text: str, style: str = "") -> Text:
    """Text from outside, of which nothing is taken for markup."""
    return Text(safe(text), style)


def three_digits(value: float) -> str:
    """A figure with the three digits that were measured: 0.123, 1.23, 12.3, 1,230."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"
