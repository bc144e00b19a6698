"""Which version of an object is the newer one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from mock_server.mailboxes.change_history import ChangeHistory, is_client_key, read_predecessors

MAKERS = st.sampled_from([bytes(15) + bytes((n,)) for n in range(3)])
XIDS = st.builds(lambda maker, n: maker + n.to_bytes(4, "big"), MAKERS, st.integers(0, 5))


@given(st.lists(XIDS), XIDS)
def test_a_history_keeps_the_latest_change_of_each_maker(before: list[bytes], change: bytes) -> None:
    history = ChangeHistory.of(change, before)
    assert history.has_seen([change, *before])
    assert [xid[:16] for xid in history.latest] == sorted({xid[:16] for xid in (change, *before)})
    assert read_predecessors(history.predecessor_change_list) == history.latest
    assert not history.has_seen([max(history.latest) + b"\xff"])


def test_versions_in_conflict_have_not_seen_each_other() -> None:
    ours, theirs = bytes(16) + b"\1", bytes(15) + b"\1" + b"\1"
    one, other = ChangeHistory.of(ours), ChangeHistory.of(theirs)
    assert not one.has_seen(other.latest)
    assert not other.has_seen(one.latest)
    assert ChangeHistory.of(theirs, one.latest).has_seen(one.latest)


@pytest.mark.parametrize("data", [b"\x10" + bytes(16), b"\x19" + bytes(25), b"\x14" + bytes(19), b"\0"])
def test_lists_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(WireError):
        read_predecessors(data)


@pytest.mark.parametrize(("size", "allowed"), [(16, False), (17, True), (20, True), (22, False), (25, False)])
def test_keys_that_clients_may_use(size: int, allowed: bool) -> None:
    assert is_client_key(bytes(size)) is allowed
