"""Progress of a run: a live display on a terminal, plain lines elsewhere, always on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from loadgen.engine.progress import Progress
from loadgen.report.layout import safe

PLAIN_EVERY_S: Final = 5.0
SETTLED_S: Final = 60.0
"""A phase that has lasted so long has a plain line every minute only: a hold may take a day."""


class Display(Protocol):
    """Where a run says what it is doing."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def show(self, progress: Progress) -> None:
        """How the run stands now."""


@contextmanager
def progress_display(title: str, console: Console | None = None) -> Iterator[Display]:
    """The display that fits where standard error goes."""
    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield PlainLines(console)
        return
    starting = Spinner("line", safe(f"{title}: starting"))
    with Live(starting, console=console, refresh_per_second=4, transient=True) as live:
        yield LiveTable(title, live)


class PlainLines:
    """A line whenever the phase changes, every five seconds within one, every minute within a long one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._shown_s = 0.0

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(safe(text), markup=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """How the run stands now, if it is time to say so."""
        every_s = PLAIN_EVERY_S if progress.phase_s <= SETTLED_S else SETTLED_S
        if progress.phase == self._phase and progress.phase_s - self._shown_s < every_s:
            return
        self._phase, self._shown_s = progress.phase, progress.phase_s
        self.say(line(progress))


class LiveTable:
    """One table that is drawn again in place."""

    def __init__(self, title: str, live: Live) -> None:
        self._title = title
        self._live = live

    def say(self, text: str) -> None:
        """One line that stays above the table."""
        self._live.console.print(safe(text), markup=False)

    def show(self, progress: Progress) -> None:
        """How the run stands now."""
        self._live.update(table(self._title, progress))


def line(progress: Progress) -> str:
    """Progress as one line of text."""
    users = f"{progress.users:,}/{progress.users_planned:,}"
    return (
        f"{progress.phase:<9} {progress.phase_s:5.0f} s  users {users}  connections {progress.connections:,}"
        f"  {progress.operations_per_s:,.0f} ops/s  p50 {_ms(progress.p50_ms)}  p99 {_ms(progress.p99_ms)}"
        f"  failed {progress.failed:,}" + (f"  skipped {progress.skipped:,}" if progress.skipped else "")
    )


def table(title: str, progress: Progress) -> Table:
    """Progress as a small table with a bar for the phase."""
    grid = Table.grid(padding=(0, 3))
    length_s = progress.phase_length_s
    bar = ProgressBar(total=length_s, completed=progress.phase_s, width=30, pulse=not length_s)
    of_length = f"{progress.phase_s:.0f}" + (f" of {length_s:.0f} s" if length_s else " s")
    grid.add_row(safe(title), progress.phase, bar, of_length)
    grid.add_row("users", f"{progress.users:,} of {progress.users_planned:,}")
    grid.add_row("connections", f"{progress.connections:,}")
    grid.add_row("operations/s", f"{progress.operations_per_s:,.0f}", f"{progress.done:,} done")
    grid.add_row("response", f"p50 {_ms(progress.p50_ms)}", f"p99 {_ms(progress.p99_ms)}")
    grid.add_row("failed", f"{progress.failed:,}", f"skipped {progress.skipped:,}")
    return grid


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
