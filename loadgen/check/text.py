"""A result for people: a table of 80 columns, then what has failed and what would help."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.check.result import STEPS, Result, Seen, Step

WIDTH: Final = 80
_MARKS: Final = {
    "passed": Text("✓", style="green"),
    "failed": Text("✗", style="bold red"),
    "skipped": Text("-", style="dim"),
}

_UNTRIED: Final = (
    "The password was not tried: nobody asked who the user is. Over TCP give --rpc-security, over HTTP "
    "another --auth than anonymous."
)


def show(result: Result, console: Console) -> None:
    """Prints it all; ``console`` says how wide."""
    console.print(f"{result.user} ({result.mailbox}) at {result.target}", highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, width=min(console.width, WIDTH))
    table.add_column("")
    table.add_column("step", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold", ratio=1)
    for step in result.steps:
        milliseconds = "" if step.outcome == "skipped" else f"{step.ms:.1f}"
        style = "dim" if step.outcome == "skipped" else ""
        detail = Text(step.detail, style=style)
        if step.outcome != "failed":
            detail.no_wrap, detail.overflow = True, "ellipsis"
        table.add_row(_MARKS[step.outcome], Text(STEPS[step.name], style=style), milliseconds, detail)
    console.print(table)
    console.print(Text(f"client type: {result.client}"))
    for line in _seen_lines(result.seen):
        console.print(Text(line), width=WIDTH)
    if result.passed:
        console.print(Text("All steps passed.", style="green"))
        if not result.password_tried:
            console.print(Text(_UNTRIED, style="yellow"), width=WIDTH)
        return
    for number, steps in enumerate(_causes(result.steps)):
        console.print()
        which = "Another" if number else "First"
        titles = "; ".join(STEPS[step.name] for step in steps)
        console.print(Text(f"{which} failure: {titles}"), width=WIDTH)
        console.print(Text(steps[0].meaning, style="bold"), width=WIDTH)
        console.print(Text(steps[0].remedy), width=WIDTH)


def _causes(steps: Iterable[Step]) -> Iterable[Sequence[Step]]:
    """The steps that failed, those together that mean the same."""
    causes: dict[str, list[Step]] = {}
    for step in steps:
        if step.outcome == "failed":
            causes.setdefault(step.meaning, []).append(step)
    return causes.values()


def _seen_lines(seen: Seen) -> Iterator[str]:
    yield f"dialect: {seen.dialect} ({seen.dialect_reason})"
    if seen.dialect_suggested:
        yield f"it looks like another: say --dialect {seen.dialect_suggested}"
    if seen.server_version:
        yield f"mailbox server: version {seen.server_version}"
    if seen.headers:
        yield f"web server: {'; '.join(seen.headers)}"
    if seen.framing:
        yield (
            f"OUT channel: {seen.framing}; window {seen.receive_window:,}; "
            f"silence allowed {seen.connection_timeout_ms / 1000:g} s; "
            f"pings: {seen.pings_sent} from us, {seen.pings_received} from the server"
        )
