"""What was found, in words: the same in text, Markdown and HTML."""

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.compare.comparison import Comparison, ConditionResult, Counts, Figure, Finding
from loadgen.compare.metric import RATE
from loadgen.measure.threshold import EXIT_INVALID
from loadgen.report.layout import NO_FIGURE, three_digits

OUTCOMES: Final = {
    "differs": "DIFFERS",
    "no_difference": "NO DIFFERENCE",
    "too_little_data": "CAN'T TELL",
    "not_measured": "NOT MEASURED",
}
SIGNS: Final = {"differs": "≠", "no_difference": "=", "too_little_data": "?", "not_measured": NO_FIGURE}
LEGEND: Final = "≠ differs   = no difference beyond noise   ? too little data to tell   · not measured"
BESIDE: Final = (
    "From … to: where each change lies with 95 % confidence. ≠ stands where one counts and is beyond noise "
    "even among so many figures: a hint where to look. The answer to what was asked stands above."
)
_SHOWN_BESIDE: Final = ("response_ms.p50", "response_ms.p95", "response_ms.p99", "service_ms.p95")
_SHOWN_OF_IMPORTS: Final = "service_ms.mean"
_HIDDEN: Final = ("white_paper_", ".users", ".p50", ".p90", ".p95", ".p999")
"""Figures that text leaves to the other forms."""


def sentence(finding: Finding, comparison: Comparison) -> str:
    """One answer to what was asked."""
    baseline = comparison.sides[0].label
    at_least = f"{comparison.rules.at_least:.0%}".replace("%", " %")
    start = f"{finding.metric}: {finding.label} beside {baseline}: "
    if finding.value is None or finding.baseline is None:
        return f"{start}not measured{finding.needed and f': {finding.needed}'}."
    values = f"{figure(finding.value)} instead of {figure(finding.baseline)} {finding.unit}"
    values += f", {change(finding)}" if finding.ratio is not None else ""
    if finding.low is not None:
        values += f" (between {interval(finding)}, confidence {finding.level:.4g})"
    match finding.outcome:
        case "differs":
            return f"{start}it differs. {values}."
        case "no_difference" if finding.beyond_noise:
            return f"{start}no difference that counts, which begins at {at_least}. {values}."
        case "no_difference":
            return f"{start}no difference beyond noise; one of {at_least} would have been seen. {values}."
        case "too_little_data":
            return f"{start}too little data to tell. {values}. It would take: {finding.needed}."
    return f"{start}{values}; nothing tells what of it is noise{finding.needed and f': {finding.needed}'}."


def condition(result: ConditionResult, baseline: str) -> str:
    """How one condition fared."""
    verdict = "FAIL" if result.met else "ok"
    return f"{verdict}  {result.text}, {result.label} beside {baseline}: {result.why}"


def conclusion(comparison: Comparison) -> str:
    """Why conditions conclude nothing; empty if they do, or if there are none."""
    if comparison.exit_code != EXIT_INVALID:
        return ""
    sides = " and ".join(side.label for side in comparison.sides if side.verdict == "INVALID")
    return f"INVALID  nothing can be concluded from {sides}, whatever stands above (exit code {EXIT_INVALID})"


def figure(value: float | None) -> str:
    """A figure with the digits that it is known to; whole numbers are counts."""
    if value is None:
        return NO_FIGURE
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return three_digits(value)


def change(finding: Finding) -> str:
    """By how many per cent more than the baseline."""
    return NO_FIGURE if finding.ratio is None else percent(finding.ratio)


def has_other_connections(row: Counts, label: str, baseline: str) -> bool:
    """Whether a user of this side has other connections than one of the baseline has."""
    own, others = row.per_user[label], row.per_user[baseline]
    return own is not None and others is not None and own != others


def interval(finding: Finding) -> str:
    """Where the change lies."""
    if finding.low is None or finding.high is None:
        return NO_FIGURE
    return f"{percent(finding.low)} and {percent(finding.high)}"


def percent(ratio: float) -> str:
    """A ratio as a change."""
    return f"{100 * (ratio - 1):+,.1f} %"


def shown_beside(comparison: Comparison, label: str) -> Iterator[tuple[str, str, Finding]]:
    """Operation, figure and finding of one side: those of the latency table, asked ones included."""
    wanted = list(_SHOWN_BESIDE)
    if any(side.kind == "import" for side in comparison.sides):
        wanted.append(_SHOWN_OF_IMPORTS)
    found = [each for each in (*comparison.beside, *comparison.asked) if each.label == label]
    for finding in sorted(found, key=lambda each: _place(each, comparison)):
        _, operation, *rest = finding.metric.split(".")
        if ".".join(rest) in wanted:
            yield operation, ".".join(rest), finding


def _place(finding: Finding, comparison: Comparison) -> tuple[int, int]:
    operations = list(dict.fromkeys(each.metric.split(".")[1] for each in comparison.beside))
    _, operation, *rest = finding.metric.split(".")
    wanted = (*_SHOWN_BESIDE, _SHOWN_OF_IMPORTS)
    figure_place = wanted.index(".".join(rest)) if ".".join(rest) in wanted else len(wanted)
    return (operations.index(operation) if operation in operations else len(operations)), figure_place


def rates(comparison: Comparison, label: str) -> list[tuple[str, Finding]]:
    """Operations per second of one side."""
    found = (each for each in (*comparison.beside, *comparison.asked) if each.label == label)
    return [(each.metric.split(".")[1], each) for each in found if each.metric.endswith(f".{RATE}")]


def shown_figures(comparison: Comparison) -> Sequence[Figure]:
    """The counts that a screen has room for."""
    return [each for each in comparison.figures if not any(hidden in each.path for hidden in _HIDDEN)]
