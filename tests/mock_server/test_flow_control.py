"""Both ends of a window, with the figures of [MS-RPCH] 3.2.1.1.4 as worked out in the reference."""

import pytest

from loadgen.errors import RemoteProtocolError
from mock_server.rpch.flow_control import Ack, ReceiveWindow, Sender

WINDOW = 65536
FRAGMENT = bytes(5840)


def opened(window=WINDOW):
    output = bytearray()
    sender = Sender(output)
    sender.opened(window)
    return sender, output


def test_worked_sequence():
    """Six of eight fragments received: 53856 bytes are left, which is nine more fragments."""
    receiver = ReceiveWindow(WINDOW)
    acks = []
    for _ in range(6):
        receiver.received(len(FRAGMENT))
        acks.append(receiver.consumed(len(FRAGMENT)))
    assert acks == [None] * 5 + [Ack(35040, WINDOW)]
    sender, output = opened()
    for _ in range(8):
        sender.send(FRAGMENT)
    sender.acknowledged(35040, WINDOW)
    output.clear()
    assert [bool(sender.send(FRAGMENT)) for _ in range(10)] == [True] * 9 + [False]
    assert len(output) == 9 * len(FRAGMENT)


def test_a_plugged_sender_lets_go_in_order():
    output = bytearray()
    sender = Sender(output)
    assert [sender.send(pdu) for pdu in (b"first", b"second", b"third")] == [0, 0, 0]
    assert sender.opened(12) == 11
    assert output == b"firstsecond"
    assert sender.send(b"x") == 0
    assert sender.acknowledged(11, 12) == 6
    assert output == b"firstsecondthirdx"


@pytest.mark.parametrize(("size", "goes"), [(99, True), (100, False)])
def test_a_pdu_needs_more_room_than_its_size(size, goes):
    sender, output = opened(100)
    assert bool(sender.send(bytes(size))) is goes
    assert len(output) == size * goes


@pytest.mark.parametrize(
    ("bytes_received", "available_window", "valid"),
    [
        (600, 1000, True),
        (0, 600, True),
        (0, 599, False),
        (600, 1001, False),
        (601, 1000, False),
        (0, 1601, False),
    ],
)
def test_an_ack_lies_between_nothing_and_the_window(bytes_received, available_window, valid):
    sender, _ = opened(1000)
    sender.send(bytes(600))
    if valid:
        sender.acknowledged(bytes_received, available_window)
    else:
        with pytest.raises(RemoteProtocolError):
            sender.acknowledged(bytes_received, available_window)


def test_counts_wrap_at_32_bits():
    sender, receiver = opened(WINDOW)[0], ReceiveWindow(WINDOW)
    sender._sent = receiver._received = 0xFFFFFFFF
    for _ in range(6):
        sender.send(FRAGMENT)
        receiver.received(len(FRAGMENT))
        ack = receiver.consumed(len(FRAGMENT))
    assert ack == Ack(35039, WINDOW)
    sender.acknowledged(*ack)
    assert sender.send(bytes(WINDOW - 1))


def test_a_receiver_keeps_to_what_it_promised():
    receiver = ReceiveWindow(1000)
    receiver.received(600)
    receiver.received(400)
    with pytest.raises(RemoteProtocolError):
        receiver.received(1)
    assert receiver.consumed(600) == Ack(1000, 600)
    assert receiver.consumed(0) is None
    receiver.received(600)
    with pytest.raises(RemoteProtocolError):
        receiver.received(1)


def test_a_lifetime_keeps_back_what_it_has_no_room_for():
    output = bytearray()
    sender = Sender(output, lifetime=1000, reserve=300)
    sender.opened(WINDOW)
    assert [sender.send(bytes(size)) for size in (600, 101, 1)] == [600, 0, 0]
    assert (sender.left, sender.queued) == (400, 102)
    sender.left += 1
    assert sender.acknowledged(600, WINDOW) == 101
    sender.left -= 56
    assert (sender.left, sender.queued) == (244, 1)


def test_a_receiver_that_counts_anew():
    sender, _ = opened(1000)
    sender.send(bytes(900))
    sender.send(bytes(200))
    assert sender.restart() == 200
    assert sender.acknowledged(200, 1000) == 0
    with pytest.raises(RemoteProtocolError):
        sender.acknowledged(1100, 1000)


def test_what_waits_goes_to_another_channel():
    sender, output = opened(1000)
    other = bytearray()
    for byte in b"abc":
        sender.send(bytes((byte,)) * 600)
    assert output == b"a" * 600
    assert sender.replace(other, 2000, lifetime=1000) == 600
    assert (output, other, sender.left, sender.queued) == (b"a" * 600, b"b" * 600, 400, 600)
