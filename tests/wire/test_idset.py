"""Sets of counters and of ids: against foreign bytes, and against Python's own sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import GlobSet, IdSetByReplGuid, IdSetByReplId

REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
OTHER_REPLICA = bytes(16)
LAST_COUNTER = (1 << 48) - 1


def read(wire):
    reader = Reader(bytes.fromhex(wire) if isinstance(wire, str) else wire)
    counters = GlobSet.read(reader)
    reader.expect_end("GLOBSET")
    return counters


def written(counters):
    writer = Writer()
    counters.write(writer)
    return writer.getvalue()


def test_a_set_is_read_and_written_as_the_reference_prints_it(vector):
    wire = vector("fx/globset.hex")
    counters = GlobSet.of_ranges([(0x2000, 0x20D5), (0x2100, 0x2100)])
    assert read(wire) == counters
    assert written(counters) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            read(wire[:size])


# As they stand in the streams and state uploads of the reference, sections 6.5 and 6.6.
FOREIGN = [
    ("05 0000000020 52 00 d5 50 00", [(0x2000, 0x20D5)]),
    ("04 00000000 52 0001 3fff 50 00", [(1, 0x3FFF)]),
    ("06 000000002050 00", [(0x2050, 0x2050)]),
    ("05 0000000020 52 51 53 50 00", [(0x2051, 0x2053)]),
]


@pytest.mark.parametrize(("wire", "ranges"), FOREIGN)
def test_single_ranges_are_written_as_others_do(wire, ranges):
    assert read(wire) == GlobSet.of_ranges(ranges)
    assert written(GlobSet.of_ranges(ranges)) == bytes.fromhex(wire)


LEGAL_BUT_LONGER = [
    ("05 0000000020 52 00 d5 50 06 000000002100 00", [(0x2000, 0x20D5), (0x2100, 0x2100)]),
    ("52 000000002000 0000000020d5 06 000000002100 00", [(0x2000, 0x20D5), (0x2100, 0x2100)]),
    ("06 000000000001 06 000000000002 00", [(1, 2)]),
    ("05 0000000000 42 10 05 42 20 00 50 00", [(0x10, 0x11), (0x13, 0x13), (0x20, 0x20)]),
    ("03 000000 02 0000 01 07 50 02 0001 01 08 50 50 00", [(7, 7), (0x108, 0x108)]),
    ("05 0000000000 42 f7 80 50 00", [(0xF7, 0xF7), (0xFF, 0xFF)]),
    ("00", []),
]


@pytest.mark.parametrize(("wire", "ranges"), LEGAL_BUT_LONGER)
def test_every_legal_form_is_read(wire, ranges):
    assert list(read(wire).ranges()) == ranges


COMPACT = [
    ([], "00"),
    ([(0, 0)], "06 000000000000 00"),
    ([(0, LAST_COUNTER)], "52 000000000000 ffffffffffff 00"),
    ([(0x10, 0x10), (0x12, 0x13), (0x18, 0x18)], "05 0000000000 42 10 86 50 00"),
    ([(0x10, 0x10), (0x19, 0x19)], "05 0000000000 01 10 01 19 50 00"),
    ([(0x10, 0x20), (0x22, 0x22), (0x2A, 0x2A)], "05 0000000000 52 10 20 42 22 80 50 00"),
    ([(0xFE, 0x101), (0x103, 0x103)], "04 00000000 52 00fe 0101 02 0103 50 00"),
    (
        [(0x1_0000_0001, 0x1_0000_0001), (0x1_0000_0003, 0x1_0000_0003), (0x2_0000_0000, 0x2_0000_0000)],
        "01 00 04 01000000 42 01 02 50 05 0200000000 50 00",
    ),
]


@pytest.mark.parametrize(("ranges", "wire"), COMPACT)
def test_shared_bytes_stand_once(ranges, wire):
    assert read(written(GlobSet.of_ranges(ranges))) == GlobSet.of_ranges(ranges)
    assert written(GlobSet.of_ranges(ranges)).hex() == bytes.fromhex(wire).hex()


def test_ids_that_lie_close_take_less_than_a_byte_each():
    assert len(written(GlobSet.of(range(0, 20_000, 2)))) < 10_000


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("07 000000000000 00", "0x07 with 0 bytes"),
        ("04 00000000 03 000000 00", "0x03 with 4 bytes"),
        ("50 00", "0x50 with 0 bytes"),
        ("04 00000000 42 10 05 50 00", "0x42 with 4 bytes"),
        ("05 0000000000 42 f8 80 50 00", "beyond the last byte"),
        ("53 00", "0x53 with 0 bytes"),
        ("04 00000000 00", "with 4 bytes on the stack"),
        ("52 000000000002 000000000001 00", "ascending"),
        ("06 000000000002 06 000000000001 00", "ascending"),
        ("06 000000000001 06 000000000001 00", "ascending"),
        ("06 000000000001", "needs 1 bytes"),
    ],
)
def test_what_is_not_legal_is_refused(wire, problem):
    with pytest.raises(WireError, match=problem):
        read(wire)


COUNTERS = st.integers(0, 40) | st.integers(0, LAST_COUNTER) | st.integers(LAST_COUNTER - 5, LAST_COUNTER)
NEAR = st.sets(st.integers(0, 600), max_size=80)
FAR = st.sets(COUNTERS, max_size=20)
ANY = NEAR | FAR


@given(ANY)
def test_any_set_comes_back_from_the_wire(counters):
    assert read(written(GlobSet.of(counters))) == GlobSet.of(counters)


@given(ANY, ANY)
def test_sets_behave_as_sets(first, second):
    one, other = GlobSet.of(first), GlobSet.of(second)
    assert list(one) == sorted(first)
    assert len(one) == len(first)
    assert bool(one) == bool(first)
    assert one | other == GlobSet.of(first | second)
    assert one & other == GlobSet.of(first & second)
    assert one - other == GlobSet.of(first - second)
    assert all(counter in one for counter in first)
    assert not any(counter in one for counter in second - first)


@given(NEAR, st.integers(0, 600), st.integers(0, 60))
def test_a_range_joins_what_it_overlaps_or_touches(counters, low, length):
    joined = GlobSet.of(counters).with_range(low, low + length)
    assert joined == GlobSet.of(counters | set(range(low, low + length + 1)))


def test_the_ends_of_all_counters_are_counters():
    everything = GlobSet.of_ranges([(0, LAST_COUNTER)])
    assert len(list((everything - GlobSet.of([5])).ranges())) == 2
    assert everything - everything == GlobSet()
    assert everything - GlobSet() == everything
    assert everything & GlobSet.of([0, LAST_COUNTER]) == GlobSet.of([0, LAST_COUNTER])


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(data):
    try:
        counters = GlobSet.read(Reader(data))
    except WireError:
        return
    assert read(written(counters)) == counters


GIVEN = IdSetByReplGuid.of_counters({REPLICA: GlobSet.of_ranges([(0x2000, 0x20D5), (0x2100, 0x2100)])})
DELETED = IdSetByReplId.of([object_id(1, 0x2050)])


TWO_REPLICAS = IdSetByReplId.of([object_id(2, 7), object_id(1, 9)])


@pytest.mark.parametrize(
    ("ids", "wire", "complete"),
    [
        (GIVEN, REPLICA.hex() + "04 00000000 52 2000 20d5 02 2100 50 00", {0}),
        (DELETED, "0100 06 000000002050 00", {0}),
        (IdSetByReplGuid(), "", {0}),
        (TWO_REPLICAS, "0100 06 000000000009 00 0200 06 000000000007 00", {0, 10}),
    ],
)
def test_replicas_stand_before_their_counters(ids, wire, complete):
    data = bytes.fromhex(wire)
    assert type(ids).decode(data) == ids
    assert ids.encode() == data
    for size in set(range(len(data))) - complete:
        with pytest.raises(WireError):
            type(ids).decode(data[:size])


def test_replicas_may_come_in_any_order_but_not_twice():
    first, second = "0100 06 000000000009 00", "0200 06 000000000007 00"
    assert IdSetByReplId.decode(bytes.fromhex(second + first)) == IdSetByReplId.decode(
        bytes.fromhex(first + second)
    )
    assert IdSetByReplId.decode(bytes.fromhex("0300 00" + first)) == IdSetByReplId.of([object_id(1, 9)])
    with pytest.raises(WireError, match="twice"):
        IdSetByReplId.decode(bytes.fromhex(first + first))


SOURCE_KEYS = st.sets(
    st.builds(
        lambda replica, counter: replica + counter.to_bytes(6, "big"),
        st.sampled_from([REPLICA, OTHER_REPLICA]),
        st.integers(0, 50),
    ),
    max_size=30,
)
NUMBERS = st.sets(st.builds(object_id, st.integers(1, 3), st.integers(0, 50)), max_size=30)


@pytest.mark.parametrize(
    ("kind", "ids"), [(IdSetByReplGuid, SOURCE_KEYS), (IdSetByReplId, NUMBERS)], ids=["guid", "id"]
)
@given(data=st.data())
def test_sets_of_ids_behave_as_sets(kind, ids, data):
    first, second = data.draw(ids), data.draw(ids)
    one, other = kind.of(first), kind.of(second)
    assert set(one) == first
    assert len(one) == len(first)
    assert bool(one) == bool(first)
    assert one | other == kind.of(first | second)
    assert one & other == kind.of(first & second)
    assert one - other == kind.of(first - second)
    assert all(identifier in one for identifier in first)
    assert not any(identifier in one for identifier in second - first)
    assert kind.decode(one.encode()) == one


def test_a_range_goes_to_its_replica():
    grown = GIVEN.with_range(REPLICA, 0x2101, 0x2110).with_range(OTHER_REPLICA, 1, 2)
    assert list(grown.counters(REPLICA).ranges()) == [(0x2000, 0x20D5), (0x2100, 0x2110)]
    assert grown.counters(OTHER_REPLICA) == GlobSet.of([1, 2])
    assert GIVEN.counters(OTHER_REPLICA) == GlobSet()
