"""Whether figures of two runs differ: by enough to count, and by more than noise."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from loadgen.compare.bootstrap import (
    FEWEST_BEYOND,
    FEWEST_BLOCKS,
    MEAN,
    SHORTEST_BLOCK_S,
    Estimate,
    Ratio,
    Resampler,
    Statistic,
    holm,
    ratio_of,
)
from loadgen.compare.comparison import Finding, Outcome, Rules
from loadgen.compare.metric import Metric
from loadgen.compare.recording import Times
from loadgen.compare.source import Source

_FEWEST_FOR_A_MEAN: Final = 10
_LONGEST_ADVICE: Final = 100
"""Beyond so many times as long, another way of measuring is needed."""


class Lack(NamedTuple):
    """Why nothing is known of how sure a figure is, and what would help; "" if nothing would."""

    why: str
    needed: str


class Estimator:
    """The estimates of one side; those of one tag are made together, and once."""

    def __init__(self, source: Source, rules: Rules, place: int) -> None:
        self._source = source
        self._resampler = Resampler((rules.seed, place), rules.resamples)
        self._made: dict[Metric, Estimate | Lack] = {}

    def estimate(self, metric: Metric, together: Sequence[Metric]) -> Estimate | Lack:
        """The estimate of a metric; ``together`` are all that will be asked for."""
        if metric not in self._made:
            same = [each for each in together if each.tag == metric.tag and each.statistic is not None]
            self._made |= self._rate(metric) if metric.statistic is None else self._times(metric.tag, same)
        return self._made[metric]

    def value(self, metric: Metric) -> float | None:
        """The figure itself."""
        value: object = self._source.values
        for step in metric.path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return float(value) if isinstance(value, int | float) else None

    def _rate(self, metric: Metric) -> dict[Metric, Estimate | Lack]:
        rate = self._source.recording.rate(metric.tag) if self._source.recording else None
        if rate is None or not rate.counts.any():
            return {metric: self._nothing()}
        return {metric: self._resampler.rate(rate) or self._too_short(len(rate.counts) * rate.interval_s)}

    def _times(self, tag: str, metrics: Sequence[Metric]) -> dict[Metric, Estimate | Lack]:
        times = self._source.recording.times(tag) if self._source.recording else None
        if times is None:
            return dict.fromkeys(metrics, self._nothing())
        statistics = [each.statistic for each in metrics if each.statistic is not None]
        made: dict[Metric, Estimate | Lack] = {}
        estimates = self._resampler.times(times, statistics)
        for metric, statistic, estimate in zip(metrics, statistics, estimates, strict=True):
            made[metric] = (
                self._too_few(times, statistic)
                or estimate
                or self._too_short(len(times.counts) * times.interval_s)
            )
        return made

    def _nothing(self) -> Lack:
        label = self._source.label
        if self._source.kind != "run":
            return Lack(f"{label} has no intervals that tell how sure it is", "")
        return Lack(f"{label} has not measured it", "")

    def _too_few(self, times: Times, statistic: Statistic) -> Lack | None:
        if statistic == MEAN:
            fewest = _FEWEST_FOR_A_MEAN
        else:
            percentile = float(statistic)
            fewest = math.ceil(round(100 * FEWEST_BEYOND / min(percentile, 100 - percentile), 6))
        if times.samples >= fewest:
            return None
        return Lack(
            f"{self._source.label} has {times.samples:,} of them", f"{fewest:,} operations on each side"
        )

    def _too_short(self, length_s: float) -> Lack:
        return Lack(
            f"{self._source.label} lasts {length_s:.0f} s",
            f"{FEWEST_BLOCKS * SHORTEST_BLOCK_S:.0f} s on each side, and more if intervals are alike",
        )


class _Pair(NamedTuple):
    """A figure of two sides, and its ratio if that can be had."""

    metric: Metric
    label: str
    baseline: float | None
    value: float | None
    ratio: Ratio | None
    lack: Lack | None
    blocks: tuple[float, ...]


def findings(
    metrics: Sequence[Metric],
    estimators: Sequence[Estimator],
    labels: Sequence[str],
    rules: Rules,
    *,
    wide: bool = True,
) -> list[Finding]:
    """Every metric of every side beside the baseline's, corrected for all of them together.

    Intervals are as ``wide`` as the correction makes them, or each is of its own figure alone.
    """
    pairs = [
        _pair(metric, label, estimator, estimators[0], metrics)
        for metric in metrics
        for label, estimator in zip(labels[1:], estimators[1:], strict=True)
    ]
    pairs = [pair for pair in pairs if pair.value or pair.metric.path in rules.metrics]
    told = [pair.ratio for pair in pairs if pair.ratio is not None]
    alphas = iter(holm([ratio.p for ratio in told], 1 - rules.confidence))
    found = []
    for pair in pairs:
        if pair.ratio is None:
            found.append(_unknown(pair, len(told)))
            continue
        alpha = next(alphas)
        level = 1 - alpha if wide else rules.confidence
        found.append(_told(pair, pair.ratio, level, len(told), rules, beyond_noise=pair.ratio.p <= alpha))
    return found


def _pair(
    metric: Metric, label: str, side: Estimator, baseline: Estimator, together: Sequence[Metric]
) -> _Pair:
    old, new = (each.estimate(metric, together) for each in (baseline, side))
    values = baseline.value(metric), side.value(metric)
    if isinstance(old, Lack) or isinstance(new, Lack):
        lack = old if isinstance(old, Lack) else new
        return _Pair(metric, label, *values, None, lack if isinstance(lack, Lack) else None, ())
    return _Pair(metric, label, old.value, new.value, ratio_of(new, old), None, (old.blocks, new.blocks))


def _unknown(pair: _Pair, family: int) -> Finding:
    known = pair.baseline and pair.value is not None
    needed = "; ".join(filter(None, pair.lack)) if pair.lack else ""
    return Finding(
        metric=pair.metric.path,
        unit=pair.metric.unit,
        label=pair.label,
        outcome="too_little_data" if pair.lack and pair.lack.needed else "not_measured",
        baseline=pair.baseline,
        value=pair.value,
        ratio=pair.value / pair.baseline if known and pair.baseline and pair.value is not None else None,
        family=family,
        needed=needed,
    )


def _told(
    pair: _Pair, ratio: Ratio, level: float, family: int, rules: Rules, *, beyond_noise: bool
) -> Finding:
    low, high = ratio.interval(level)
    if beyond_noise:
        outcome: Outcome = "differs" if abs(ratio.ratio - 1) >= rules.at_least else "no_difference"
        needed = ""
    else:
        outcome, needed = _within_noise(math.log(high / ratio.ratio), math.log1p(rules.at_least))
    return Finding(
        metric=pair.metric.path,
        unit=pair.metric.unit,
        label=pair.label,
        outcome=outcome,
        baseline=pair.baseline,
        value=pair.value,
        ratio=ratio.ratio,
        low=low,
        high=high,
        level=level,
        p=ratio.p,
        family=family,
        blocks=pair.blocks,
        beyond_noise=beyond_noise,
        needed=needed,
    )


def _within_noise(reach: float, wanted: float) -> tuple[Outcome, str]:
    """What an interval says that has no difference in it, and what it would take to tell if it says nothing.

    One that reaches further than the smallest difference that counts could hide one. Both are logarithms.
    """
    if reach <= wanted:
        return "no_difference", ""
    times = math.ceil((reach / wanted) ** 2)
    if times > _LONGEST_ADVICE:
        return "too_little_data", f"more than {_LONGEST_ADVICE} times as many operations"
    return "too_little_data", f"runs about {times} times as long, or as many operations"
