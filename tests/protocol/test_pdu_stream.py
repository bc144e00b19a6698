"""What a server says without RTS, at whatever bytes TCP cuts it."""

import pytest

from loadgen.errors import WireError
from loadgen.protocol.pdu_stream import PduStream
from loadgen.wire.http import BANNER


@pytest.fixture
def answers(vector) -> list[bytes]:
    return [vector("pdu/bind_ack.hex"), vector("pdu/fault.hex")]


@pytest.mark.parametrize("banner", [b"", BANNER])
@pytest.mark.parametrize("size", [1, 7, 13, 14, 15, 100, 10_000])
def test_pdus_come_whole_with_and_without_a_banner(answers, banner, size):
    stream, said = PduStream(), banner + b"".join(answers)
    found: list[bytes] = []
    for start in range(0, len(said), size):
        found += stream.receive_data(said[start : start + size])
    assert found == answers


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request", b"ncacn_http/1.1   ", b"ncacn_ip_tcp/1.0 "])
def test_anything_else_is_refused(said):
    with pytest.raises(WireError):
        list(PduStream().receive_data(said))


def test_the_banner_comes_once(answers):
    stream = PduStream()
    assert list(stream.receive_data(BANNER + answers[0])) == answers[:1]
    with pytest.raises(WireError):
        list(stream.receive_data(BANNER + answers[1]))


def test_what_was_given_out_is_gone_though_the_rest_was_not_asked_for(answers):
    stream = PduStream()
    assert next(stream.receive_data(b"".join(answers))) == answers[0]
    assert list(stream.receive_data(b"")) == answers[1:]
