"""States, as streams and as uploads."""

import pytest
from hypothesis import given

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Property, encode
from loadgen.wire.fasttransfer.markers import (
    IncrSyncEnd,
    IncrSyncStateBegin,
    IncrSyncStateEnd,
    MetaTagCnsetRead,
    MetaTagCnsetSeen,
    MetaTagCnsetSeenFAI,
    MetaTagIdsetGiven,
)
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.idset import GlobSet, IdSetByReplGuid
from tests.wire.fasttransfer.strategies import STATES

REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")


def known(*ranges):
    return IdSetByReplGuid.of_counters({REPLICA: GlobSet.of_ranges(ranges)})


CHECKPOINT = State(
    known((0x2000, 0x20D5), (0x2100, 0x2100)), known((1, 0x4001)), known((1, 0x3FFF)), known((1, 0x3FFF))
)
HIERARCHY = State(known((0x100, 0x105)), known((1, 0x3FFF)))


def test_a_foreign_checkpoint_is_read(vector):
    stream = vector("rop/transfer-state-response.hex")[0x17:0xB5]
    assert State.decode(stream) == CHECKPOINT
    assert State.decode(CHECKPOINT.encode()) == CHECKPOINT
    assert len(CHECKPOINT.encode()) <= len(stream)
    for size in range(len(stream)):
        with pytest.raises(WireError):
            State.decode(stream[:size])


def test_uploads_name_their_property():
    assert [tag for tag, _data in CHECKPOINT.values()] == [
        MetaTagIdsetGiven,
        MetaTagCnsetSeen,
        MetaTagCnsetSeenFAI,
        MetaTagCnsetRead,
    ]
    assert [tag for tag, _data in HIERARCHY.values()] == [MetaTagIdsetGiven, MetaTagCnsetSeen]
    assert dict(State().values()) == {MetaTagIdsetGiven: b"", MetaTagCnsetSeen: b""}
    assert State.of(reversed(list(CHECKPOINT.values()))) == CHECKPOINT


def test_the_ids_may_come_under_the_type_of_their_value():
    values = [(0x40170102 if tag == MetaTagIdsetGiven else tag, data) for tag, data in HIERARCHY.values()]
    assert State.of(values) == HIERARCHY


@given(STATES)
def test_any_state_comes_back_from_the_wire(state):
    assert State.decode(state.encode()) == state
    assert State.of(state.values()) == state


@pytest.mark.parametrize(
    ("elements", "problem"),
    [
        ([IncrSyncStateBegin, Property(0x67E50102, b""), IncrSyncStateEnd], "0x67E50102 is not of a state"),
        ([IncrSyncStateBegin], "IncrSyncStateEnd .* is missing"),
        ([IncrSyncStateEnd], "IncrSyncStateBegin .* is missing"),
        ([IncrSyncStateBegin, IncrSyncStateEnd, IncrSyncEnd], "IncrSyncEnd .* does not belong"),
        ([IncrSyncStateBegin, Property(MetaTagCnsetSeen, b"1"), IncrSyncStateEnd], "Replica"),
    ],
)
def test_a_state_that_breaks_the_grammar_is_refused(elements, problem):
    with pytest.raises(WireError, match=problem):
        State.decode(encode(elements))
