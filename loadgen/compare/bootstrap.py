"""Confidence by block bootstrap: whole blocks of intervals are drawn again, so what hangs together stays so.

A second is like the one before it: a stall, a burst, a full queue last. Drawing single operations, or single
seconds, would take them for independent and promise far more than was measured. Blocks are as long as
intervals are alike (the rule of Politis and White, 2004, as corrected in 2009 by Patton, Politis and White,
for circular blocks), and never shorter than three seconds; what hangs together for longer than a block is
estimated from the covariances of intervals, and added.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loadgen.compare.recording import Floats, Rate, Times

SHORTEST_BLOCK_S: Final = 3.0
FEWEST_BLOCKS: Final = 4
"""With fewer there is no saying how much they differ."""
FEWEST_BEYOND: Final = 5
"""So many values have to lie beyond a percentile for it to be more than the luck of the largest ones."""
MEAN: Final = "mean"
Statistic = float | str
"""A percentile, or :data:`MEAN`."""
_TIMER_SHARE: Final = 0.2
"""Intervals are never of exactly a second; by so much of one, three may be short of three seconds."""
_RESOLUTION: Final = 0.001 / math.sqrt(12)
"""Standard error, as a share, of a value that is known to three digits."""
_SIGNIFICANT: Final = 2.0
"""Autocorrelations below this many times sqrt(log10(n) / n) count as none; the rule's own constant."""


class Estimate(NamedTuple):
    """A figure and how sure it is."""

    value: float
    error: float
    """Standard error of its natural logarithm."""
    blocks: float
    """How many independent pieces of the run say so."""
    block_s: float
    samples: int


class Ratio(NamedTuple):
    """How much larger one figure is than another, as far as can be told."""

    ratio: float
    error: float
    """Standard error of its logarithm."""
    freedom: float
    """Degrees of freedom of that error (Welch and Satterthwaite)."""
    p: float
    """How likely so large a ratio is, either way, if there is no difference."""

    def interval(self, level: float) -> tuple[float, float]:
        """Where the ratio lies, with this much confidence."""
        reach = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return self.ratio * math.exp(-reach), self.ratio * math.exp(reach)


class _Blocks(NamedTuple):
    """How a run's intervals are put into blocks."""

    rows: int
    length: int
    """Intervals in a block."""
    interval_s: float
    missed: float = 1.0
    """How many times larger the variance is than such blocks can show."""

    @property
    def number(self) -> float:
        return self.rows / self.length

    @property
    def are_enough(self) -> bool:
        return self.number >= FEWEST_BLOCKS

    def estimate(self, value: float, drawn: Floats, samples: int) -> Estimate:
        """The estimate whose error the drawings tell: from k blocks, their variance is (k - 1) / k of it."""
        known = drawn[drawn > 0]
        error = 0.0
        if len(known) > 1:
            correction = self.missed * self.number / (self.number - 1)
            error = float(np.log(known).std(ddof=1)) * math.sqrt(correction)
        block_s = self.length * self.interval_s
        return Estimate(value, math.hypot(error, _RESOLUTION), self.number, block_s, samples)


class Resampler:
    """Draws blocks of the intervals of one run; the same ones for figures that are asked of it together."""

    def __init__(self, seed: Sequence[int], resamples: int) -> None:
        self._seed = seed
        self._resamples = resamples
        self._drawn: dict[tuple[int, int], Floats] = {}

    def times(self, times: Times, statistics: Sequence[Statistic]) -> list[Estimate | None]:
        """Estimates of percentiles, or the mean, of one tag; None where the run is too short for any."""
        total = times.counts.sum(axis=0)[None, :]
        values = [float(each[0]) for each in _statistics(total, times.values_ms, statistics)]
        pulls = [_influence(times, value, each) for value, each in zip(values, statistics, strict=True)]
        blocks = _blocks_for(pulls, times.interval_s)
        if not blocks.are_enough:
            return [None] * len(values)
        drawn = _statistics(self._weights(blocks) @ times.counts, times.values_ms, statistics)
        return [
            blocks.estimate(value, each, times.samples) for value, each in zip(values, drawn, strict=True)
        ]

    def rate(self, rate: Rate) -> Estimate | None:
        """The estimate of a rate per second; None if the run is too short for any, or nothing was done."""
        done, value = float(rate.counts.sum()), rate.per_s
        blocks = _blocks_for([rate.counts - value * rate.lengths_s], rate.interval_s)
        if not done or not blocks.are_enough:
            return None
        weights = self._weights(blocks)
        return blocks.estimate(value, (weights @ rate.counts) / (weights @ rate.lengths_s), round(done))

    def _weights(self, blocks: _Blocks) -> Floats:
        """How often each interval comes in each drawing; behind the last one comes the first."""
        rows, length = blocks.rows, blocks.length
        if (rows, length) not in self._drawn:
            random = np.random.default_rng([*self._seed, rows, length])
            starts = random.integers(rows, size=(self._resamples, max(1, round(blocks.number))))
            starts += rows * np.arange(self._resamples)[:, None]
            begun = np.bincount(starts.ravel(), minlength=self._resamples * rows)
            begun = begun.reshape(self._resamples, rows).astype(np.float64)
            before = np.zeros((self._resamples, 1))
            summed = np.concatenate([before, begun[:, rows - length + 1 :], begun], axis=1).cumsum(axis=1)
            self._drawn[rows, length] = summed[:, length:] - summed[:, :-length]
        return self._drawn[rows, length]


def ratio_of(estimate: Estimate, baseline: Estimate) -> Ratio:
    """An estimate by another one of an independent run."""
    ratio = estimate.value / baseline.value
    variances = [(each.error**2, each.blocks - 1) for each in (estimate, baseline)]
    error = math.sqrt(sum(variance for variance, _ in variances))
    freedom = error**4 / sum(variance**2 / free for variance, free in variances)
    p = 2 * float(stats.t.sf(abs(math.log(ratio)) / error, freedom))
    return Ratio(ratio, error, freedom, p)


def holm(ps: Sequence[float], alpha: float) -> list[float]:
    """The level at which each of several p-values is judged, so that all together err with ``alpha``.

    The smallest has to be below alpha / m, the next below alpha / (m - 1) and so on (Holm, 1979); behind the
    first that is not, none is, and all are judged at its level.
    """
    levels = [alpha] * len(ps)
    level, stopped = alpha, False
    for place, which in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if not stopped:
            level = alpha / (len(ps) - place)
            stopped = ps[which] > level
        levels[which] = level
    return levels


def _statistics(counts: Floats, values: Floats, statistics: Sequence[Statistic]) -> list[Floats]:
    """Each statistic of each row of counts; 0 where a row is empty."""
    seen = counts.cumsum(axis=1)
    totals = seen[:, -1]
    found: list[Floats] = []
    for statistic in statistics:
        if statistic == MEAN:
            found.append(counts @ values / np.maximum(totals, 1))
            continue
        ranks = np.maximum(1, np.ceil(np.round(float(statistic) * totals / 100, 6)))
        places = (seen < ranks[:, None]).sum(axis=1)
        found.append(np.where(totals > 0, values[np.minimum(places, len(values) - 1)], 0.0))
    return found


def _influence(times: Times, value: float, statistic: Statistic) -> Floats:
    """By how much each interval pulls the figure up: what of it lies above, less what had to."""
    totals = times.counts.sum(axis=1)
    if statistic == MEAN:
        pull: Floats = times.counts @ times.values_ms - value * totals
        return pull
    above = times.counts[:, times.values_ms > value].sum(axis=1)
    share = float(above.sum()) / max(1.0, float(totals.sum()))
    exceeding: Floats = above - totals * share
    return exceeding


def _blocks_for(series: Sequence[Floats], interval_s: float) -> _Blocks:
    """Blocks as long as intervals are alike, three seconds at least; enough for each of several series."""
    shortest = max(1, math.ceil(SHORTEST_BLOCK_S / interval_s - _TIMER_SHARE))
    rows = len(series[0])
    if rows < FEWEST_BLOCKS * shortest:
        return _Blocks(rows, shortest, interval_s)
    longest = max(shortest, rows // (2 * FEWEST_BLOCKS))
    found = [_Likeness.of(each) for each in series]
    length = max(min(longest, max(shortest, math.ceil(each.block_length))) for each in found)
    return _Blocks(rows, length, interval_s, max(each.missed_by(length) for each in found))


class _Likeness(NamedTuple):
    """How alike the intervals of a series are."""

    rows: int
    covariances: Floats
    """By distance in intervals, from 0 on, tapered towards the distance from which there is none."""

    @classmethod
    def of(cls, series: Floats) -> "_Likeness":
        """Covariances count up to twice the distance from which several in a row are small."""
        rows = len(series)
        centred = series - series.mean()
        tested = max(5, math.ceil(math.sqrt(math.log10(rows))))
        furthest = min(rows - 1, math.ceil(math.sqrt(rows)) + tested)
        sums = [float(centred[lag:] @ centred[: rows - lag]) for lag in range(furthest + 1)]
        covariances = np.array(sums) / rows
        if covariances[0] <= 0:
            return cls(rows, np.zeros(1))
        bound = _SIGNIFICANT * math.sqrt(math.log10(rows) / rows)
        small = np.abs(covariances[1:] / covariances[0]) < bound
        reach = min(2 * max(1, _first_run(small, tested)), furthest)
        taper = np.minimum(1.0, 2 * (1 - np.arange(reach + 1) / reach))
        return cls(rows, taper * covariances[: reach + 1])

    @property
    def block_length(self) -> float:
        """The length of circular blocks that gives the best estimate of a variance."""
        whole = self._seen_within(math.inf)
        if whole <= 0:
            return 1.0
        slope = 2 * float(np.arange(len(self.covariances)) @ self.covariances)
        return float((1.5 * slope**2 / whole**2 * self.rows) ** (1 / 3))

    def missed_by(self, length: int) -> float:
        """How many times larger the variance is than blocks of this length show; 1 if they show it all."""
        seen = self._seen_within(length)
        return max(1.0, self._seen_within(math.inf) / seen) if seen > 0 else 1.0

    def _seen_within(self, length: float) -> float:
        """The part of the variance of a sum that intervals in blocks of this length have in common."""
        weights = 2 * np.maximum(0.0, 1 - np.arange(len(self.covariances)) / length)
        weights[0] = 1.0
        return float(weights @ self.covariances)


def _first_run(small: NDArray[np.bool_], wanted: int) -> int:
    """How many come before the first ``wanted`` in a row that are small."""
    for place in range(len(small)):
        if small[place : place + wanted].all():
            return place
    return len(small)
