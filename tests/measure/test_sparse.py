"""Histograms by their non-zero counters agree with HdrHistogram_py, and refuse what is none of ours."""

import base64
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.histogram import Histogram
from loadgen.measure.sparse import SparseHistogram, highest_us

VALUES = st.lists(st.integers(1, 600_000_000), min_size=1, max_size=60)
PERCENTILES = (0.001, 10, 50, 90, 99, 99.9, 100)


def full(values):
    histogram = Histogram()
    for value in values:
        histogram.record_ns(value * 1000)
    return histogram


@given(VALUES, VALUES)
def test_sums_and_percentiles_are_those_of_the_library(first, second):
    sparse, other = SparseHistogram(), SparseHistogram()
    sparse.add_encoded(full(first).encode())
    other.add_encoded(full(second).encode())
    sparse.add(other)
    both = full(first + second)
    assert sparse.percentiles_us(PERCENTILES) == list(both.percentiles_us(PERCENTILES).values())
    assert (sparse.count, sparse.max_us) == (both.count, both.max_us)


def test_an_empty_one_has_no_percentiles():
    sparse = SparseHistogram()
    sparse.add_encoded(Histogram().encode())
    assert (sparse.count, sparse.max_us, sparse.percentiles_us((50,))) == (0, 0, [])


@given(st.integers(0, 21_503))
def test_what_a_counter_stands_for_is_what_the_library_says(index):
    hdr = HdrHistogram(1, 600_000_000, 3)
    assert highest_us(index) == hdr.get_highest_equivalent_value(hdr.get_value_from_index(index))


WHOLE = base64.b64decode(full([5, 70_000, 3_000_000]).encode())


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_one_that_was_cut_off_is_refused(length):
    sparse = SparseHistogram()
    with pytest.raises(ValueError, match="histogram"):
        sparse.add_encoded(base64.b64encode(WHOLE[:length]).decode())
    assert sparse.count == 0


def test_one_of_another_range_or_with_counters_cut_off_is_refused():
    other = HdrHistogram(1, 1_000_000, 2)
    other.record_value(5)
    with pytest.raises(ValueError, match="another form"):
        SparseHistogram().add_encoded(other.encode().decode())
    cut = zlib.compress(zlib.decompress(WHOLE[8:])[:-1])
    with pytest.raises(ValueError, match="cut off"):
        SparseHistogram().add_encoded(base64.b64encode(WHOLE[:4] + len(cut).to_bytes(4) + cut).decode())
    with pytest.raises(ValueError, match="no histogram"):
        SparseHistogram().add_encoded("!")
