"""The server's side of an RPC connection, against PDUs written out from [C706] and [MS-RPCE]."""

import asyncio

import pytest

from loadgen.errors import RemoteProtocolError, RpcFault, WireError
from loadgen.wire import mgmt
from loadgen.wire.pdu import (
    CONC_MPX,
    DID_NOT_EXECUTE,
    FIRST_FRAG,
    LAST_FRAG,
    NDR,
    NDR64,
    WHOLE,
    AlterContext,
    AlterContextResponse,
    Auth3,
    AuthVerifier,
    Bind,
    BindAck,
    BindNak,
    CoCancel,
    ContextResult,
    Fault,
    Orphaned,
    PresentationContext,
    Request,
    Response,
    Shutdown,
    SyntaxId,
    bind_time_features,
    decode,
)
from mock_server.counters import RpcStatistics
from mock_server.rpc.association import Association
from mock_server.rpc.dispatch import CONTEXT_MISMATCH, AssociationGroup, Interface
from mock_server.rpc.endpoint import Endpoint

EMSMDB_UUID = "a4f1db00-ca47-1067-b31f-00dd010662da"
EMSMDB = SyntaxId.of(EMSMDB_UUID, 0, 81)
OTHER = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
UNKNOWN = SyntaxId.of("99999999-ca47-1067-b31f-00dd010662da", 1)
AUTH = AuthVerifier(10, 6, 0, bytes(16))
ACCEPTED = ContextResult(0, 0, NDR)
PROTOCOL_ERROR = 0x1C01000B


class Server:
    """An endpoint whose methods echo, fail, wait; and one association of a client."""

    def __init__(self):
        self.waiting = []
        self.ended = []
        methods = {
            0: lambda _context, stub: stub,
            1: self._wait,
            2: self._fail,
            3: lambda _context, stub: mgmt.InqIfIdsRequest.decode(stub).encode(),
            4: self._open,
            6: lambda _context, _stub: bytes(4),
        }
        interfaces = Interface(EMSMDB, methods), Interface(OTHER, {0: lambda _context, _stub: b"other"})
        self.endpoint = Endpoint("MBX1", 6001, interfaces, RpcStatistics())
        self.client = self.connect()

    def connect(self, group=b""):
        return Client(self.endpoint, group)

    def _wait(self, _context, _stub):
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def _fail(self, _context, stub):
        raise RpcFault(int.from_bytes(stub, "little"))

    def _open(self, context, stub):
        return context.association.open_handle(stub, lambda: self.ended.append(stub))


class Client:
    """Says PDUs and hears the answers."""

    def __init__(self, endpoint, group):
        self.heard = []
        self.association = Association(endpoint, self.heard.append, group)

    def say(self, *pdus):
        for pdu in pdus:
            self.association.receive_pdu(pdu if isinstance(pdu, bytes) else pdu.encode())
        answers = [decode(pdu) for pdu in self.heard]
        self.heard.clear()
        return answers

    def bind(self, *contexts, **more):
        contexts = contexts or (PresentationContext(0, EMSMDB),)
        return self.say(Bind(1, 5840, 5840, more.pop("group", 0), contexts, **more))

    def breaks(self, pdu):
        """The PDU ends the connection; the last words."""
        with pytest.raises((RemoteProtocolError, WireError)):
            self.say(pdu)
        return self.say()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def client(server):
    server.client.bind()
    return server.client


@pytest.fixture
def multiplexed(server):
    features = PresentationContext(1, EMSMDB, (bind_time_features(3),))
    server.client.bind(PresentationContext(0, EMSMDB), features, flags=WHOLE | CONC_MPX)
    return server.client


def fragments(call_id, *stubs, opnum=0, context_id=0):
    flags = [FIRST_FRAG, *[0] * (len(stubs) - 2), LAST_FRAG]
    return [Request(call_id, context_id, opnum, stub, flag) for stub, flag in zip(stubs, flags, strict=True)]


def test_bind_and_call_as_written_out(server, vector):
    server.client.association.receive_pdu(vector("pdu/bind.hex"))
    assert server.client.heard.pop() == vector("pdu/bind_ack.hex")
    server.client.association.receive_pdu(vector("pdu/request_ec_dummy_rpc.hex"))
    assert server.client.heard.pop() == vector("pdu/response_ec_dummy_rpc.hex")


def test_the_bind_of_a_64_bit_client(server, vector):
    server.client.association.receive_pdu(vector("pdu/bind_three_contexts.hex"))
    assert server.client.heard.pop() == vector("pdu/bind_ack_three_results.hex")


def test_opnum_out_of_range_as_written_out(client, vector):
    client.association.receive_pdu(Request(2, 0, 7, b"").encode())
    assert client.heard.pop() == vector("pdu/fault.hex")


def test_authentication_is_not_recognised_without_security(server, vector):
    assert server.client.bind(auth=AUTH) == [BindNak(1, 8)]
    assert BindNak.decode(vector("pdu/bind_nak.hex")) == BindNak(1, 8)
    assert isinstance(server.client.bind()[0], BindAck)


@pytest.mark.parametrize(
    ("context", "result"),
    [
        (PresentationContext(5, EMSMDB), ACCEPTED),
        (PresentationContext(5, EMSMDB, (NDR64, NDR)), ACCEPTED),
        (PresentationContext(5, SyntaxId.of(EMSMDB_UUID, 0, 80)), ACCEPTED),
        (
            PresentationContext(5, SyntaxId.of(EMSMDB_UUID, 0, 82)),
            ContextResult(2, 1),
        ),
        (
            PresentationContext(5, SyntaxId.of(EMSMDB_UUID, 1, 81)),
            ContextResult(2, 1),
        ),
        (PresentationContext(5, UNKNOWN), ContextResult(2, 1)),
        (PresentationContext(5, EMSMDB, (NDR64,)), ContextResult(2, 2)),
        (PresentationContext(5, EMSMDB, ()), ContextResult(2, 2)),
        (PresentationContext(5, EMSMDB, (bind_time_features(7),)), ContextResult(3, 3)),
        (PresentationContext(5, mgmt.INTERFACE), ACCEPTED),
    ],
)
def test_contexts_of_a_bind(server, context, result):
    assert server.client.bind(context)[0].results == (result,)


def test_alter_context(client):
    answer = client.say(
        AlterContext(
            2,
            0,
            0,
            0,
            (
                PresentationContext(1, OTHER),
                PresentationContext(0, EMSMDB),
                PresentationContext(0, OTHER),
                PresentationContext(2, EMSMDB, (bind_time_features(3),)),
            ),
        )
    )
    results = (ACCEPTED, ACCEPTED, ContextResult(2, 0), ContextResult(2, 2))
    assert answer == [AlterContextResponse(2, 5840, 5840, 0x12345, b"", results)]
    assert client.say(Request(3, 1, 0, b"")) == [Response(3, 1, b"other")]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [((4280, 4280), (4280, 4280)), ((8192, 5840), (5840, 5840)), ((0, 0), (1432, 1432))],
)
def test_fragment_sizes(server, offered, agreed):
    xmit, recv = offered
    (ack,) = server.client.say(Bind(1, xmit, recv, 0, (PresentationContext(0, EMSMDB),)))
    assert (ack.max_recv_frag, ack.max_xmit_frag) == agreed
    assert server.client.say(Request(2, 0, 0, bytes(1408)))[0].stub == bytes(1408)
    too_long = Request(3, 0, 0, bytes(agreed[0] - 23))
    assert server.client.breaks(too_long) == [Fault(3, 0, PROTOCOL_ERROR, WHOLE | DID_NOT_EXECUTE)]


def test_responses_are_cut_into_fragments(server):
    server.client.say(Bind(1, 5840, 1432, 0, (PresentationContext(0, EMSMDB),)))
    stub = bytes(range(256)) * 12
    answers = server.client.say(*fragments(2, stub[:2000], stub[2000:]))
    assert [len(answer.stub) for answer in answers] == [1408, 1408, 256]
    assert [answer.flags for answer in answers] == [FIRST_FRAG, 0, LAST_FRAG]
    assert [answer.alloc_hint for answer in answers] == [3072, 1664, None]
    assert b"".join(answer.stub for answer in answers) == stub


def test_fragments_of_a_request_are_joined(client):
    stub = b"".join(bytes((i,)) * 100 for i in range(30))
    pieces = [stub[i : i + 100] for i in range(0, 3000, 100)]
    *early, last = fragments(2, *pieces)
    assert client.say(*early) == []
    assert b"".join(answer.stub for answer in client.say(last)) == stub


def test_a_reassembled_stub_ends_at_4_mib(client):
    pieces = fragments(2, *[bytes(5816)] * 723)
    assert client.say(*pieces[:721]) == []
    assert client.say(*pieces[721:]) == [Fault(2, 0, 5, WHOLE | DID_NOT_EXECUTE)]
    assert client.say(Request(3, 0, 0, b"on")) == [Response(3, 0, b"on")]


@pytest.mark.parametrize(
    ("request_", "status", "flags"),
    [
        (Request(2, 9, 0, b""), 0x1C00001C, DID_NOT_EXECUTE),
        (Request(2, 0, 5, b""), 0x1C010002, DID_NOT_EXECUTE),
        (Request(2, 0, 0, b"", auth=AUTH), 5, DID_NOT_EXECUTE),
        (Request(2, 0, 2, bytes.fromhex("efbe")), 0xBEEF, 0),
        (Request(2, 0, 3, b"too much"), 0x6F7, 0),
    ],
)
def test_faults_leave_the_connection_usable(client, request_, status, flags):
    assert client.say(request_) == [Fault(2, request_.context_id, status, WHOLE | flags)]
    assert client.say(Request(3, 0, 0, b"on")) == [Response(3, 0, b"on")]


def test_later_fragments_of_a_refused_call_are_skipped(client):
    first, second, third = fragments(2, b"a", b"b", b"c", opnum=5)
    assert client.say(first) == [Fault(2, 0, 0x1C010002, WHOLE | DID_NOT_EXECUTE)]
    assert client.say(second, third, Request(3, 0, 0, b"on")) == [Response(3, 0, b"on")]


@pytest.mark.parametrize(
    "request_",
    [
        Request(200, 0, 0, b""),
        Request(199, 0, 0, b""),
        Request(0x80000000, 0, 0, b""),
        Request(50, 0, 0, b"", flags=LAST_FRAG),
        Request(201, 0, 0, b"", flags=LAST_FRAG),
    ],
)
def test_call_ids_go_up(client, request_):
    client.say(Request(200, 0, 0, b""))
    answer = client.breaks(request_)
    assert answer == [Fault(request_.call_id, 0, PROTOCOL_ERROR, WHOLE | DID_NOT_EXECUTE)]


def test_a_fragment_of_a_call_long_gone_is_ignored(client):
    client.say(Request(200, 0, 0, b""))
    assert client.say(Request(51, 0, 0, b"", flags=LAST_FRAG)) == []


@pytest.mark.parametrize(
    "request_",
    [
        Request(3, 0, 0, b""),
        Request(2, 0, 6, b"", flags=LAST_FRAG),
        Request(2, 1, 0, b"", flags=LAST_FRAG),
    ],
)
def test_nothing_comes_between_the_fragments_of_a_call(client, request_):
    client.say(*fragments(2, b"a", b"b")[:1])
    answer = client.breaks(request_)
    assert answer == [Fault(request_.call_id, request_.context_id, PROTOCOL_ERROR, WHOLE | DID_NOT_EXECUTE)]


UNEXPECTED = [
    Auth3(2, AUTH),
    Shutdown(2),
    Response(2, 0, b""),
    Fault(2, 0, 5),
    BindAck(2, 5840, 5840, 1, b"", ()),
    BindNak(2, 0),
    AlterContextResponse(2, 5840, 5840, 1, b"", ()),
]


@pytest.mark.parametrize(
    "pdu",
    [*UNEXPECTED, Bind(2, 1, 1, 0, ()), b"\5\0\13\3" + bytes(20)],
)
def test_what_a_bound_client_may_not_say(client, pdu):
    assert client.breaks(pdu) == []


@pytest.mark.parametrize(
    "pdu", [*UNEXPECTED, AlterContext(2, 1, 1, 0, ()), Request(2, 0, 0, b""), CoCancel(2), Orphaned(2)]
)
def test_bind_comes_first(server, pdu):
    assert server.client.breaks(pdu) == []


async def test_a_waiting_call_delays_no_other(server, multiplexed):
    assert multiplexed.say(Request(2, 0, 1, b""), Request(3, 0, 0, b"now")) == [Response(3, 0, b"now")]
    assert server.endpoint.statistics.outstanding == 1
    server.waiting[0].set_result(b"later")
    await asyncio.sleep(0)
    assert multiplexed.say() == [Response(2, 0, b"later")]
    assert server.endpoint.statistics.outstanding == 0


async def test_without_multiplexing_calls_come_one_at_a_time(client):
    client.say(Request(2, 0, 1, b""))
    assert client.breaks(Request(3, 0, 0, b"")) == [Fault(3, 0, PROTOCOL_ERROR, WHOLE | DID_NOT_EXECUTE)]
    client.association.lost()


@pytest.mark.parametrize(
    ("error", "status"), [(RpcFault(0xBEEF), 0xBEEF), (WireError("field", 0, "bad"), 0x6F7)]
)
async def test_a_waiting_call_may_end_in_a_fault(server, multiplexed, error, status):
    multiplexed.say(Request(2, 0, 1, b""))
    server.waiting[0].set_exception(error)
    await asyncio.sleep(0)
    assert multiplexed.say() == [Fault(2, 0, status)]


async def test_a_bug_in_a_waiting_call_is_not_hidden(server, multiplexed):
    reported = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context["exception"])
    )
    multiplexed.say(Request(2, 0, 1, b""))
    server.waiting[0].set_exception(bug := ValueError("ours"))
    await asyncio.sleep(0)
    assert (reported, multiplexed.say()) == ([bug], [])


async def test_cancel_ends_a_waiting_call_and_no_other(server, multiplexed):
    multiplexed.say(Request(2, 0, 1, b""))
    assert multiplexed.say(CoCancel(7)) == []
    multiplexed.say(CoCancel(2))
    await asyncio.sleep(0)
    assert server.waiting[0].cancelled()
    assert multiplexed.say(CoCancel(2)) == [Fault(2, 0, 0x1C00000D)]


async def test_an_orphaned_call_is_not_answered(server, multiplexed):
    multiplexed.say(Request(2, 0, 1, b""), *fragments(3, b"a", b"b")[:1])
    assert multiplexed.say(Orphaned(2), Orphaned(3), Orphaned(4)) == []
    await asyncio.sleep(0)
    assert server.waiting[0].cancelled()
    assert multiplexed.say(Request(5, 0, 0, b"on")) == [Response(5, 0, b"on")]


def test_orphaned_ends_the_connection_unless_that_was_negotiated(client):
    assert client.breaks(Orphaned(2)) == []


async def test_waiting_calls_end_with_the_connection(server, multiplexed):
    multiplexed.say(Request(2, 0, 1, b""))
    multiplexed.association.lost()
    await asyncio.sleep(0)
    assert server.waiting[0].cancelled()
    assert multiplexed.say() == []
    assert server.endpoint.statistics.outstanding == 0
    multiplexed.association.lost()


def test_context_handles_live_as_long_as_their_group(server):
    group = b"g" * 16
    one, two = server.connect(group), server.connect(group)
    group_id = one.bind()[0].assoc_group_id
    assert two.bind(group=group_id)[0].assoc_group_id == group_id
    one.say(Request(2, 0, 4, b"handle"))
    one.association.lost()
    assert server.ended == []
    two.association.lost()
    assert server.ended == [b"handle"]
    assert server.connect(group).bind(group=group_id) == [BindNak(1, 0)]


def test_a_group_is_joined_by_both_of_its_names(server):
    group_id = server.connect(b"g" * 16).bind()[0].assoc_group_id
    assert server.connect(b"h" * 16).bind(group=group_id) == [BindNak(1, 0)]
    assert server.connect(b"g" * 16).bind()[0].assoc_group_id != group_id


def test_context_handles():
    group = AssociationGroup(1)
    ended = []
    handle, silent = group.open_handle("value", lambda: ended.append(1)), group.open_handle(2)
    assert (len(handle), handle[:4], handle != silent) == (20, bytes(4), True)
    assert (group.find(handle, str), group.find(silent, int)) == ("value", 2)
    for wrong, kind in ((handle, int), (bytes(20), str)):
        with pytest.raises(RpcFault) as caught:
            group.find(wrong, kind)
        assert caught.value.status == CONTEXT_MISMATCH
    group.close_handle(handle)
    group.run_down()
    assert (group.handles, ended) == ({}, [])


def test_management(server):
    client = server.client
    client.bind(PresentationContext(0, mgmt.INTERFACE))

    def ask(call_id, request):
        (answer,) = client.say(Request(call_id, 0, request.opnum, request.encode()))
        return request.decode_response(answer.stub)

    assert ask(2, mgmt.InqIfIdsRequest()).interfaces == (EMSMDB, OTHER, mgmt.INTERFACE)
    assert ask(3, mgmt.IsServerListeningRequest()) == mgmt.IsServerListeningResponse(listening=True)
    assert ask(4, mgmt.InqStatsRequest()).statistics == (3, 0, 4, 3)
    assert ask(5, mgmt.InqStatsRequest(1)).statistics == (4,)
    assert ask(6, mgmt.StopServerListeningRequest()).status == 5
    assert ask(7, mgmt.InqPrincNameRequest(10, 100)).status == 0x6D3
