"""The endpoint mapper, by its stubs."""

import pytest

from loadgen.errors import RpcFault
from loadgen.wire import emsmdb, epm, nspi
from loadgen.wire.epm import Entry, EptLookupHandleFreeRequest, EptLookupRequest, EptMapRequest, Floor, Tower
from loadgen.wire.pdu import SyntaxId
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.epm import epm_interface

STORE = Entry(Tower.of_tcp(emsmdb.INTERFACE, 6101, "127.42.0.11"), "store")
NEWS = Entry(Tower.of_tcp(emsmdb.ASYNC_INTERFACE, 6101, "127.42.0.11"), "news")
DIRECTORY = Entry(Tower.of_tcp(nspi.INTERFACE, 6104, "127.42.0.11"), "directory")
MAPPER = epm_interface((STORE, NEWS, DIRECTORY))
CONTEXT_MISMATCH = 0x1C00001A


@pytest.fixture
def ask():
    context = CallContext("", AssociationGroup(1), "MBX1")

    def call(request):
        return request.decode_response(MAPPER.methods[request.opnum](context, request.encode()))

    return call


def version(syntax: SyntaxId, major: int, minor: int) -> SyntaxId:
    return SyntaxId(syntax.uuid, major | minor << 16)


@pytest.mark.parametrize("asked", [emsmdb.INTERFACE, version(emsmdb.INTERFACE, 0, 80)])
def test_an_interface_is_found_by_its_version_or_an_earlier_minor_one(ask, asked):
    answer = ask(EptMapRequest(Tower.of_tcp(asked), 4, bytes(16)))
    assert (answer.towers, answer.status) == ((STORE.tower,), 0)
    assert answer.towers[0].tcp_endpoint == ("127.42.0.11", 6101)


@pytest.mark.parametrize(
    "tower",
    [
        Tower(()),
        Tower.of_tcp(version(emsmdb.INTERFACE, 0, 82)),
        Tower.of_tcp(version(emsmdb.INTERFACE, 1, 0)),
        Tower.of_tcp(SyntaxId.of("12345778-1234-abcd-ef00-0123456789ab", 0)),
        Tower(Tower.of_tcp(emsmdb.INTERFACE).floors[:4]),
        Tower(
            (*Tower.of_tcp(emsmdb.INTERFACE).floors[:3], Floor(b"\x1f", b"\0\0"), Floor(b"\x09", bytes(4)))
        ),
        Tower((Floor(b"\x0b", b""), *Tower.of_tcp(emsmdb.INTERFACE).floors[1:])),
    ],
)
def test_what_is_not_there_is_not_registered(ask, tower):
    answer = ask(EptMapRequest(tower, 4))
    assert (answer.towers, answer.status, answer.entry_handle) == ((), epm.NOT_REGISTERED, epm.NO_HANDLE)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (EptLookupRequest(), (STORE, NEWS, DIRECTORY)),
        (EptLookupRequest(epm.MATCH_BY_INTERFACE, syntax=nspi.INTERFACE), (DIRECTORY,)),
        (EptLookupRequest(epm.MATCH_BY_INTERFACE), ()),
        (EptLookupRequest(epm.MATCH_BY_OBJECT, bytes(16)), (STORE, NEWS, DIRECTORY)),
        (EptLookupRequest(epm.MATCH_BY_OBJECT, bytes(15) + b"\1"), ()),
        (EptLookupRequest(epm.MATCH_BY_BOTH, None, emsmdb.INTERFACE), (STORE,)),
    ],
)
def test_look_up(ask, request_, found):
    answer = ask(request_)
    assert (answer.entries, answer.status) == (found, 0 if found else epm.NOT_REGISTERED)
    assert answer.entry_handle == epm.NO_HANDLE


def test_an_enumeration_goes_on_by_its_handle(ask):
    first = ask(EptLookupRequest(max_entries=2))
    assert (first.entries, first.status) == ((STORE, NEWS), 0)
    assert first.entry_handle != epm.NO_HANDLE
    rest = ask(EptLookupRequest(max_entries=2, entry_handle=first.entry_handle))
    assert (rest.entries, rest.entry_handle) == ((DIRECTORY,), epm.NO_HANDLE)
    with pytest.raises(RpcFault) as refusal:
        ask(EptLookupRequest(entry_handle=first.entry_handle))
    assert refusal.value.status == CONTEXT_MISMATCH


def test_a_handle_is_given_back(ask):
    handle = ask(EptLookupRequest(max_entries=1)).entry_handle
    assert ask(EptLookupHandleFreeRequest(handle)).entry_handle == epm.NO_HANDLE
    assert ask(EptLookupHandleFreeRequest()).status == 0
    with pytest.raises(RpcFault):
        ask(EptLookupHandleFreeRequest(handle))


@pytest.mark.parametrize("request_", [EptLookupRequest(4), EptLookupRequest(max_entries=501)])
def test_what_is_out_of_range_is_refused(ask, request_):
    with pytest.raises(RpcFault):
        ask(request_)
