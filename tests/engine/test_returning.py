"""Waits before attempts to come back: bounds are exact, since each is drawn between a half and the whole."""

from itertools import islice
from random import Random

import pytest

from loadgen.engine.returning import RetryAdvice, reconnect_waits


@pytest.mark.parametrize(
    ("advice", "longest_s"),
    [
        (RetryAdvice(), [1, 2, 4, 8, 16, 32, 60, 60]),
        (RetryAdvice(6, 0.0), [1, 2, 4]),
        (RetryAdvice(0, 10.0), [1, 2, 4]),
        (RetryAdvice(3, 10.0), [10, 10, 10, 20, 40, 60, 60]),
        (RetryAdvice(1, 0.2), [0.2, 1, 2]),
        (RetryAdvice(1, 300.0), [300, 60, 60]),
    ],
)
def test_waits_are_those_the_server_gave_then_doubled_up_to_a_minute(advice, longest_s):
    waits_s = [list(islice(reconnect_waits(advice, Random(seed)), len(longest_s))) for seed in range(200)]
    for drawn_s, longest in zip(zip(*waits_s, strict=True), longest_s, strict=True):
        assert longest / 2 <= min(drawn_s) < 0.52 * longest
        assert 0.98 * longest < max(drawn_s) <= longest
