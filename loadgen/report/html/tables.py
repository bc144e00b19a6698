"""The tables of the report: each takes values that were read and gives HTML."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from loadgen.measure.columns import COLUMNS, PARTS
from loadgen.measure.limits import COUNTED_IN_SECONDS
from loadgen.measure.outages import Outage
from loadgen.measure.threshold import ThresholdResult
from loadgen.report.html.markup import Cell, Markup, Table, cell, element, joined
from loadgen.report.html.run_series import FailureTimes
from loadgen.report.layout import DIFFERS, NO_FIGURE, three_digits
from loadgen.report.limit_check import LimitResult
from loadgen.report.summary import Cell as Count
from loadgen.report.summary import Generator, Latency, LimitHit, Operation, Summary, Traffic
from loadgen.report.text import COLUMN_TITLES, SELDOM
from loadgen.workload.campaign import Campaign

_PARTIES: Final = ("expected", "client", "kernel", "mock")
_PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p99.9", "max")
_PAPER: Final = ("sending", "aggregate")
_HOLDS, _BROKEN = "✓", "✗"


def connections(summary: Summary) -> Markup:
    """The connection table at both barriers, with what LoadGen would have opened beside it."""
    found = Table("TCP connections at both barriers", ["connections", *_PARTIES, *_PARTIES, "same users"])
    found.group(("", 1), ("peak: all logged on", 4), ("steady: start-up over", 4), ("LoadGen", 1))
    moments = (summary.connections.peak, summary.connections.steady)
    for column in COLUMNS:
        counts = [each.get(column) for each in moments]
        as_loadgen = summary.connections.as_loadgen.get(column, 0)
        if column in SELDOM and not any(count and count.expected for count in counts):
            continue
        found.row(
            COLUMN_TITLES[column],
            *(each for count in counts for each in _counts(count)),
            cell(f"{as_loadgen:,}", "figure apart"),
            class_="total" if column in PARTS else None,
        )
    return found.render()


def _counts(count: Count | None) -> Iterator[Cell]:
    if count is None:
        yield from (cell(NO_FIGURE, "figure none") for _ in _PARTIES)
        return
    yield cell(f"{count.expected:,}", "figure apart")
    for seen in (count.client, count.kernel, count.mock):
        if seen is None:
            yield cell(NO_FIGURE, "figure none")
        elif seen == count.expected:
            yield cell(f"{seen:,}", "figure")
        else:
            off = f"{seen - count.expected:+,} beside what was expected"
            yield cell(f"{DIFFERS} {seen:,}", "figure bad", title=off)


def operations(found_operations: Mapping[str, Operation]) -> Markup:
    """How many of each operation were planned, and how they ended."""
    found = Table(
        "Operations and how they ended", ["operation", "planned", "done", "failed", "skipped", "not ended"]
    )
    for name, each in found_operations.items():
        missing = max(0, each.planned - each.done - each.failed - each.skipped) if each.planned else 0
        found.row(
            name,
            f"{each.planned:,}" if each.planned else NO_FIGURE,
            f"{each.done:,}",
            *(_trouble(count) for count in (each.failed, each.skipped, missing)),
        )
    return found.render()


def _trouble(count: int) -> object:
    return cell(f"{_BROKEN} {count:,}", "figure bad") if count else "0"


def latency(found_operations: Mapping[str, Operation]) -> Markup:
    """Response and service time of each operation that was timed."""
    found = Table("Latency in ms", ["operation", *_PERCENTILES, *_PERCENTILES])
    found.group(("", 1), ("response: from when it was due", 6), ("service: from when it began", 6))
    for name, each in found_operations.items():
        if each.response_ms.p50 is not None:
            response, service = _times(each.response_ms), _times(each.service_ms)
            found.row(name, *_first_apart(response), *_first_apart(service))
    return found.render()


def layers(set_up: Mapping[str, Latency]) -> Markup:
    """Times of each layer of opening connections."""
    found = Table("Set-up in ms, by layer", ["layer", *_PERCENTILES])
    for name, each in set_up.items():
        if each.p50 is not None:
            found.row(name, *_times(each))
    return found.render()


def _times(each: Latency) -> list[str]:
    values = (each.p50, each.p90, each.p95, each.p99, each.p999, each.max)
    return [NO_FIGURE if value is None else three_digits(value) for value in values]


def _first_apart(figures: Sequence[str]) -> Iterator[Cell]:
    yield from (cell(each, "figure apart" if place == 0 else "figure") for place, each in enumerate(figures))


def failures(summary: Summary, times: Mapping[tuple[str, str], FailureTimes]) -> Markup:
    """Failures by operation and outcome, most first, each with its first and last time and one example.

    ``times`` are those of the intervals, for a summary that does not have them.
    """
    found = Table(
        "Failures by operation and outcome", ["operation", "outcome", "example", "count", "first", "last"], 3
    )
    for each in sorted(summary.failure_examples, key=lambda failure: -failure.count):
        noted = times.get((each.operation, each.outcome))
        first, last = each.first_s, each.last_s
        if first is None and noted is not None:
            first, last = noted.first_s, noted.last_s
        example = cell(each.example, "example")
        found.row(each.operation, each.outcome, example, f"{each.count:,}", moment(first), moment(last))
    return found.render()


def moment(seconds: float | None) -> str:
    """A time since the start of the run: 0:05.2, 2:03:05."""
    if seconds is None:
        return NO_FIGURE
    minutes, rest = divmod(max(0.0, seconds), 60)
    if minutes < 60:
        return f"{minutes:.0f}:{rest:04.1f}"
    return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{rest:02.0f}"


def traffic(lines: Mapping[str, Mapping[str, Traffic]]) -> Markup:
    """kB per user and day, beside the white paper's."""
    found = Table(
        "Traffic in kB per user and day",
        [
            "client type",
            "profile",
            "users",
            "sending",
            "aggregate",
            "total",
            "idle/hour",
            "row",
            "sending",
            "aggregate",
        ],
        2,
    )
    found.group(("", 3), ("measured", 4), ("white paper", 3))
    for client, profiles in lines.items():
        for profile, each in profiles.items():
            figures = (each.sending, each.aggregate, each.sending + each.aggregate)
            paper = (each.white_paper_sending, each.white_paper_aggregate)
            found.row(
                client,
                profile,
                f"{each.users:,}",
                *_first_apart([f"{figure:,.0f}" for figure in figures]),
                NO_FIGURE if each.idle_per_hour is None else f"{each.idle_per_hour:,.1f}",
                cell(each.white_paper_row, "apart"),
                *(NO_FIGURE if figure is None else f"{figure:,}" for figure in paper),
            )
    return found.render()


def limits(hits: Sequence[LimitHit]) -> Markup:
    """Every limit of every server that was hit."""
    found = Table(
        "Limits that were hit", ["limit", "server", "first error", "in use", "of", "hits", "users then"], 3
    )
    for hit in hits:
        unit = " s" if hit.name in COUNTED_IN_SECONDS else ""
        in_use, of = (NO_FIGURE if value is None else f"{value:,.0f}{unit}" for value in (hit.in_use, hit.of))
        hits_then = (
            NO_FIGURE if value is None else f"{value:,}" for value in (hit.hits, hit.users_logged_on)
        )
        error = cell(hit.first_error or NO_FIGURE, "example")
        found.row(hit.name, hit.server or NO_FIGURE, error, in_use, of, *hits_then)
    return found.render()


def outages(found_outages: Sequence[Outage]) -> Markup:
    """Every outage: after how long who was lost was back, and which limit refused them meanwhile."""
    headers = ["from", "back after s", "users cut off", "of", "virtual connections lost", "refused meanwhile"]
    found = Table("Outages", headers)
    for each in found_outages:
        after_s = each.recovered_after_s
        refused = ", ".join(f"{count:,} by {limit}" for limit, count in each.refused_by_limit.items())
        found.row(
            moment(each.from_s),
            cell(f"{_BROKEN} never", "figure bad") if after_s is None else f"{after_s:,.0f}",
            f"{each.lost:,}",
            f"{each.admitted_before:,}",
            f"{each.connections_lost:,}",
            refused or "nobody",
        )
    return found.render()


def thresholds(results: Sequence[ThresholdResult]) -> Markup:
    """Every threshold with the value that was measured, over windows that of the worst one."""
    over_windows = any(each.worst_from_s is not None for each in results)
    when = ["worst from", "until"] if over_windows else []
    found = Table("Thresholds", ["", "threshold", "measured", *when], 2)
    for each in results:
        value = NO_FIGURE if each.measured is None else f"{each.measured:,.6g}"
        found.row(
            mark("holds" if each.held else "does not hold", good=each.held),
            cell(each.text, "code"),
            cell(value, "figure" if each.held else "figure bad"),
            *(moment(at) for at in (each.worst_from_s, each.worst_until_s) if over_windows),
        )
    return found.render()


def limit_set(results: Sequence[LimitResult]) -> Markup:
    """Every limit of the campaign's limit set, and how the target's counters fared by it."""
    found = Table("Limits of counters", ["", "server", "limit", "measured", "from", "until"], 3)
    for each in results:
        value = NO_FIGURE if each.measured is None else f"{each.measured:,.6g}"
        found.row(
            NO_FIGURE
            if each.held is None
            else mark("holds" if each.held else "does not hold", good=each.held),
            each.server or NO_FIGURE,
            cell(each.limit, "example"),
            cell(value, "figure bad" if each.held is False else "figure"),
            *(moment(at) for at in (each.from_s, each.until_s)),
        )
    return found.render()


def health(generator: Generator, campaign: Campaign) -> Markup:
    """The generator's own condition beside the bounds that make a run INVALID."""
    found = Table("The generator's own condition", ["", "figure", "measured", "INVALID above"], 2)
    lag_ms, bound_ms = generator.lag_ms.p99, campaign.invalid_lag * 1000
    use = campaign.invalid_use
    for name, value, bound, text in (
        ("lag p99, ms", lag_ms, bound_ms, "{:,.3g}"),
        ("busiest worker over ten seconds", generator.busy_peak, campaign.invalid_busy, "{:.0%}"),
        ("descriptors of a worker in use", generator.descriptors_use_peak, use, "{:.0%}"),
        ("source ports of an address in use", generator.ports_use_peak, use, "{:.0%}"),
    ):
        held = value is None or value <= bound
        measured = NO_FIGURE if value is None else text.format(value)
        found.row(
            mark("within bounds" if held else "beyond its bound", good=held),
            name,
            cell(measured, "figure" if held else "figure bad"),
            text.format(bound),
        )
    for name, text in (
        ("CPU time of all workers, s", f"{generator.cpu_s:,.1f}"),
        ("resident memory per user, kB", f"{generator.memory_per_user_kb:,.0f}"),
        ("times below 0 or above 10 min", f"{generator.clamped:,}"),
    ):
        found.row("", name, text, "")
    return found.render()


def mark(meaning: str, *, good: bool) -> Markup:
    """A sign that says by its shape, its colour and its name whether something holds."""
    return element(
        "span", _HOLDS if good else _BROKEN, class_="good" if good else "bad", role="img", aria_label=meaning
    )


def pairs(caption: str, lines: Mapping[str, object]) -> Markup:
    """Names and what they are, one a line."""
    terms = (joined((element("dt", name), element("dd", value))) for name, value in lines.items())
    return element("dl", *terms, class_="pairs", aria_label=caption)
