"""Progress of a run: a live picture on a terminal, plain lines elsewhere, always on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol, TypeVar

import click
from rich.console import Console
from rich.live import Live

from loadgen.cli.live_view import LiveView, ms
from loadgen.engine.progress import Progress
from loadgen.report.layout import safe

PLAIN_EVERY_S: Final = 5.0
SETTLED_S: Final = 60.0
"""A phase that has lasted so long has a plain line every minute only: a hold may take a day."""
FRAMES_PER_S: Final = 4

Manner = Literal["live", "plain", "quiet"]
Command = TypeVar("Command", bound=Callable[..., Any])


class Display(Protocol):
    """Where a run says what it is doing."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def show(self, progress: Progress) -> None:
        """How the run stands now."""


def manner_options(command: Command) -> Command:
    """``--plain`` and ``--quiet``."""
    for name, text in (
        ("quiet", "Say nothing while it runs, but warnings."),
        ("plain", "Lines of text instead of a live display."),
    ):
        command = click.option(f"--{name}", "manner", flag_value=name, default=None, help=text)(command)
    return command


@contextmanager
def progress_display(
    title: str, console: Console | None = None, manner: Manner | None = None
) -> Iterator[Display]:
    """The display that fits where standard error goes, unless another is asked for."""
    console = console or Console(stderr=True, highlight=False)
    if manner == "quiet":
        yield WarningsAlone(console)
    elif manner == "plain" or not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(console)
    else:
        with Live(console=console, refresh_per_second=FRAMES_PER_S, transient=True) as live:
            view = LiveView(title, live)
            live.update(view)
            yield view


class WarningsAlone:
    """Nothing but what somebody has to know."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """One line, if it is a warning; the gravest are in capitals."""
        if text.lower().startswith("warning"):
            self._console.print(safe(text), markup=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Nothing."""


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


def line(progress: Progress) -> str:
    """Progress as one line of text."""
    users = f"{progress.users:,}/{progress.users_planned:,}"
    return (
        f"{progress.phase:<9} {progress.phase_s:5.0f} s  users {users}  connections {progress.connections:,}"
        f"  {progress.operations_per_s:,.0f} ops/s  p50 {ms(progress.p50_ms)}  p99 {ms(progress.p99_ms)}"
        f"  failed {progress.failed:,}" + (f"  skipped {progress.skipped:,}" if progress.skipped else "")
    )
