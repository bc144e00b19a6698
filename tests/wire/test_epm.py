from collections.abc import Callable
from typing import Protocol, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import emsmdb, epm
from loadgen.wire.epm import (
    Entry,
    EptLookupHandleFreeRequest,
    EptLookupHandleFreeResponse,
    EptLookupRequest,
    EptLookupResponse,
    EptMapRequest,
    EptMapResponse,
    Floor,
    Tower,
)
from loadgen.wire.pdu import NDR, SyntaxId

Vector = Callable[[str], bytes]

LSARPC = SyntaxId.of("12345778-1234-abcd-ef00-0123456789ab", 0)
SAMR = SyntaxId.of("12345778-1234-abcd-ef00-0123456789ac", 1)
DSSETUP = SyntaxId.of("3919286a-b10c-11d0-9ba8-00c04fd92ef5", 0)
NO_OBJECT = bytes(16)
IMPACKETS_PADDING = b"\0\0\0\0\xab", bytes(5)
PIPE = Tower(
    (
        Floor.of_interface(DSSETUP),
        Floor.of_interface(NDR),
        Floor(b"\x0b", b"\0\0"),
        Floor(b"\x0f", b"\\pipe\\lsarpc\0"),
        Floor(b"\x11", b"\0"),
    )
)


class Stub(Protocol):
    @classmethod
    def decode(cls, stub: bytes) -> Self: ...

    def encode(self) -> bytes: ...


MEANING: dict[str, Stub] = {
    "ept_map_request": EptMapRequest(Tower.of_tcp(LSARPC), 4, NO_OBJECT),
    "ept_map_of_emsmdb": EptMapRequest(Tower.of_tcp(emsmdb.INTERFACE), 4, NO_OBJECT),
    "ept_map_response": EptMapResponse((Tower.of_tcp(LSARPC, 49152, "127.0.0.1"),), 4),
    "ept_map_not_registered": EptMapResponse((), 4, epm.NOT_REGISTERED),
    "ept_lookup_request": EptLookupRequest(),
    "ept_lookup_by_interface": EptLookupRequest(
        epm.MATCH_BY_INTERFACE, NO_OBJECT, emsmdb.INTERFACE, max_entries=10
    ),
    "ept_lookup_response": EptLookupResponse(
        (Entry(Tower.of_tcp(SAMR, 49152, "127.0.0.1"), "samr"), Entry(PIPE, "dssetup")),
        500,
        epm.NOT_REGISTERED,
    ),
    "ept_lookup_handle_free_request": EptLookupHandleFreeRequest(),
    "ept_lookup_handle_free_response": EptLookupHandleFreeResponse(),
}


@pytest.mark.parametrize("name", MEANING)
def test_vectors_mean_what_they_say(name: str, vector: Vector) -> None:
    wire, value = vector(f"epm/{name}.hex"), MEANING[name]
    assert type(value).decode(wire) == value
    assert value.encode() == wire.replace(*IMPACKETS_PADDING)


@pytest.mark.parametrize("name", MEANING)
def test_truncated_and_lengthened_vectors_raise_wire_errors_alone(name: str, vector: Vector) -> None:
    wire, kind = vector(f"epm/{name}.hex"), type(MEANING[name])
    for stub in (*(wire[:size] for size in range(len(wire))), wire + b"\0"):
        with pytest.raises(WireError):
            kind.decode(stub)


def test_towers_say_where_an_interface_is() -> None:
    tower = Tower.of_tcp(emsmdb.INTERFACE, 6101, "127.42.0.11")
    assert (tower.interface, tower.tcp_endpoint) == (emsmdb.INTERFACE, ("127.42.0.11", 6101))
    assert tower.floors[1].interface == NDR


TCP = Tower.of_tcp(LSARPC, 135, "127.0.0.1").floors


@pytest.mark.parametrize(
    "floors",
    [
        (),
        TCP[:4],
        PIPE.floors,
        (*TCP[:2], Floor(b"\x0a", b"\0\0"), *TCP[3:]),  # connectionless
        (*TCP[:3], Floor(b"\x1f", b"\0\x87"), TCP[4]),  # ncacn_http
        (*TCP[:3], Floor(b"\x07", b"\0\0\x87"), TCP[4]),
        (*TCP[:4], Floor(b"\x09", b"\x7f")),
    ],
)
def test_towers_that_lead_elsewhere_have_no_tcp_endpoint(floors: tuple[Floor, ...]) -> None:
    assert Tower(floors).tcp_endpoint is None


@pytest.mark.parametrize("floor", [Floor(b"\x07", b"\0\x87"), Floor(b"\x0c" + bytes(18), b"\0\0")])
def test_other_floors_are_no_interfaces(floor: Floor) -> None:
    assert floor.interface is None
    assert Tower((floor,)).interface is None
    assert Tower(()).interface is None


HANDLE = "00" * 20


@pytest.mark.parametrize(
    ("kind", "stub"),
    [
        (Tower, "4100"),  # too many floors
        (Tower, "0100 0100 0b 0000 00"),
        (EptMapResponse, HANDLE + "01000000 01000000 00000000 00000000 00000000"),
        (EptMapResponse, HANDLE + "01000000 01000000 01000000 01000000 00000000"),
        (EptMapResponse, HANDLE + "02000000 01000000 00000000 02000000 0000000000000000 00000000"),
        (EptMapRequest, "00000000 01000000 02000000 03000000 000000" + HANDLE + "01000000"),
        (EptLookupResponse, HANDLE + "01000000 01000000 00000000 01000000" + "00" * 20 + "01000000 00000000"),
        (EptLookupResponse, HANDLE + "01000000 01000000 00000000 01000000" + "00" * 20 + "0000000000000000"),
        (
            EptLookupResponse,
            HANDLE + "01000000 01000000 00000000 01000000" + "00" * 24 + "02000000 4141 0000 00000000",
        ),
    ],
)
def test_counts_and_strings_that_disagree_are_refused(kind: type[Stub], stub: str) -> None:
    with pytest.raises(WireError):
        kind.decode(bytes.fromhex(stub))


def test_null_towers_are_left_out_of_a_map_and_empty_in_a_lookup() -> None:
    stub = bytes.fromhex(HANDLE + "01000000 01000000 00000000 01000000 00000000 00000000")
    assert EptMapResponse.decode(stub) == EptMapResponse((), 1)
    assert EptLookupResponse.decode(EptLookupResponse((Entry(Tower(())),), 1).encode()).entries == (
        Entry(Tower(())),
    )


LONGS = st.integers(0, 0xFFFFFFFF)
UUIDS = st.binary(min_size=16, max_size=16)
HANDLES = st.binary(min_size=20, max_size=20)
SYNTAXES = st.builds(SyntaxId, UUIDS, LONGS)
TOWERS = st.builds(
    Tower,
    st.lists(
        st.builds(Floor, st.binary(min_size=1, max_size=20), st.binary(max_size=20))
        | st.builds(Floor.of_interface, SYNTAXES),
        min_size=1,
        max_size=6,
    ).map(tuple),
)
ENTRIES = st.builds(
    Entry, TOWERS, st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=63), UUIDS
)


@given(
    st.one_of(
        st.builds(EptMapRequest, TOWERS | st.just(Tower(())), LONGS, st.none() | UUIDS, HANDLES),
        st.builds(
            EptMapResponse, st.lists(TOWERS, max_size=3).map(tuple), st.integers(3, 500), LONGS, HANDLES
        ),
        st.builds(EptLookupRequest, LONGS, st.none() | UUIDS, st.none() | SYNTAXES, LONGS, HANDLES, LONGS),
        st.builds(
            EptLookupResponse, st.lists(ENTRIES, max_size=3).map(tuple), st.integers(3, 500), LONGS, HANDLES
        ),
        st.builds(EptLookupHandleFreeRequest, HANDLES),
        st.builds(EptLookupHandleFreeResponse, HANDLES, LONGS),
    )
)
def test_every_stub_comes_back(value: Stub) -> None:
    assert type(value).decode(value.encode()) == value


@pytest.mark.parametrize(
    ("request_", "opnum", "response"),
    [
        (EptLookupRequest(), 2, EptLookupResponse((), 1)),
        (EptMapRequest(Tower.of_tcp(LSARPC)), 3, EptMapResponse((), 1)),
        (EptLookupHandleFreeRequest(), 4, EptLookupHandleFreeResponse()),
    ],
)
def test_requests_know_their_method(request_: EptMapRequest, opnum: int, response: Stub) -> None:
    assert (request_.interface, request_.opnum) == (epm.INTERFACE, opnum)
    assert request_.decode_response(response.encode()) == response
