"""Confidence on synthetic intervals, seeded: how often it cries wolf, and how often it sees one."""

import math

import numpy as np
import pytest

from loadgen.compare import bootstrap
from loadgen.compare.bootstrap import MEAN, Estimate, Resampler, holm, ratio_of
from loadgen.compare.recording import Rate, Times

P95 = 95.0


def intervals(random, seconds, each=20, *, alike=0.0, slowdown=1.0):
    """Lognormal times around 100 ms; what makes a second slow stays for a while, as ``alike`` says."""
    load, seen = 0.05 * random.normal(), []
    for _ in range(seconds):
        load = alike * load + 0.05 * math.sqrt(1 - alike**2) * random.normal()
        seen.append(slowdown * 100 * np.exp(load + 0.2 * random.normal(size=random.poisson(each))))
    return times_of(seen)


def times_of(seen):
    values, where = np.unique(np.concatenate(seen).round(1), return_inverse=True)
    counts = np.zeros((len(seen), len(values)))
    np.add.at(counts, (np.repeat(np.arange(len(seen)), [len(each) for each in seen]), where), 1)
    return Times(counts, values, 1.0)


def estimate(times, seed, statistic=P95):
    (found,) = Resampler((seed,), 200).times(times, [statistic])
    return found


def counts(baseline, other):
    """Five per cent or more, and beyond noise."""
    ratio = ratio_of(other, baseline)
    low, high = ratio.interval(0.95)
    return abs(ratio.ratio - 1) >= 0.05 and not low <= 1 <= high


@pytest.mark.parametrize(
    ("seconds", "alike", "most_alarms", "fewest_seen"),
    [(60, 0.0, 0.05, 0.95), (60, 0.6, 0.1, 0.9), (180, 0.6, 0.05, 1.0)],
)
def test_noise_is_seldom_taken_for_a_difference_and_a_tenth_seldom_for_noise(
    seconds, alike, most_alarms, fewest_seen
):
    alarms = seen = 0
    pairs = 60
    for pair in range(pairs):
        random = np.random.default_rng([pair, seconds])
        baseline = estimate(intervals(random, seconds, alike=alike), 2 * pair)
        equal = estimate(intervals(random, seconds, alike=alike), 2 * pair + 1)
        slower = estimate(intervals(random, seconds, alike=alike, slowdown=1.1), 2 * pair + 1)
        alarms += counts(baseline, equal)
        seen += counts(baseline, slower) and slower.value > baseline.value
    assert alarms <= most_alarms * pairs
    assert seen >= fewest_seen * pairs


def test_seconds_that_are_alike_make_longer_blocks_and_less_certainty():
    random = np.random.default_rng(1)
    apart, alike = (estimate(intervals(random, 400, alike=each), 1) for each in (0.0, 0.9))
    assert apart.block_s < alike.block_s
    assert apart.error < alike.error
    assert apart.block_s >= bootstrap.SHORTEST_BLOCK_S


def test_estimates_are_the_percentiles_of_all_and_the_same_each_time():
    times = intervals(np.random.default_rng(2), 60)
    everything = np.repeat(times.values_ms, times.counts.sum(axis=0).astype(int))
    first, again = estimate(times, 7), estimate(times, 7)
    assert first == again
    assert first.value == everything[math.ceil(0.95 * len(everything)) - 1]
    assert estimate(times, 7, MEAN).value == pytest.approx(everything.mean())
    assert estimate(times, 8).error != first.error
    assert first.samples == len(everything)


def test_the_error_of_independent_seconds_is_that_of_theory():
    """The standard error of a mean of n values is sigma / sqrt(n)."""
    random = np.random.default_rng(3)
    times = times_of([random.normal(100, 10, size=50) for _ in range(600)])
    assert estimate(times, 1, MEAN).error == pytest.approx(10 / math.sqrt(30_000) / 100, rel=0.15, abs=3e-4)


def test_a_run_of_fewer_than_four_blocks_says_nothing():
    random = np.random.default_rng(4)
    assert estimate(intervals(random, 11), 1) is None
    assert estimate(intervals(random, 12), 1) is not None


def test_equal_times_are_known_to_their_digits():
    constant = times_of([np.full(5, 20.0)] * 30)
    assert estimate(constant, 1).error == pytest.approx(0.001 / math.sqrt(12))


def test_rates_count_empty_intervals():
    random = np.random.default_rng(5)
    rate = Rate(random.poisson(4.0, 120).astype(float), np.full(120, 1.0), 1.0)
    found = Resampler((1,), 400).rate(rate)
    assert found.value == rate.counts.mean()
    assert found.error == pytest.approx(1 / math.sqrt(rate.counts.sum()), rel=0.4)
    assert Resampler((1,), 400).rate(Rate(np.zeros(60), np.ones(60), 1.0)) is None


def test_intervals_of_a_ratio_follow_the_t_distribution():
    known = Estimate(110.0, 0.03, 10.0, 3.0, 1000)
    ratio = ratio_of(known, Estimate(100.0, 0.04, 10.0, 3.0, 1000))
    assert (ratio.ratio, ratio.error) == (pytest.approx(1.1), pytest.approx(0.05))
    assert 9 < ratio.freedom < 18
    for level in (0.9, 0.95, 0.99):
        low, high = ratio.interval(level)
        assert low * high == pytest.approx(1.1**2)
        assert (low <= 1 <= high) == (ratio.p > 1 - level)


@pytest.mark.parametrize(
    ("ps", "levels"),
    [
        ([0.04], [0.05]),
        ([0.01, 0.04], [0.025, 0.05]),
        ([0.04, 0.01], [0.05, 0.025]),
        ([0.03, 0.04], [0.025, 0.025]),
        ([0.001, 0.03, 0.04, 0.9], [0.0125, 0.05 / 3, 0.05 / 3, 0.05 / 3]),
        ([], []),
    ],
)
def test_holm_gives_each_its_level_and_stops_at_the_first_that_fails(ps, levels):
    assert holm(ps, 0.05) == pytest.approx(levels)
