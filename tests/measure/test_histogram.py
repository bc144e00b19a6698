import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.histogram import HIGHEST_US, PERCENTILES, SIGNIFICANT_DIGITS, Histogram

US = 1_000


def of(values_us: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values_us:
        histogram.record_ns(value * US)
    return histogram


@given(
    st.lists(st.integers(1, HIGHEST_US), min_size=1, max_size=60),
    st.sampled_from([*PERCENTILES.values(), 100]),
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values_us, percentile):
    rank = -(-round(percentile * 10) * len(values_us) // 1000)
    exact = sorted(values_us)[rank - 1]
    found = of(values_us).percentiles_us((percentile,))[percentile]
    assert exact <= found <= exact * (1 + 10**-SIGNIFICANT_DIGITS)


def test_values_below_two_milliseconds_are_exact():
    assert of(list(range(1, 1001))).percentiles_us((50, 99, 99.9, 100)) == {
        50: 500,
        99: 990,
        99.9: 999,
        100: 1000,
    }


@given(st.lists(st.integers(1, HIGHEST_US), min_size=1, max_size=30))
def test_the_library_reads_what_we_encode(values_us):
    histogram = of(values_us)
    theirs = HdrHistogram.decode(histogram.encode())
    assert theirs.get_total_count() == histogram.count == len(values_us)
    assert theirs.get_max_value() == histogram.max_us
    assert Histogram.decode(histogram.encode()).percentiles_us((50, 99)) == histogram.percentiles_us((50, 99))


@pytest.mark.parametrize(
    ("duration_ns", "value_us", "clamped"),
    [
        (-5 * US, 1, 1),
        (0, 1, 0),
        (499, 1, 0),
        (500, 1, 0),
        (1_499, 1, 0),
        (1_500, 2, 0),
        (HIGHEST_US * US, HIGHEST_US, 0),
        (HIGHEST_US * US + 500, HIGHEST_US, 1),
        (10**18, HIGHEST_US, 1),
    ],
)
def test_what_is_out_of_range_counts_at_the_edge(duration_ns, value_us, clamped):
    histogram = Histogram()
    histogram.record_ns(duration_ns)
    assert (histogram.count, histogram.clamped) == (1, clamped)
    assert value_us <= histogram.max_us <= value_us * 1.001


def test_adding_is_the_same_as_recording_both():
    left, right = of([1, 500, 70_000]), of([3, 80_000_000])
    left.record_ns(-1)
    left.add(right)
    left.add(Histogram())
    both = of([1, 500, 70_000, 1, 3, 80_000_000])
    assert (left.encode(), left.max_us, left.clamped) == (both.encode(), both.max_us, 1)
    sums = Histogram()
    sums.add_encoded(of([1, 500, 70_000, 1]).encode())
    sums.add_encoded(right.encode())
    assert sums.encode() == both.encode()


def test_a_cleared_histogram_is_as_new():
    histogram = of([5, 600_000_000, 10**9])
    histogram.clear()
    new = Histogram()
    assert (histogram.count, histogram.clamped, histogram.max_us) == (0, 0, 0)
    assert histogram.encode() == new.encode()
    assert histogram.percentiles_us((50,)) == {}
    histogram.record_ns(7 * US)
    assert histogram.percentiles_us((1, 100)) == {1: 7, 100: 7}
