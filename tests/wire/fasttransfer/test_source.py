"""Streams cut into buffers: each cut is legal, and nothing is read ahead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.fasttransfer.elements import Property, atoms, encode
from loadgen.wire.fasttransfer.markers import IncrSyncChg, IncrSyncEnd
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.fasttransfer.source import FastTransferSource
from tests.wire.fasttransfer.strategies import STREAMS

LARGEST_ATOM = 100


def read_all(source, size):
    buffers = []
    while not source.exhausted:
        buffers.append(source.read(size))
        assert 0 < len(buffers[-1]) <= size
    return buffers


def legal_cuts(elements):
    """The offsets at which a buffer may end."""
    cuts, offset = set(), 0
    for element in elements:
        for data, divisible in atoms(element):
            cuts |= set(range(offset, offset + len(data))) if divisible else set()
            offset += len(data)
            cuts.add(offset)
    return cuts


@given(STREAMS, st.integers(LARGEST_ATOM, 400))
def test_buffers_end_where_they_may_and_make_up_the_stream(elements, size):
    buffers = read_all(FastTransferSource(elements), size)
    assert b"".join(buffers) == encode(elements)
    cuts, offset = legal_cuts(elements), 0
    for buffer in buffers:
        offset += len(buffer)
        assert offset in cuts
    parser = FastTransferParser()
    assert [element for buffer in buffers for element in parser.feed(buffer)] == elements


STREAM = [IncrSyncChg, Property(0x37010102, b"0123456789"), Property(0x67AA000B, True), IncrSyncEnd]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(4, [4, 4, 4, 4, 4, 2, 4, 2, 4]), (7, [4, 4, 7, 7, 6, 4]), (13, [13, 13, 6]), (32, [32]), (99, [32])],
)
def test_values_of_variable_size_fill_a_buffer_and_atoms_stay_whole(size, sizes):
    assert [len(buffer) for buffer in read_all(FastTransferSource(STREAM), size)] == sizes


def test_an_atom_that_does_not_fit_waits_for_a_larger_buffer():
    source = FastTransferSource(STREAM)
    assert source.read(3) == b""
    assert not source.exhausted
    assert source.read(99) == encode(STREAM)
    assert source.exhausted
    assert source.read(99) == b""
    assert FastTransferSource([]).exhausted


def test_elements_are_taken_as_they_are_needed():
    taken = []

    def elements():
        for element in STREAM:
            taken.append(element)
            yield element

    source = FastTransferSource(elements())
    source.read(10)
    assert taken == STREAM[:2]
