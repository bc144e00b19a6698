"""Compares: from sources, rules and conditions to what was found."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from loadgen.compare.comparison import (
    Comparison,
    ConditionResult,
    Counts,
    Figure,
    Finding,
    Rules,
    SettingDiffers,
    Side,
)
from loadgen.compare.condition import Condition
from loadgen.compare.judging import Estimator, findings
from loadgen.compare.metric import DEFAULT_METRIC, KINDS, RATE, compared_metrics, metric_of, parse_metric
from loadgen.compare.source import MOMENTS, Source, read_source
from loadgen.errors import ProfileError
from loadgen.measure.columns import COLUMNS
from loadgen.measure.threshold import EXIT_FAIL, EXIT_INVALID, EXIT_PASS, Number

_LOADGENS_MOMENT: Final = "steady"
"""LoadGen has no start-up connections: its view is set beside what stays."""
_SHOWN_OF_SETTINGS: Final = ("campaign.group", "campaign.speed", "campaign.day", "campaign.shape", "target")
"""Settings that make load, or target, another one."""
_FIGURES: Final = ("users", "connections.lost", "operations", "failures", "traffic", "generator")


def read_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Reads all, labelled A, B, C…; raises :class:`ProfileError` and :class:`ResultsError`."""
    if not 2 <= len(paths) <= len(ascii_uppercase):
        raise ProfileError(
            f"give two to {len(ascii_uppercase)} results to compare, the first is the baseline"
        )
    return tuple(read_source(path, label) for path, label in zip(paths, ascii_uppercase, strict=False))


def asked_metrics(metrics: Iterable[str], conditions: Iterable[Condition]) -> tuple[str, ...]:
    """What is asked: the metrics given and those of changes to fail on; if neither, the default.

    Raises :class:`~loadgen.errors.ProfileError` for what can't be asked.
    """
    given = (parse_metric(path).path for path in metrics)
    changes = (each.path for each in conditions if each.is_change and metric_of(each.path) is not None)
    return tuple(dict.fromkeys((*given, *changes))) or (DEFAULT_METRIC,)


def compare(sources: Sequence[Source], rules: Rules, conditions: Sequence[Condition] = ()) -> Comparison:
    """Lays sources side by side. The first is the baseline."""
    labels = [source.label for source in sources]
    estimators = [Estimator(source, rules, place) for place, source in enumerate(sources)]
    asked = [parse_metric(path) for path in rules.metrics]
    beside = [metric for metric in compared_metrics() if metric not in asked]
    found = findings(asked, estimators, labels, rules)
    results = tuple(_conditions(conditions, sources, found))
    return Comparison(
        rules=rules,
        sides=tuple(_side(source) for source in sources),
        warnings=tuple(_warnings(sources)),
        settings=tuple(_settings(sources)),
        connections=tuple(_connections(sources)),
        asked=tuple(found),
        beside=tuple(findings(beside, estimators, labels, rules, wide=False)),
        figures=tuple(_figures(sources)),
        conditions=results,
        exit_code=_exit_code(sources, results),
    )


def _side(source: Source) -> Side:
    return Side(
        label=source.label,
        name=source.name,
        kind=source.kind,
        path=source.path,
        users=source.users,
        verdict=source.verdict,
        measured_s=source.measured_s,
        notes=source.notes,
    )


def _warnings(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        if source.is_invalid:
            yield (
                f"{source.label} ({source.name}) is INVALID: its generator was the bottleneck, or it did not "
                "come to its end. What follows says nothing about the target. Run it again."
            )
    changed = [each.key for each in _settings(sources) if each.key.startswith(_SHOWN_OF_SETTINGS)]
    if changed:
        yield f"The runs do not do the same work: {', '.join(changed)} differ."
    seeds = {source.settings.get("campaign.seed") for source in sources if source.kind == "run"}
    if len(seeds) > 1:
        yield "The runs have different seeds, so their schedules differ."


def _settings(sources: Sequence[Source]) -> Iterator[SettingDiffers]:
    runs = [source for source in sources if source.settings]
    for key in sorted({key for run in runs for key in run.settings}):
        values = {run.label: run.settings.get(key) for run in runs}
        if len(set(values.values())) > 1:
            yield SettingDiffers(key, values)


def _connections(sources: Sequence[Source]) -> Iterator[Counts]:
    baseline = sources[0]
    for moment in MOMENTS:
        tables = {source.label: source.connections.get(moment, {}) for source in sources}
        for column in COLUMNS if any(tables.values()) else ():
            counts = {label: table.get(column) for label, table in tables.items()}
            per_user = {source.label: _per_user(counts[source.label], source.users) for source in sources}
            loadgens = baseline.as_loadgen.get(column) if moment == _LOADGENS_MOMENT else None
            if any(count is not None for count in counts.values()):
                yield Counts(
                    moment=moment,
                    column=column,
                    connections=counts,
                    per_user=per_user,
                    as_loadgen=loadgens,
                )


def _per_user(count: int | None, users: int | None) -> float | None:
    return None if count is None or not users else round(count / users, 3)


def _figures(sources: Sequence[Source]) -> Iterator[Figure]:
    """All numbers that are not times, and not 0 everywhere."""
    flat = {source.label: dict(_leaves(source.values)) for source in sources}
    for path in dict.fromkeys(path for leaves in flat.values() for path in leaves):
        values = {label: leaves.get(path) for label, leaves in flat.items()}
        if any(values.values()):
            yield Figure(path, values)


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Number | None]]:
    for key, value in tree.items():
        path = f"{above}{key}"
        if not any(path.startswith(each) or each.startswith(f"{path}.") for each in _FIGURES):
            continue
        if isinstance(value, Mapping):
            if key not in KINDS:
                yield from _leaves(value, f"{path}.")
        elif (value is None or isinstance(value, int | float)) and key != RATE:
            yield path, value


def _conditions(
    conditions: Sequence[Condition], sources: Sequence[Source], found: Sequence[Finding]
) -> Iterator[ConditionResult]:
    by_figure = {(finding.metric, finding.label): finding for finding in found}
    for condition in conditions:
        for source in sources[1:]:
            finding = by_figure.get((condition.path, source.label)) if condition.is_change else None
            yield _condition(condition, sources[0], source, finding)


def _condition(
    condition: Condition, baseline: Source, source: Source, finding: Finding | None
) -> ConditionResult:
    """A change has to be beyond noise, where that can be said at all; what a run has not measured fails."""
    measured = condition.measured(baseline.values, source.values)
    if measured is None:
        met = source.kind == "run"
        why = "it was not measured on both sides" if met else f"{source.kind}s say nothing of it"
        return ConditionResult(text=str(condition), label=source.label, met=met, why=why)
    met, why = condition.is_met_by(measured), f"it is {condition.said(measured)}"
    if met and finding is not None and finding.needed:
        met, why = False, f"{why}, and there is too little data to tell: {finding.needed}"
    elif met and finding is not None and finding.level is not None and not finding.beyond_noise:
        met, why = False, f"{why}, which is within noise"
    return ConditionResult(text=str(condition), label=source.label, met=met, why=why)


def _exit_code(sources: Sequence[Source], results: Sequence[ConditionResult]) -> int:
    """Nothing can be concluded from a run that says nothing; without conditions nothing is."""
    if results and any(source.is_invalid for source in sources):
        return EXIT_INVALID
    return EXIT_FAIL if any(result.met for result in results) else EXIT_PASS
