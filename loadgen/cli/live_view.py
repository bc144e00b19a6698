"""A run on a terminal: one picture, drawn again in place, that says in words whatever it says in colour."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.engine.progress import Happening, Progress
from loadgen.report.layout import DIFFERS, NO_FIGURE, safe
from loadgen.report.text import COLUMN_TITLES

SURE_S: Final = 5.0
"""Within so many seconds ``q`` has to come again: a day's run is not ended by a slip."""
KEYS: Final = "p pause  + - users  q q stop  ? help"
HELP: Final = (
    "p      pause: nothing falls due, connections stay; p again goes on",
    "+ -    a tenth of the planned users more or less",
    f"q q    twice within {SURE_S:g} s: stop in good order, what was measured is judged",
    "?      show or hide this",
    "Ctrl-C interrupt: the run is INVALID, its results are kept",
    "From elsewhere: loadgen control RUN pause|resume|scale N|stop|status",
)
_LABEL_WIDTH: Final = 13
_NOTE_S: Final = 6.0
_BAR_AT_LEAST: Final = 10
_CELL_WIDTH: Final = 36
_MOST_IN_A_LINE: Final = 3


class LiveView:
    """What is shown. ``clock`` gives seconds: time goes on between two intervals."""

    def __init__(self, title: str, live: Live, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = safe(title)
        self._live = live
        self._clock = clock
        self._progress: Progress | None = None
        self._shown_at = clock()
        self._note = ""
        self._noted_at = 0.0
        self._helps = False
        self._drawn_at: ConsoleDimensions | None = None
        self.has_keys = False
        """Whether keys are heard, so that the last line tells them."""

    def say(self, text: str) -> None:
        """One line that stays above the picture."""
        self._live.console.print(safe(text), markup=False)

    def show(self, progress: Progress) -> None:
        """How the run stands now."""
        self._progress, self._shown_at = progress, self._clock()

    def note(self, text: str) -> None:
        """What became of a key, for a few seconds."""
        self._note, self._noted_at = safe(text), self._clock()

    def toggle_help(self) -> None:
        """Shows what the keys do in the place of the events, or no longer."""
        self._helps = not self._helps

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        size = options.size
        if self._drawn_at not in (None, size):
            # A terminal that has become narrower has broken lines in two: nobody knows where we are.
            yield Control.clear()
            yield Control.home()
        self._drawn_at = size
        yield from self._picture(options.max_width, size.height)

    def _picture(self, width: int, height: int) -> Iterator[RenderableType]:
        """What matters most stands first: what does not fit a low terminal is left out from the end."""
        if self._progress is None:
            yield _cut(f"{self._title}: starting … {clock_time(self._clock() - self._shown_at)}", width)
            return
        progress, since_s = self._progress, self._clock() - self._shown_at
        lines: list[RenderableType] = [_headline(self._title, progress, since_s, width)]
        lines += [_labelled(label, text, width) for label, text in figures(progress)]
        if self._helps:
            lines += [_cut(line, width) for line in HELP]
        else:
            lines += _connections(progress, width)
        room = height - 2  # one for the last line, one below which the cursor rests
        events = [] if self._helps else progress.events[-max(1, room - len(lines)) :]
        lines += [_event(event, width) for event in events]
        yield from lines[:room]
        yield self._last_line(width)

    def _last_line(self, width: int) -> Text:
        if self._note and self._clock() - self._noted_at < _NOTE_S:
            return _cut(f"→ {self._note}", width, "bold")
        return _cut(KEYS if self.has_keys else "", width, "dim")


def figures(progress: Progress) -> Iterator[tuple[str, str]]:
    """The lines of figures, each with its label."""
    is_scaled = progress.users_wanted not in (0, progress.users_planned)
    yield (
        "users",
        f"{progress.users:,} of {progress.users_planned:,} logged on"
        + (f", {progress.users_wanted:,} wanted" if is_scaled else "")
        + f", {progress.users_admitted:,} admitted, {progress.users_refused:,} refused",
    )
    yield (
        "operations",
        f"{progress.operations_per_s:,.0f}/s   {progress.done:,} done   {progress.failed:,} failed   "
        f"{progress.skipped:,} skipped",
    )
    yield (
        "response",
        f"send_message p50 {ms(progress.send_p50_ms)} p95 {ms(progress.send_p95_ms)}   "
        f"all p99 {ms(progress.p99_ms)}",
    )
    failures = sorted(progress.failures.items(), key=lambda each: -each[1])
    yield "failures", ", ".join(f"{count:,} {outcome}" for outcome, count in failures) or "none"
    yield (
        "connections",
        f"{progress.connections:,} TCP open   {progress.connections_lost:,} virtual lost   "
        f"{progress.reconnects:,} users came back",
    )
    yield "generator", f"lag p99 {ms(progress.lag_p99_ms)}   busy {progress.busy:.0%}"


def ms(value: float | None) -> str:
    """Milliseconds, or a dash."""
    return "-" if value is None else f"{value:,.1f} ms"


def clock_time(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 8:00:00."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _headline(title: str, progress: Progress, since_s: float, width: int) -> RenderableType:
    phase_s, length_s = progress.phase_s + since_s, progress.phase_length_s
    if length_s:
        phase_s = min(phase_s, length_s)
        text = f"{clock_time(phase_s)} of {clock_time(length_s)}, {clock_time(length_s - phase_s)} left"
    else:
        text = clock_time(phase_s)
    phase = progress.phase.upper() if progress.phase == "pause" else progress.phase
    head = _cut(f"{title}  {phase}  {text}", width, "bold")
    left = width - head.cell_len - 2
    if not length_s or left < _BAR_AT_LEAST:
        return head
    grid = Table.grid(padding=(0, 2))
    grid.add_row(head, ProgressBar(total=length_s, completed=phase_s, width=left))
    return grid


def _labelled(label: str, text: str, width: int) -> Text:
    line = _cut(f"{label:<{_LABEL_WIDTH}}{text}", width)
    line.stylize("dim", 0, _LABEL_WIDTH)
    return line


def _connections(progress: Progress, width: int) -> Iterator[Text]:
    """A column of the table or a few in a line: what is counted now, and what there should be."""
    shown = [
        f"{COLUMN_TITLES.get(name, name):<15}{_counted(state.counted):>7} of {state.expected:<7,}"
        + ("  " if state.counted in (None, state.expected) else f"{DIFFERS} ")
        for name, state in progress.columns.items()
        if state.expected or state.counted
    ]
    in_a_line = max(1, min(_MOST_IN_A_LINE, (width - 2) // _CELL_WIDTH))
    for first in range(0, len(shown), in_a_line):
        yield _cut("  " + "".join(shown[first : first + in_a_line]).rstrip(), width)


def _event(event: Happening, width: int) -> Text:
    often = f" ({event.times:,} times)" if event.times > 1 else ""
    text = f": {safe(event.text)}" if event.text else ""
    return _cut(f"{clock_time(event.time_s):>7}  {event.kind}{often}{text}", width, "dim")


def _counted(count: int | None) -> str:
    return NO_FIGURE if count is None else f"{count:,}"


def _cut(text: str, width: int, style: str = "") -> Text:
    """One line, whatever the width: a line that the terminal breaks makes the picture jump."""
    line = Text(text, style, no_wrap=True)
    line.truncate(width, overflow="ellipsis")
    return line
