"""Positions in an address list of 10,000 entries, against a list that is read from end to end."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from loadgen.wire import nspi
from loadgen.wire.nspi import constants
from loadgen.wire.properties import PidTagDisplayName, PidTagInstanceKey, PropertyValue
from mock_server.directory import Directory, Organisation
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.nspi import nspi_interface

ENTRIES = 10_000
SYLLABLES = ("an", "Be", "cy", "Da", "é", "Fo", "ga", "Ha", "Ö", "ъ")


def name_of(index: int) -> str:
    """Names in no order, each four times, that differ in case and script."""
    number = index * 7919 % (ENTRIES // 4)
    return "".join(SYLLABLES[int(digit)] for digit in f"{number:04d}")


def directory() -> Directory:
    directory = Directory(Organisation(), ENTRIES)
    directory.users = tuple(replace(user, display_name=name_of(user.index)) for user in directory.users)
    return directory


DIRECTORY = directory()
INTERFACE = nspi_interface(DIRECTORY)
MODEL = sorted((user.display_name.casefold(), user.mid) for user in DIRECTORY.users)
"""The naive list: what stands at a position is read off it, and a position is found by looking."""


CONTEXT = CallContext("", AssociationGroup(1), "GC1")


def call(request: Any) -> Any:
    return request.decode_response(INTERFACE.methods[request.opnum](CONTEXT, request.encode()))


HANDLE = call(nspi.NspiBindRequest(nspi.Stat())).handle


def start_of(stat: nspi.Stat) -> int | None:
    """Reference page, section 6.1."""
    if stat.current_rec == constants.CURRENT:
        return min(ENTRIES * stat.num_pos // stat.total_recs, ENTRIES) if stat.total_recs else 0
    if stat.current_rec in (constants.BEGINNING_OF_TABLE, constants.END_OF_TABLE):
        return 0 if stat.current_rec == constants.BEGINNING_OF_TABLE else ENTRIES
    return next((at for at, (_, mid) in enumerate(MODEL) if mid == stat.current_rec), None)


def stat_at(position: int) -> nspi.Stat:
    current_rec = MODEL[position][1] if position < ENTRIES else constants.END_OF_TABLE
    return nspi.Stat(current_rec=current_rec, num_pos=position, total_recs=ENTRIES)


def first_from(text: str, otherwise: int) -> int:
    """The position of the first name that is not before ``text``."""
    return next((at for at, (name, _) in enumerate(MODEL) if name >= text.casefold()), otherwise)


def clamp(position: int) -> int:
    return max(0, min(position, ENTRIES))


u32 = st.integers(0, 0xFFFFFFFF)
mids = st.sampled_from(DIRECTORY.users).map(lambda user: user.mid)
near = st.integers(-60, 60) | st.integers(-2 * ENTRIES, 2 * ENTRIES) | st.sampled_from([-(2**31), 2**31 - 1])
current_recs = st.sampled_from([0, 1, 2]) | mids | u32
fractions = st.tuples(st.integers(0, 2000), st.integers(0, 1000)) | st.tuples(u32, u32)
stats = st.builds(
    lambda rec, delta, fraction: nspi.Stat(
        current_rec=rec, delta=delta, num_pos=fraction[0], total_recs=fraction[1]
    ),
    current_recs,
    near,
    fractions,
)


@given(stats)
def test_every_position(stat: nspi.Stat):
    start = start_of(stat)
    response = call(nspi.NspiUpdateStatRequest(HANDLE, stat, delta=0))
    if start is None:
        assert response == nspi.NspiUpdateStatResponse(stat, 0, constants.NOT_FOUND)
        return
    position = clamp(start + stat.delta)
    assert response == nspi.NspiUpdateStatResponse(stat_at(position), position - start)


@given(stats, st.integers(1, 200))
def test_rows_from_every_position(stat: nspi.Stat, count: int):
    start = start_of(stat)
    columns = (PidTagInstanceKey,)
    response = call(nspi.NspiQueryRowsRequest(HANDLE, stat, count, columns))
    if start is None:
        assert response == nspi.NspiQueryRowsResponse(stat, None, constants.NOT_FOUND)
        return
    position = clamp(start + stat.delta)
    expected = MODEL[position : position + count]
    assert [row[0].value for row in response.rows] == [mid.to_bytes(4, "little") for _, mid in expected]
    assert response.stat == stat_at(position + len(expected))


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)


@given(texts | st.integers(0, ENTRIES - 1).map(name_of) | st.sampled_from(SYLLABLES))
def test_seeking_every_name(text: str):
    target = PropertyValue(PidTagDisplayName, text)
    response = call(nspi.NspiSeekEntriesRequest(HANDLE, nspi.Stat(), target))
    position = first_from(text, ENTRIES)
    if position == ENTRIES:
        assert response == nspi.NspiSeekEntriesResponse(nspi.Stat(), None, constants.NOT_FOUND)
    else:
        assert response == nspi.NspiSeekEntriesResponse(stat_at(position))


@given(st.lists(mids, max_size=30, unique=True), mids)
def test_resorting_any_selection(selection: list[int], current: int):
    request = nspi.NspiResortRestrictionRequest(HANDLE, nspi.Stat(current_rec=current), tuple(selection))
    expected = tuple(mid for _, mid in MODEL if mid in selection)
    response = call(request)
    assert response.mids == expected
    assert response.stat.total_recs == len(expected)
    assert response.stat.num_pos == (expected.index(current) if current in selection else 0)


@given(mids, mids)
def test_comparing_any_two(first: int, second: int):
    positions = [start_of(nspi.Stat(current_rec=mid)) for mid in (first, second)]
    result = call(nspi.NspiCompareMIdsRequest(HANDLE, nspi.Stat(), first, second)).result
    assert (result < 0, result == 0) == (positions[0] < positions[1], first == second)


@settings(max_examples=30, stateful_step_count=20)
class Browsing(RuleBasedStateMachine):
    """One client that scrolls, seeks and reads on from where the server left it."""

    def __init__(self) -> None:
        super().__init__()
        self.stat = nspi.Stat()
        self.position = 0

    @rule(rows=near)
    def scroll(self, rows: int) -> None:
        self.stat = call(nspi.NspiUpdateStatRequest(HANDLE, replace(self.stat, delta=rows))).stat
        self.position = clamp(self.position + rows)

    @rule(count=st.integers(1, 120))
    def read_on(self, count: int) -> None:
        response = call(nspi.NspiQueryRowsRequest(HANDLE, self.stat, count, (PidTagDisplayName,)))
        expected = [name for name, _ in MODEL[self.position : self.position + count]]
        assert [row[0].value.casefold() for row in response.rows] == expected
        self.stat = response.stat
        self.position += len(expected)

    @rule(per_mille=st.integers(0, 1000))
    def drag_the_bar(self, per_mille: int) -> None:
        there = nspi.Stat(current_rec=constants.CURRENT, num_pos=per_mille, total_recs=1000)
        self.stat = call(nspi.NspiUpdateStatRequest(HANDLE, there)).stat
        self.position = ENTRIES * per_mille // 1000

    @rule(prefix=st.sampled_from(SYLLABLES))
    def type_ahead(self, prefix: str) -> None:
        target = PropertyValue(PidTagDisplayName, prefix)
        response = call(nspi.NspiSeekEntriesRequest(HANDLE, self.stat, target))
        self.stat = response.stat
        self.position = first_from(prefix, self.position)

    @invariant()
    def is_where_the_model_is(self) -> None:
        if self.stat.total_recs:
            assert self.stat == stat_at(self.position)


TestBrowsing = Browsing.TestCase
