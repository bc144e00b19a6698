"""Long conversations in which both channels are recycled again and again: nothing is lost or doubled.

The peer is proxies and server in one, as far as a client can see them ([MS-RPCH] 3.2.3 to 3.2.5). Chance says
what happens next, which of the connections is the faster one, and how the bytes are cut.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest

from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import PduType, Response, pdu_type

from .scripted import COOKIES, IN, OUT, START, ack, client, request

LIFETIME = WINDOW = 8192
HEAD = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"
RUBBISH = b"\x05 and more"


class Peer:
    """Proxies and server of one virtual connection, and the caller of the client."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.client = client(channel_lifetime=LIFETIME, receive_window=WINDOW)
        self.in_channel, self.out_channel = self.client.channels
        self.in_successor = self.out_successor = None
        self.cookies = {self.in_channel: IN, self.out_channel: OUT}
        self.unread = {self.in_channel: b"", self.out_channel: b""}
        self.body = Counter({self.in_channel: 104})
        self.down = defaultdict(bytes)
        self.sent, self.asked, self.plugged = [], [], []
        self.said, self.heard = [], []
        self.in_window = self.next_window = 65536
        self.in_received = 0
        self.acknowledged = Counter()
        self.gone = None
        self.form = ""
        self.in_wants, self.out_wants = set(), set()
        self.busy = True
        self.recycled = Counter()

    def run(self, steps: int) -> None:
        """Do what chance says, then only what is left to do."""
        for step in range(steps + steps // 5):
            self.busy = step < steps
            self.random.choice(list(self.actions()))()

    def actions(self) -> Iterator[Callable[[], None]]:
        """What may happen now."""
        yield self.acknowledge
        yield from (partial(self.read, channel) for channel in self.client.channels)
        yield from (partial(self.deliver, channel) for channel, data in self.down.items() if data)
        if self.busy and len(self.sent) - len(self.asked) < 8:
            yield self.ask
        if self.busy:
            yield self.say
        if self.busy and not self.out_wants:
            yield self.out_a2
        if "A4" in self.in_wants:
            yield from (self.in_r1, self.in_r2)
        if self.gone is not None:
            yield self.hang_up
        if "A6" in self.out_wants:
            yield from (partial(self.out_a6, "R1"), partial(self.out_a6, "R2"))
        if "last" in self.out_wants:
            yield self.out_last

    def ask(self) -> None:
        pdu = request(self.random.choice((24, 500, 5840)), len(self.sent) + 1)
        self.sent.append(pdu)
        self.client.send_pdu(pdu, START)

    def say(self, *pdus: bytes) -> None:
        """Send an answer, or RTS PDUs, on the channel that is the server's default by now."""
        if not pdus:
            pdus = (Response(len(self.said) + 1, 0, bytes(self.random.choice((0, 476, 5816)))).encode(),)
            self.said += pdus
        switched = self.out_successor is not None and "A7" not in self.out_wants
        self.down[self.out_successor if switched else self.out_channel] += b"".join(pdus)

    def acknowledge(self) -> None:
        if self.in_received:
            self.say(ack(self.in_received, self.in_window, self.cookies[self.in_channel]))

    def deliver(self, channel) -> None:
        if channel is self.out_successor and "24" in self.out_wants:
            return
        size = self.random.randint(1, len(self.down[channel]))
        data, self.down[channel] = self.down[channel][:size], self.down[channel][size:]
        self.heard += self.client.receive_data(channel, data, START)

    def read(self, channel) -> None:
        if channel not in self.unread:
            head, _, said = channel.data_to_send().partition(b"\r\n\r\n")
            assert b"Content-Length: 8192" in head or b"Content-Length: 120" in head
            self.unread[channel] = said
        self.unread[channel] += channel.data_to_send()
        while self.unread[channel]:
            size = int.from_bytes(self.unread[channel][8:10], "little")
            pdu, self.unread[channel] = self.unread[channel][:size], self.unread[channel][size:]
            self.body[channel] += size
            assert self.body[channel] <= LIFETIME
            if channel is self.in_successor:
                self.plugged.append(pdu)
            else:
                self.on_pdu(channel, pdu)

    def on_pdu(self, channel, data: bytes) -> None:
        assert channel is not self.gone
        if pdu_type(data) == PduType.RTS:
            self.on_rts(channel, rts.RtsPdu.decode(data))
        else:
            self.asked.append(data)
            self.in_received += len(data)

    def on_rts(self, channel, pdu: rts.RtsPdu) -> None:
        match pdu.names[0]:
            case "IN_R1/A1":
                self.in_successor = self.check_cookies(channel, pdu, self.in_channel)
                self.in_wants.add("A4")
            case "IN_R1/A5":
                assert pdu.commands[0].cookie == self.cookies[self.in_successor]
                self.recycled["at the same time"] += bool(self.out_wants)
                self.gone, self.in_channel, self.in_successor = channel, self.in_successor, None
                self.in_window, self.in_received = self.next_window, 0
                plugged, self.plugged = self.plugged, []
                for pdu_after in plugged:
                    self.on_pdu(self.in_channel, pdu_after)
            case "FlowControlAckWithDestination":
                cookie, received = pdu.commands[1].channel_cookie, pdu.commands[1].bytes_received
                assert received > self.acknowledged[cookie]
                self.acknowledged[cookie] = received
            case "OUT_R1/A3":
                self.out_successor = self.check_cookies(channel, pdu, self.out_channel)
                assert pdu.commands[4].size == WINDOW
                self.down[channel] = HEAD
                self.out_wants |= {"A6", "A7", "24"}
                self.out_wants.remove("A3")
            case "OUT_R1/A7" | "OUT_R2/A7":
                assert ("OUT_R1/A7" in pdu.names) is (self.form == "R1")
                assert pdu.commands[1].cookie == self.cookies[self.out_successor]
                self.out_wants.remove("A7")
                self.out_wants.add("last")
            case "OUT_R1/A9" | "OUT_R2/C1":
                assert ("OUT_R1/A11" in pdu.names) is (self.form == "R1")
                assert (channel, self.body[channel]) == (self.out_successor or self.out_channel, 120)
                self.out_wants.remove("24")
            case other:
                pytest.fail(other)

    def check_cookies(self, channel, pdu, predecessor):
        _, connection, before, after, *_ = pdu.commands
        assert (connection.cookie, before.cookie) == (COOKIES.virtual_connection, self.cookies[predecessor])
        self.cookies[channel] = after.cookie
        return channel

    def in_r1(self) -> None:
        self.next_window = self.random.choice((8192, 65536, 262_144))
        self.in_wants.remove("A4")
        self.recycled["IN_R1"] += 1
        self.say(rts_recycling.in_r1_a4(self.next_window, 120_000).encode())

    def in_r2(self) -> None:
        self.in_wants.remove("A4")
        self.recycled["IN_R2"] += 1
        self.say(rts_recycling.in_r2_a4().encode())

    def hang_up(self) -> None:
        channel, self.gone = self.gone, None
        assert self.client.disconnected(channel, START)

    def out_a2(self) -> None:
        self.out_wants.add("A3")
        self.down[self.out_channel] += rts_recycling.out_r1_a2().encode()

    def out_a6(self, form: str) -> None:
        self.form = form
        self.recycled[f"OUT_{form}"] += 1
        self.out_wants.remove("A6")
        a6 = rts_recycling.out_r1_a6(120_000) if form == "R1" else rts_recycling.out_r2_a6()
        self.down[self.out_channel] += a6.encode()

    def out_last(self) -> None:
        """All that was queued stands before it on the predecessor; what comes after it is noise."""
        last = rts_recycling.out_r1_a10() if self.form == "R1" else rts_recycling.out_r2_b3()
        self.down[self.out_channel] += last.encode() + RUBBISH
        self.out_wants.remove("last")
        self.out_channel = self.out_successor


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_or_doubled(seed):
    peer = Peer(seed)
    peer.run(10_000)
    assert peer.asked == peer.sent
    assert peer.heard == peer.said
    assert len(peer.sent) > 300
    assert len(peer.said) > 500
    assert set(peer.recycled) == {"IN_R1", "IN_R2", "OUT_R1", "OUT_R2", "at the same time"}
    assert min(peer.recycled.values()) > 30
