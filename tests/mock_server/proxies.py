"""Channels of the proxy roles in any state, and every PDU that anybody could say to them."""

from collections import Counter

from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import Request, Response
from mock_server.rpch.inbound_proxy import InboundProxy
from mock_server.rpch.outbound_proxy import OutboundProxy
from mock_server.rpch.proxy import ChannelTable, ProxySettings, ProxyState

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
NEXT_IN = bytes.fromhex("94939291a2a1a4a3b1b2b3b4b5b6b7b8")
NEXT_OUT = bytes.fromhex("64636261727174738182838485868788")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")
CLIENT_ADDRESS = "192.0.2.10"
FRAGMENT = 5840
HEAD = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"
ERROR_6C0 = b"HTTP/1.0 503 RPC Error: 6c0\r\n\r\n"

_CHOICES = {
    "a1": rts.conn_a1(VC, OUT, 65536),
    "a2": rts.conn_a2(VC, OUT, 1 << 30, 65536),
    "a3": rts.conn_a3(120000),
    "b1": rts.conn_b1(VC, IN, 1 << 30, 300000, GROUP),
    "b2": rts.conn_b2(VC, IN, 65536, 120000, GROUP, CLIENT_ADDRESS),
    "b3": rts.conn_b3(65536),
    "c1": rts.conn_c1(65536, 120000),
    "ping": rts.ping(),
    "echo": rts.echo(),
    "keep_alive": rts.keep_alive(60000),
    "ack": rts.flow_control_ack(0, 65536, IN),
    "ack_of_out": rts.flow_control_ack(0, 65536, OUT),
    "ack_for_client": rts.flow_control_ack_with_destination(rts.CLIENT, 0, 65536, IN),
    "ack_for_out_proxy": rts.flow_control_ack_with_destination(rts.OUT_PROXY, 0, 65536, OUT),
    "ack_for_server": rts.flow_control_ack_with_destination(rts.SERVER, 0, 65536, IN),
    "ping_traffic": rts.ping_traffic_sent(1040),
    "unknown": rts.RtsPdu(0x80, (rts.Empty(),)),
    "unknown_for_client": rts.RtsPdu(0x80, (rts.Destination(rts.CLIENT),)),
    "in_a1": rts_recycling.in_r1_a1(VC, IN, NEXT_IN),
    "in_r1_a2": rts_recycling.in_r1_a2(VC, IN, NEXT_IN, 65536, 120000),
    "in_r1_a3": rts_recycling.in_r1_a3(65536, 120000),
    "in_a5": rts_recycling.in_r1_a5(NEXT_IN),
    "in_r1_b1": rts_recycling.in_r1_b1(),
    "in_r1_b2": rts_recycling.in_r1_b2(65536),
    "in_r2_a3": rts_recycling.in_r2_a3(),
    "out_a1": rts_recycling.out_r1_a1(),
    "out_a3": rts_recycling.out_r1_a3(VC, OUT, NEXT_OUT, 65536),
    "out_r1_a4": rts_recycling.out_r1_a4(VC, OUT, NEXT_OUT, 1 << 30, 65536, 120000),
    "out_r1_a5": rts_recycling.out_r1_a5(120000),
    "out_r1_a7": rts_recycling.out_r1_a7(NEXT_OUT),
    "ance": rts_recycling.out_r1_a9(),
    "out_r2_a5": rts_recycling.out_r2_a5(),
    "out_r2_a7": rts_recycling.out_r2_a7(NEXT_OUT),
    "negative_ance": rts_recycling.out_r2_b2(),
    "out_r2_b3": rts_recycling.out_r2_b3(),
    "out_r2_c1": rts_recycling.out_r2_c1(),
}
RTS = {name: pdu.encode() for name, pdu in _CHOICES.items()}
"""One PDU of each shape, and then some."""

FOR_CLIENT = {"ack_for_client", "in_r1_a3", "in_r2_a3", "out_a1", "out_r1_a5", "out_r2_a5"}
"""What the outbound proxy passes on to the client."""


def request(size=FRAGMENT, call_id=1):
    return Request(call_id, 0, 0, bytes(size - 24)).encode()


def response(size=FRAGMENT, call_id=1):
    return Response(call_id, 0, bytes(size - 24)).encode()


class Farm:
    """One process of a client access server: the channels that are found there."""

    def __init__(self, *, simulate_farm=False, **settings):
        self.recycles = Counter()
        self.in_channels = ChannelTable("IN", self.recycles, simulate_farm=simulate_farm)
        self.out_channels = ChannelTable("OUT", self.recycles, simulate_farm=simulate_farm)
        self.settings = ProxySettings(**settings)

    def inbound(self, content_length=1 << 30):
        return InboundProxy(self.settings, self.in_channels, content_length, 0.0, CLIENT_ADDRESS)

    def outbound(self, content_length=120, **more):
        return OutboundProxy(self.settings, self.out_channels, content_length, 0.0, **more)

    def open_inbound(self, state=ProxyState.OPEN, cookie=IN, window=65536):
        """The first IN channel of a virtual connection."""
        proxy = self.inbound()
        if state is not ProxyState.WAIT_CLIENT:
            proxy.receive_from_client(rts.conn_b1(VC, cookie, 1 << 30, 300000, GROUP).encode(), 0.0)
        if state in (ProxyState.WAIT_SERVER, ProxyState.OPEN):
            proxy.connected()
        if state is ProxyState.OPEN:
            proxy.leg.receive(rts.conn_b3(window).encode())
        proxy.leg.data_to_send()
        return proxy

    def open_outbound(self, state=ProxyState.OPEN, cookie=OUT, window=65536, **more):
        """The first OUT channel of a virtual connection."""
        proxy = self.outbound(76, **more)
        if state is not ProxyState.WAIT_CLIENT:
            proxy.receive_from_client(rts.conn_a1(VC, cookie, window).encode(), 0.0)
        if state in (ProxyState.WAIT_SERVER, ProxyState.OPEN):
            proxy.connected()
        if state is ProxyState.OPEN:
            proxy.leg.receive(rts.conn_c1(65536, 120000).encode())
        proxy.leg.data_to_send()
        proxy.data_to_client(0.0)
        return proxy


def feed(receive, data, cut, *more):
    receive(data[:cut], *more)
    receive(data[cut:], *more)
