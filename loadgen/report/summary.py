"""``summary.json``: the typed form of what a run found (docs/results.md)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from loadgen.measure import threshold
from loadgen.measure.connections import Census
from loadgen.measure.histogram import PERCENTILES, Histogram
from loadgen.measure.limits import LIMITS, UNKNOWN
from loadgen.measure.outages import Outage
from loadgen.measure.recorder import ALWAYS_TIMED, Failure
from loadgen.measure.sample import LAYERS, OK, OPERATIONS, OUTCOMES
from loadgen.measure.threshold import Bounds, Ending, Threshold, ThresholdResult, Verdict, Worst
from loadgen.measure.totals import Totals
from loadgen.report import warnings
from loadgen.report.limit_check import LimitCheck, LimitResult, none_measured, some_unmeasured
from loadgen.workload import connection_model
from loadgen.workload.campaign import Campaign, Population, UserGroup
from loadgen.workload.white_paper import ANYWHERE, row_of

SCHEMA: Final = 1
OCTETS_PER_KB: Final = 1000
IDLE_AT_LEAST_S: Final = 60.0
"""How long users must have been idle, on average, before their idle traffic is told by the hour."""
_SECONDS_PER_HOUR: Final = 3600
_NS_PER_S: Final = 1e9


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds; None where nothing was measured."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, histogram: Histogram | None) -> "Latency":
        """The percentiles of a histogram."""
        if histogram is None or not histogram.count:
            return cls()
        at = histogram.percentiles_us(PERCENTILES.values())
        figures = {name: at[percentile] / 1000 for name, percentile in PERCENTILES.items()}
        return cls(**figures, max=histogram.max_us / 1000)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: how its arrivals ended, and its times from the due time and from the actual start."""

    planned: int
    done: int
    failed: int
    skipped: int
    response_ms: Latency
    service_ms: Latency


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """How many users there were to be, were, could not log on, came back, and went missing.

    ``admitted`` are those with all of their steady connections; ``refused_by_limit`` divides ``refused`` by
    the limit that refused them, ``unknown`` where that can't be said. ``wanted`` is how many there were to be
    at the end: others than planned if somebody scaled the run.
    """

    planned: int
    wanted: int
    logged_on_peak: int
    admitted_peak: int
    refused: int
    refused_by_limit: dict[str, int]
    reconnects: int
    lost: int


class LimitHit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of one server that was hit: how much of it was in use at most, and how often it was not enough.

    ``users_logged_on`` when the first user met it, and ``first_error`` what that one saw; None and "" if
    nobody was refused by it. Without counters of the target only the name is known.
    """

    name: str
    server: str
    in_use: float | None
    of: float | None
    hits: int | None
    users_logged_on: int | None
    first_error: str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the connection table at one barrier; None where a party can't see the column."""

    expected: int
    client: int | None
    kernel: int | None
    mock: int | None


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """TCP connections by column at the two barriers; empty if the run did not get there."""

    peak: dict[str, Cell]
    steady: dict[str, Cell]
    lost: int
    as_loadgen: dict[str, int]
    """What LoadGen would have opened for as many users."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """kB of TCP payload per user and simulated day, both directions; ``idle_per_hour`` per real hour.

    ``idle_per_hour`` is None without a hold of :data:`IDLE_AT_LEAST_S`. ``white_paper_*`` are the figures of
    its row for such clients, None for a profile that it does not have.
    """

    users: int
    sending: float
    aggregate: float
    idle_per_hour: float | None
    white_paper_sending: int | None
    white_paper_aggregate: int | None
    white_paper_row: str = ANYWHERE.label
    """Files that do not say it have no other."""


class FailureExample(msgspec.Struct, frozen=True, kw_only=True):
    """All failures of one operation with one outcome: how many, when in the run, and the text of the first.

    Times are in seconds since the start of the run; None if nobody knows.
    """

    operation: str
    outcome: str
    count: int
    first_s: float | None = None
    last_s: float | None = None
    example: str


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """The generator's own condition. Shares are of 1; ``clamped``: times below 0 or above 10 min."""

    lag_ms: Latency
    cpu_s: float
    busy_peak: float
    descriptors_use_peak: float
    ports_use_peak: float
    memory_per_user_kb: float
    clamped: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of ``summary.json``."""

    schema: int = SCHEMA
    campaign: str
    verdict: Verdict = "INVALID"
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    thresholds: tuple[ThresholdResult, ...] = ()
    limit_set: str = ""
    """The campaign's limit set; its thresholds are among ``thresholds``."""
    limit_results: tuple[LimitResult, ...] = ()
    exit_code: int = threshold.EXIT_BUG
    measured_s: float
    """Real seconds of the measured phase so far, pauses apart."""
    paused_s: float = 0.0
    """Real seconds for which the schedule stood, on somebody's command."""
    stopped_by: str = ""
    """Who ended the run before its time, if it was a good end; "" if nobody did."""
    users: Users
    limits: tuple[LimitHit, ...] = ()
    outages: tuple[Outage, ...] = ()
    operations: dict[str, Operation]
    set_up: dict[str, Latency]
    """Opening connections, by layer: service time in ms."""
    connections: Connections
    traffic: dict[str, dict[str, Traffic]]
    failures: dict[str, int]
    """By outcome, all operations together."""
    failure_examples: tuple[FailureExample, ...]
    generator: Generator
    unexpected_deliveries: int = 0


def summarise(
    campaign: Campaign,
    population: Population,
    totals: Totals,
    *,
    measured_s: float,
    peak: Census | None = None,
    steady: Census | None = None,
    unexpected_deliveries: int = 0,
    limits: tuple[LimitHit, ...] = (),
    refused_by_limit: Mapping[str, int] | None = None,
    outages: tuple[Outage, ...] = (),
    worst: Mapping[Threshold, Worst] | None = None,
    limit_check: LimitCheck | None = None,
    paused_s: float = 0.0,
    users_wanted: int | None = None,
    ending: Ending | None = None,
    origin_ns: int = 0,
) -> Summary:
    """The summary of a run, verdict included; of a run still under way if ``ending`` says ``interrupted``.

    ``worst`` are the worst windows of the thresholds that are over windows, ``limit_check`` is the limit set
    with what it has seen of counters, ``origin_ns`` is when the run started, on the clock of its totals.
    """
    summary = Summary(
        campaign=campaign.name,
        measured_s=measured_s,
        paused_s=paused_s,
        stopped_by=ending.stopped if ending is not None else "",
        users=_users(population, totals, users_wanted, refused_by_limit or {}),
        limits=limits,
        outages=outages,
        operations={name: _operation(name, totals) for name in OPERATIONS},
        set_up={layer: Latency.of(totals.histograms.get(f"{layer}.service")) for layer in LAYERS},
        connections=Connections(
            peak=_table(peak),
            steady=_table(steady),
            lost=totals.connections_lost,
            as_loadgen=connection_model.as_loadgen(population.users, population.inside),
        ),
        traffic=_traffic(population, totals, measured_s * campaign.speed / campaign.day),
        failures=_failures(totals),
        failure_examples=tuple(_example(failure, origin_ns) for failure in totals.failures.values()),
        generator=_generator(population, totals),
        unexpected_deliveries=unexpected_deliveries,
    )
    uncounted = _uncounted(peak, steady)
    ending = msgspec.structs.replace(ending or Ending(), uncounted=tuple(uncounted.get("mock", ())))
    told = warnings.of(
        msgspec.to_builtins(summary), campaign, uncounted.get("kernel", ()), totals.events_dropped
    )
    summary = msgspec.structs.replace(summary, warnings=tuple(told))
    return _judged(summary, campaign, ending, worst or {}, limit_check)


def _users(
    population: Population, totals: Totals, wanted: int | None, refused_by_limit: Mapping[str, int]
) -> Users:
    return Users(
        planned=population.users,
        wanted=population.users if wanted is None else wanted,
        logged_on_peak=totals.users_logged_on_peak,
        admitted_peak=totals.users_admitted_peak,
        refused=totals.users_refused,
        refused_by_limit=dict.fromkeys((*LIMITS, UNKNOWN), 0) | dict(refused_by_limit),
        reconnects=totals.reconnects,
        lost=totals.users_lost,
    )


def _judged(
    summary: Summary,
    campaign: Campaign,
    ending: Ending,
    worst: Mapping[Threshold, Worst],
    limit_check: LimitCheck | None,
) -> Summary:
    """The summary with its verdict, and how each threshold and limit fared."""
    bounds = Bounds(campaign.invalid_lag * 1000, campaign.invalid_busy, campaign.invalid_use)
    thresholds = threshold.parse_all(campaign.threshold)
    document = msgspec.to_builtins(summary)
    of_set = limit_check.limit_set.thresholds if limit_check else ()
    limit_results = limit_check.results() if limit_check else ()
    checks = [each.check(document, worst) for each in (*thresholds, *of_set)]
    not_met = [each.why for each in checks[len(thresholds) :] if not each.held]
    not_met += [each.why for each in limit_results if each.held is False]
    told = summary.warnings
    if limit_check is not None and not ending.interrupted:
        if blind := none_measured(limit_check.limit_set.name, limit_results):
            not_met.append(blind)
        elif warning := some_unmeasured(limit_check.limit_set, limit_results):
            told = (*told, warning)
    judgement = threshold.judge(document, thresholds, bounds, ending, worst=worst, not_met=not_met)
    return msgspec.structs.replace(
        summary,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        warnings=told,
        exit_code=judgement.exit_code,
        thresholds=tuple(checks),
        limit_set=limit_check.limit_set.name if limit_check else "",
        limit_results=limit_results,
    )


def _operation(name: str, totals: Totals) -> Operation:
    counts = totals.counts[name]
    return Operation(
        planned=counts.planned,
        done=counts.done,
        failed=counts.failed,
        skipped=counts.skipped,
        response_ms=Latency.of(totals.histograms.get(f"{name}.response")),
        service_ms=Latency.of(totals.histograms.get(f"{name}.service")),
    )


def _table(census: Census | None) -> dict[str, Cell]:
    if census is None:
        return {}
    counts = census.counts
    return {
        column: Cell(
            expected=expected,
            client=counts.get("client", {}).get(column),
            kernel=counts.get("kernel", {}).get(column),
            mock=counts.get("mock", {}).get(column),
        )
        for column, expected in census.expected.items()
    }


def _uncounted(peak: Census | None, steady: Census | None) -> dict[str, list[str]]:
    """By party, why it could not count. The mock has to; the kernel may be out of reach."""
    problems: dict[str, list[str]] = {}
    for moment, census in (("peak", peak), ("steady", steady)):
        for party, problem in census.errors.items() if census else ():
            problems.setdefault(party, []).append(
                f"the {party} did not count connections at {moment}: {problem}"
            )
    return problems


def _traffic(population: Population, totals: Totals, days: float) -> dict[str, dict[str, Traffic]]:
    """Groups of the same client type and profile are one line."""
    merged: dict[tuple[str, str], UserGroup] = {}
    for group in population.groups:
        key = (group.client.name, group.profile.name)
        others = merged[key].users if key in merged else 0
        merged[key] = UserGroup(others + group.users, group.client, group.profile)
    table: dict[str, dict[str, Traffic]] = {}
    for (client, profile), group in merged.items():
        table.setdefault(client, {})[profile] = _traffic_line(totals, group, days)
    return table


def _traffic_line(totals: Totals, group: UserGroup, days: float) -> Traffic:
    client, profile = group.client.name, group.profile.name

    def per_user_day(octets: int) -> float:
        return octets / OCTETS_PER_KB / group.users / days if days else 0.0

    sending, _ = totals.traffic.get((client, profile, "sending"), (0, 0.0))
    receiving, _ = totals.traffic.get((client, profile, "receiving"), (0, 0.0))
    idle, idle_s = totals.traffic.get((client, profile, "idle"), (0, 0.0))
    row = row_of(group.client)
    paper = row.printed(group.profile)
    return Traffic(
        users=group.users,
        sending=round(per_user_day(sending), 1),
        aggregate=round(per_user_day(receiving), 1),
        idle_per_hour=_per_hour(idle, idle_s) if idle_s >= group.users * IDLE_AT_LEAST_S else None,
        white_paper_sending=paper[0] if paper else None,
        white_paper_aggregate=paper[1] if paper else None,
        white_paper_row=row.label,
    )


def _per_hour(octets: int, seconds: float) -> float:
    return round(octets / OCTETS_PER_KB / seconds * _SECONDS_PER_HOUR, 1)


def _failures(totals: Totals) -> dict[str, int]:
    counts = {outcome: 0 for outcome in OUTCOMES if outcome != OK}
    for failure in totals.failures.values():
        counts[failure.outcome] += failure.count
    return counts


def _example(failure: Failure, origin_ns: int) -> FailureExample:
    return FailureExample(
        operation=failure.operation,
        outcome=failure.outcome,
        count=failure.count,
        first_s=_seconds(failure.first_ns - origin_ns),
        last_s=_seconds(failure.last_ns - origin_ns),
        example=failure.example,
    )


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / _NS_PER_S, 3)


def _generator(population: Population, totals: Totals) -> Generator:
    judged = (f"{name}.lag" for name in OPERATIONS if name not in ALWAYS_TIMED)
    memory_kb = totals.resident_octets_peak / OCTETS_PER_KB
    return Generator(
        lag_ms=Latency.of(totals.merged(judged)),
        cpu_s=round(sum(gauges.cpu_s_total for gauges in totals.gauges.values()), 3),
        busy_peak=totals.busy_peak,
        descriptors_use_peak=totals.descriptors_use_peak,
        ports_use_peak=totals.ports_use_peak,
        memory_per_user_kb=round(memory_kb / population.users, 1),
        clamped=totals.clamped,
    )
