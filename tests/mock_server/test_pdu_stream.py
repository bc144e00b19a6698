"""Cutting a stream, at every place where a segment may end."""

import pytest

from loadgen.errors import WireError
from mock_server.rpch.pdu_stream import PduStream

BANNER = b"ncacn_http/1.0"


def feed_in_two(stream, data, cut):
    return stream.feed(data[:cut]) + stream.feed(data[cut:])


def test_any_cut_gives_the_same_pdus(vector):
    pdus = [vector("rts/conn_a1.hex"), vector("rts/ping.hex"), vector("pdu/bind.hex")]
    data = b"".join(pdus)
    for cut in range(len(data) + 1):
        assert feed_in_two(PduStream(), data, cut) == pdus
    stream = PduStream()
    assert [pdu for byte in data for pdu in stream.feed(bytes((byte,)))] == pdus


def test_any_cut_drops_the_banner(vector):
    pdu = vector("rts/conn_c2.hex")
    for cut in range(len(BANNER + pdu) + 1):
        assert feed_in_two(PduStream(banner=True), BANNER + pdu, cut) == [pdu]


def test_a_proxy_does_not_require_the_banner(vector):
    pdu = vector("rts/conn_b3.hex")
    assert PduStream(banner=True).feed(pdu) == [pdu]


@pytest.mark.parametrize(
    ("data", "banner"),
    [
        (BANNER + b"\x05\x00", False),
        (b"ncacn_ip_tcp/1", True),
        (b"nonsense-and-more", True),
        (bytes(16), True),
    ],
)
def test_anything_else_is_malformed(data, banner):
    with pytest.raises(WireError):
        PduStream(banner=banner).feed(data)
