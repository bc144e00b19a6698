"""A result for people: a table of 80 columns, then what failed first and what would help."""

from collections.abc import Iterator
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.check.result import STEPS, Result, Seen

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
    table.add_column("detail", overflow="ellipsis", no_wrap=True, ratio=1)
    for step in result.steps:
        milliseconds = "" if step.outcome == "skipped" else f"{step.ms:.1f}"
        style = "dim" if step.outcome == "skipped" else ""
        detail = Text(step.detail, style=style)
        table.add_row(_MARKS[step.outcome], Text(STEPS[step.name], style=style), milliseconds, detail)
    console.print(table)
    console.print(Text(f"client type: {result.client}"))
    for line in _seen_lines(result.seen):
        console.print(Text(line), width=WIDTH)
    failure = result.first_failure
    if failure is None:
        console.print(Text("All steps passed.", style="green"))
        if not result.password_tried:
            console.print(Text(_UNTRIED, style="yellow"), width=WIDTH)
        return
    console.print()
    console.print(Text(f"First failure, {STEPS[failure.name]}:"))
    console.print(Text(failure.detail), width=WIDTH)
    console.print(Text(failure.meaning, style="bold"), width=WIDTH)
    console.print(Text(failure.remedy), width=WIDTH)


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
