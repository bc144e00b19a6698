"""What a search for the capacity found, as text: one table and one sentence."""

from pathlib import Path
from typing import Final

from rich.console import Console, ConsoleRenderable, Group
from rich.table import Table
from rich.text import Text

from loadgen.capacity.found import Capacity, Planned, Reading
from loadgen.report.layout import NO_FIGURE, headed, output_console, plain, table

_STYLES: Final = {"PASS": "bold green", "FAIL": "bold red", "INVALID": "bold yellow"}


def show(capacity: Capacity, folder: Path, console: Console | None = None) -> None:
    """Prints the answer, by default to standard output."""
    console = console or output_console()
    console.print(screen(capacity, folder), crop=False)


def screen(capacity: Capacity, folder: Path) -> ConsoleRenderable:
    """The answer of a search whose files are in ``folder``."""
    files = plain(f"Results: {folder}/")
    files.no_wrap, files.overflow = True, "ignore"
    return Group(
        headed("Capacity", _answer(capacity)),
        Text(),
        plain(sentence(capacity), _STYLES[capacity.verdict]),
        *(plain(f"  {reason}") for reason in capacity.reasons),
        files,
    )


def sentence(capacity: Capacity) -> str:
    """How many, what stopped the next one, and whether the plan agrees."""
    users = f"{capacity.users:,} users"
    plan = "" if capacity.plan is None else _beside(capacity.plan)
    match capacity.stopped_by:
        case "ceiling":
            return f"{users} pass, which is the ceiling: nothing stopped them{plan}."
        case "generator":
            return f"{users} pass, then the generator itself was the limit{plan}."
        case "threshold":
            return (
                f"{users} pass, then a threshold does not hold: {'; '.join(_last_reasons(capacity))}{plan}."
            )
        case "limit":
            seen = capacity.evidence.first_error if capacity.evidence is not None else ""
            next_one = f"number {capacity.users + 1:,} is refused: {limit_of(capacity)}"
            return f"{users} pass, {next_one}{f' ({seen})' if seen else ''}{plan}."
    return f"{users} passed before the search ended without an answer{plan}."


def limit_of(found: Capacity | Planned) -> str:
    """The limit by name and server, as far as they are known."""
    name = found.limit or "by no limit that is known"
    return f"{name} of {found.server}" if found.limit and found.server else name


def _beside(plan: Planned) -> str:
    if plan.users is None:
        return "; by the plan no limit ever stops them"
    judged = {True: "they agree", False: "they differ", None: "not reached"}[plan.agrees]
    return f"; the plan says {plan.users:,}, {limit_of(plan)}: {judged}"


def _last_reasons(capacity: Capacity) -> tuple[str, ...]:
    failed = [step for step in capacity.steps if step.verdict != "held"]
    return min(failed, key=lambda step: step.users).reasons if failed else ()


def _answer(capacity: Capacity) -> Table:
    found = table("measured", "plan")
    plan = capacity.plan
    found.add_row("users admitted", f"{capacity.users:,}", _figure(None if plan is None else plan.users))
    planned = NO_FIGURE if plan is None or plan.limit is None else limit_of(plan)
    stopped = limit_of(capacity) if capacity.stopped_by == "limit" else capacity.stopped_by
    found.add_row("stopped by", plain(stopped), plain(planned))
    evidence = capacity.evidence
    if evidence is not None and evidence.before is not None and evidence.after is not None:
        before, after = evidence.before, evidence.after
        found.add_row("  of", f"{after.of:,.0f}")
        for title, name in (("  in use", "in_use"), ("  hits", "hits")):
            found.add_row(title, f"{_counter(before, name)} -> {_counter(after, name)}")
    for number, step in enumerate(capacity.steps):
        tried = step.verdict if step.verdict == "held" else f"{step.verdict}, {step.admitted:,} in"
        found.add_row("" if number else "numbers tried", f"{step.users:,} {tried}")
    return found


def _counter(reading: Reading, name: str) -> str:
    return f"{getattr(reading, name):,.0f}"


def _figure(number: int | None) -> str:
    return NO_FIGURE if number is None else f"{number:,}"
