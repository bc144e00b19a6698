"""Both ends of a window, against figures of the specification and a recorded transfer."""

from pathlib import Path

import pytest

from loadgen.errors import RemoteProtocolError
from loadgen.protocol.flow_control import ReceiveWindow, SendWindow
from loadgen.wire.rts import FlowControlAck, RtsPdu

BULK = Path(__file__).parent.parent / "vectors" / "flow_control" / "emsmdb_bulk.txt"
WINDOW = 65536
FRAGMENT = 5840


def test_worked_sequence_of_the_reference():
    """rpc-over-http 3.6: after six fragments of eight the receiver has 35040 bytes and offers all again."""
    receiver, sender = ReceiveWindow(WINDOW), SendWindow(WINDOW)
    assert [receiver.take(FRAGMENT) for _ in range(6)] == [False] * 5 + [True]
    assert (receiver.received, receiver.advertised) == (35040, WINDOW)
    for _ in range(8):
        sender.spend(FRAGMENT)
    sender.acknowledge(35040, WINDOW)
    assert sender.available == 53856


def test_recorded_transfer():
    """We would acknowledge as the recorded client did; what the server acknowledged fits in our window."""
    receiver, sender = ReceiveWindow(262144), SendWindow(262144)
    said: dict[str, list[FlowControlAck]] = {"C": [], "S": []}
    due = []
    for line in BULK.read_text(encoding="ascii").splitlines():
        side, _, what = line.partition(" ")
        if side == "#":
            continue
        if not what.isdigit():
            _, ack = RtsPdu.decode(bytes.fromhex(what)).commands
            assert isinstance(ack, FlowControlAck)
            said[side].append(ack)
            if side == "S":
                sender.acknowledge(ack.bytes_received, ack.available_window)
        elif side == "C":
            assert sender.admits(int(what))
            sender.spend(int(what))
        elif receiver.take(int(what)):
            due.append((receiver.received, receiver.size))
    assert due == [(ack.bytes_received, ack.available_window) for ack in said["C"]]
    assert [len(said[side]) for side in "CS"] == [2, 2]


@pytest.mark.parametrize(("size", "admitted"), [(99, True), (100, False), (101, False)])
def test_a_pdu_needs_more_room_than_its_size(size, admitted):
    assert SendWindow(100).admits(size) is admitted


@pytest.mark.parametrize(
    ("bytes_received", "available_window", "available"),
    [
        (600, 1000, 1000),
        (0, 1000, 400),
        (0, 600, 0),
        (600, 0, 0),
        (0, 599, None),
        (600, 1001, None),
        (601, 1000, None),
    ],
)
def test_acknowledgements_between_nothing_and_the_window(bytes_received, available_window, available):
    window = SendWindow(1000)
    window.spend(600)
    if available is None:
        with pytest.raises(RemoteProtocolError):
            window.acknowledge(bytes_received, available_window)
        assert window.available == 400
    else:
        window.acknowledge(bytes_received, available_window)
        assert window.available == available


def test_counters_wrap_at_32_bits():
    receiver, sender = ReceiveWindow(WINDOW), SendWindow(WINDOW)
    receiver.received = sender.sent = 0xFFFFF000
    sender.spend(0x2000)
    for _ in range(8):
        receiver.take(0x400)
    assert sender.sent == 0x1000
    assert receiver.received == 0x1000
    sender.acknowledge(0x800, WINDOW)
    assert sender.available == WINDOW - 0x800


def test_overrun_is_tolerated():
    receiver = ReceiveWindow(8192)
    assert receiver.take(9000)
    assert receiver.advertised == 8192


@pytest.mark.parametrize("size", [8192, 11_682, 65_536])
def test_no_window_is_so_small_that_a_whole_fragment_waits_for_ever(size):
    receiver, sender = ReceiveWindow(size), SendWindow(size)
    for fragment in (3744, 5840, 1000, 5840, 5840):
        assert sender.admits(fragment)
        sender.spend(fragment)
        if receiver.take(fragment):
            sender.acknowledge(receiver.received, receiver.advertised)
