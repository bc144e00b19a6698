"""What had to hold, and whether it did: thresholds and limits as a table of the text report."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import ConsoleRenderable
from rich.table import Table
from rich.text import Text

from loadgen.measure.threshold import ThresholdResult
from loadgen.report.layout import NO_FIGURE, plain, titled
from loadgen.report.limit_check import LimitResult

_MARKS: Final = {True: ("held", "green"), False: ("broken", "bold red"), None: ("not measured", "yellow")}
_UNPROVIDED_SHOWN: Final = 8


def requirements(
    thresholds: Sequence[ThresholdResult], limit_set: str, limits: Sequence[LimitResult]
) -> Iterator[ConsoleRenderable]:
    """Nothing where nothing was asked for; of limits that nobody measured the first are named, last."""
    if thresholds:
        yield titled("Thresholds", _thresholds(thresholds))
    if limits:
        measured = [each for each in limits if each.held is not None]
        missing = [each for each in limits if each.held is None]
        parts: list[ConsoleRenderable] = [_limits(measured)] if measured else []
        if missing:
            parts.append(_missing(missing))
        yield titled(f"Limit set {limit_set}", *parts)


def _thresholds(thresholds: Sequence[ThresholdResult]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in thresholds:
        text, style = _MARKS[each.held if each.measured is not None else None]
        figure = NO_FIGURE if each.measured is None else f"{each.measured:,.6g}"
        table.add_row(
            Text(text, style), plain(each.text), figure, _when(each.worst_from_s, each.worst_until_s)
        )
    return table


def _limits(limits: Sequence[LimitResult]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in limits:
        text, style = _MARKS[each.held]
        table.add_row(
            Text(text, style),
            plain(each.server),
            plain(each.limit),
            f"{each.measured:,.6g}",
            _when(each.from_s, each.until_s),
        )
    return table


def _missing(limits: Sequence[LimitResult]) -> Text:
    counters = list(dict.fromkeys(f"{each.server} {each.counter}".strip() for each in limits))
    shown = ", ".join(counters[:_UNPROVIDED_SHOWN])
    more = len(counters) - _UNPROVIDED_SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return plain(f"{len(limits)} not measured, so not passed: {shown}{rest}", "yellow")


def _when(from_s: float | None, until_s: float | None) -> str:
    if from_s is None or until_s is None:
        return ""
    return f"at {from_s:.0f} s" if from_s == until_s else f"from {from_s:.0f} s to {until_s:.0f} s"
