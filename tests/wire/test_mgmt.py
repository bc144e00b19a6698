from collections.abc import Callable
from typing import Protocol, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import mgmt
from loadgen.wire.mgmt import (
    InqIfIdsRequest,
    InqIfIdsResponse,
    InqPrincNameRequest,
    InqPrincNameResponse,
    InqStatsRequest,
    InqStatsResponse,
    IsServerListeningRequest,
    IsServerListeningResponse,
    StopServerListeningRequest,
    StopServerListeningResponse,
)
from loadgen.wire.pdu import SyntaxId

Vector = Callable[[str], bytes]

NSPI = SyntaxId.of("f5cc5a18-4264-101a-8c59-08002b2f8426", 56)
EMSMDB = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)


class Stub(Protocol):
    @classmethod
    def decode(cls, stub: bytes) -> Self: ...

    def encode(self) -> bytes: ...


MEANING: dict[str, Stub] = {
    "inq_if_ids_response": InqIfIdsResponse((mgmt.INTERFACE, NSPI, EMSMDB)),
    "inq_stats_response": InqStatsResponse((10, 20, 30, 40)),
    "is_server_listening_response": IsServerListeningResponse(listening=True),
    "stop_server_listening_response": StopServerListeningResponse(5),
    "inq_princ_name_request": InqPrincNameRequest(10, 64),
    "inq_princ_name_response": InqPrincNameResponse("exchangeMDB/mbx1", 64),
}
METHODS = [
    (InqIfIdsRequest(), 0, InqIfIdsResponse(None, 5)),
    (InqStatsRequest(), 1, InqStatsResponse(())),
    (IsServerListeningRequest(), 2, IsServerListeningResponse(listening=False)),
    (StopServerListeningRequest(), 3, StopServerListeningResponse()),
    (InqPrincNameRequest(10, 1), 4, InqPrincNameResponse("", 1)),
]


@pytest.mark.parametrize("name", MEANING)
def test_vectors_mean_what_they_say(name: str, vector: Vector) -> None:
    wire, value = vector(f"mgmt/{name}.hex"), MEANING[name]
    assert type(value).decode(wire) == value
    assert value.encode() == wire


@pytest.mark.parametrize("name", MEANING)
def test_truncated_and_lengthened_vectors_raise_wire_errors_alone(name: str, vector: Vector) -> None:
    wire, kind = vector(f"mgmt/{name}.hex"), type(MEANING[name])
    for stub in (*(wire[:size] for size in range(len(wire))), wire + b"\0"):
        with pytest.raises(WireError):
            kind.decode(stub)


def test_the_second_word_of_sambas_inq_stats_is_left_out(vector: Vector) -> None:
    wire = vector("mgmt/inq_stats_request.hex")
    assert InqStatsRequest.decode(wire) == InqStatsRequest(4)
    assert InqStatsRequest(4).encode() == wire[:4]
    with pytest.raises(WireError):
        InqStatsRequest.decode(wire + b"\0")


@pytest.mark.parametrize(("request_", "opnum", "response"), METHODS)
def test_requests_know_their_method(request_: InqIfIdsRequest, opnum: int, response: Stub) -> None:
    assert (request_.interface, request_.opnum) == (mgmt.INTERFACE, opnum)
    assert request_.response is type(response)
    assert type(request_).decode(request_.encode()) == request_
    assert request_.decode_response(response.encode()) == response


def test_requests_without_arguments_have_no_stub() -> None:
    assert InqIfIdsRequest().encode() == b""
    with pytest.raises(WireError):
        InqIfIdsRequest.decode(b"\0")


def test_null_pointers_in_the_vector_are_left_out() -> None:
    stub = bytes.fromhex("00000200 02000000 02000000 00000000 04000200") + NSPI.uuid
    stub += bytes.fromhex("38000000 00000000")
    assert InqIfIdsResponse.decode(stub) == InqIfIdsResponse((NSPI,))


@pytest.mark.parametrize(
    ("kind", "stub"),
    [
        (InqIfIdsResponse, "00000200 01000000 00000000 00000000"),
        (InqStatsResponse, "01000000 00000000 00000000"),
        (InqPrincNameResponse, "01000000 00000000 02000000 6100 0000 00000000"),
    ],
)
def test_counts_that_disagree_are_refused(kind: type[Stub], stub: str) -> None:
    with pytest.raises(WireError):
        kind.decode(bytes.fromhex(stub))


LONGS = st.integers(0, 0xFFFFFFFF)
SYNTAXES = st.builds(SyntaxId, st.binary(min_size=16, max_size=16), LONGS)
NAMES = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40)


@given(
    st.one_of(
        st.builds(InqIfIdsResponse, st.none() | st.lists(SYNTAXES, max_size=5).map(tuple), LONGS),
        st.builds(InqStatsRequest, LONGS),
        st.builds(InqStatsResponse, st.lists(LONGS, max_size=5).map(tuple), LONGS),
        st.builds(IsServerListeningResponse, st.booleans(), LONGS),
        st.builds(StopServerListeningResponse, LONGS),
        st.builds(InqPrincNameRequest, LONGS, LONGS),
        st.builds(InqPrincNameResponse, NAMES, st.integers(41, 1000), LONGS),
    )
)
def test_every_stub_comes_back(value: Stub) -> None:
    assert type(value).decode(value.encode()) == value
