"""The client of an RPC connection, against PDUs of the specification and of recorded servers."""

import pytest

from loadgen.errors import BindRefused, LocalProtocolError, PeerError, RemoteProtocolError, WireError
from loadgen.protocol import association as module
from loadgen.protocol.association import MAX_CALL_ID, TRANSITIONS, Association, State
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted, ShutdownRequested
from loadgen.protocol.security import NoSecurity
from loadgen.wire import pdu as wire
from loadgen.wire.pdu import NDR, NDR64, ContextResult, PduType, SyntaxId

EMSMDB = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
ASYNC = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
NSPI = SyntaxId.of("f5cc5a18-4264-101a-8c59-08002b2f8426", 56)

ACCEPTED = ContextResult(wire.ACCEPTANCE, 0, NDR)
GRANTED = ContextResult(wire.NEGOTIATE_ACK, 3)
UNSUPPORTED = ContextResult(wire.PROVIDER_REJECTION, wire.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED)
MULTIPLEXED = wire.WHOLE | wire.CONC_MPX


def bind_ack(*results, call_id=1, max_recv=5840, flags=MULTIPLEXED):
    return wire.BindAck(call_id, 5840, max_recv, 74565, b"6001\0", results, flags).encode()


def altered(call_id, *results):
    return wire.AlterContextResponse(call_id, 5840, 5840, 74565, b"", results).encode()


def response(call_id, stub=b"answer", flags=wire.WHOLE):
    return wire.Response(call_id, 0, stub, flags).encode()


def fault(call_id, status=0x1C010002):
    return wire.Fault(call_id, 0, status).encode()


def sent(association):
    return [wire.decode(pdu) for pdu in association.pdus_to_send()]


def bound(**ack):
    """Bound to EMSMDB, call_id 1 used up."""
    association = Association()
    association.bind([EMSMDB])
    association.pdus_to_send()
    assert association.receive_pdu(bind_ack(ACCEPTED, GRANTED, **ack)) == [ContextsAccepted()]
    return association


def in_state(state):
    """In BOUND and ALTERING the call 2 is outstanding; the negotiation under way is 1 or 3."""
    association = Association() if state in (State.UNBOUND, State.BINDING) else bound()
    if state is State.BINDING:
        association.bind([EMSMDB])
    elif state in (State.BOUND, State.ALTERING):
        assert association.call(0, 6, b"") == 2
        if state is State.ALTERING:
            association.alter_context([ASYNC])
    elif state is State.CLOSED:
        with pytest.raises(PeerError):
            association.receive_pdu(response(99))
    association.pdus_to_send()
    assert association.state is state
    return association


PDUS = {
    PduType.REQUEST: wire.Request(2, 0, 6, b"").encode(),
    PduType.RESPONSE: response(2),
    PduType.FAULT: fault(2),
    PduType.BIND: wire.Bind(1, 5840, 5840, 0, ()).encode(),
    PduType.BIND_ACK: bind_ack(ACCEPTED, GRANTED),
    PduType.BIND_NAK: wire.BindNak(1, 2).encode(),
    PduType.ALTER_CONTEXT: wire.AlterContext(3, 5840, 5840, 0, ()).encode(),
    PduType.ALTER_CONTEXT_RESPONSE: altered(3, ACCEPTED),
    PduType.AUTH3: wire.Auth3(1, wire.AuthVerifier(10, 6, 0, b"token")).encode(),
    PduType.SHUTDOWN: wire.Shutdown(0).encode(),
    PduType.CO_CANCEL: wire.CoCancel(2).encode(),
    PduType.ORPHANED: wire.Orphaned(2).encode(),
}


@pytest.mark.parametrize("ptype", PDUS)
@pytest.mark.parametrize("state", State)
def test_every_state_and_type_moves_or_raises(state, ptype):
    association = in_state(state)
    after = TRANSITIONS[state].get(ptype)
    if after is None or after is State.CLOSED:
        error = BindRefused if after is State.CLOSED else RemoteProtocolError
        with pytest.raises(error):
            association.receive_pdu(PDUS[ptype])
        assert association.state is State.CLOSED
    else:
        assert len(association.receive_pdu(PDUS[ptype])) == 1
        assert association.state is after


@pytest.mark.parametrize("state", State)
def test_what_we_may_do_in_each_state(state):
    actions = {
        "bind": (lambda a: a.bind([EMSMDB]), {State.UNBOUND}),
        "alter_context": (lambda a: a.alter_context([ASYNC]), {State.BOUND}),
        "call": (lambda a: a.call(0, 6, b""), {State.BOUND, State.ALTERING}),
        "cancel": (lambda a: a.cancel(2), {State.BOUND, State.ALTERING}),
        "orphan": (lambda a: a.orphan(2), {State.BOUND, State.ALTERING}),
    }
    for action, states in actions.values():
        association = in_state(state)
        if state in states:
            action(association)
            assert len(association.pdus_to_send()) == 1
        else:
            with pytest.raises(LocalProtocolError):
                action(association)


def test_bind_offers_every_interface_and_the_features(vector):
    association = Association()
    association.bind([EMSMDB, ASYNC])
    (bind,) = sent(association)
    ours = wire.bind_time_features(3)
    assert [(c.context_id, c.abstract_syntax, c.transfer_syntaxes) for c in bind.contexts] == [
        (0, EMSMDB, (NDR,)),
        (1, ASYNC, (NDR,)),
        (2, EMSMDB, (ours,)),
    ]
    assert (bind.max_xmit_frag, bind.max_recv_frag, bind.flags) == (5840, 5840, 0x13)
    recorded = wire.Bind.decode(vector("pdu/bind_three_contexts.hex"))
    assert recorded.contexts[2].transfer_syntaxes == (ours,)
    assert association.receive_pdu(bind_ack(ACCEPTED, ACCEPTED, GRANTED)) == [ContextsAccepted()]
    assert [association.context_id(interface) for interface in (EMSMDB, ASYNC)] == [0, 1]
    assert (association.concurrent, association.features, association.group_id) == (True, 3, 74565)
    with pytest.raises(LocalProtocolError, match="f5cc5a18"):
        association.context_id(NSPI)


def test_group_is_joined():
    association = Association()
    association.bind([EMSMDB], group_id=7)
    assert sent(association)[0].assoc_group_id == 7


@pytest.mark.parametrize("call", [Association.bind, Association.alter_context])
def test_nothing_to_ask_for(call):
    association = Association() if call is Association.bind else bound()
    with pytest.raises(LocalProtocolError):
        call(association, [])


def test_features_may_be_unknown():
    association = Association()
    association.bind([EMSMDB])
    association.receive_pdu(bind_ack(ACCEPTED, UNSUPPORTED))
    assert association.features == 0


def test_a_server_that_looks_at_one_context_only(vector):
    """Gromox answers the first context of a bind, and of each alter_context; both PDUs are recorded."""
    association = Association()
    association.bind([EMSMDB, ASYNC, NSPI])
    association.pdus_to_send()
    assert association.receive_pdu(vector("pdu/bind_ack_gromox.hex")) == []
    for interface in (ASYNC, NSPI):
        (alter,) = sent(association)
        (context,) = alter.contexts
        assert context.abstract_syntax == interface
        assert context.context_id == association.context_id(interface)
        answer = wire.AlterContextResponse.decode(vector("pdu/alter_context_response_gromox.hex"))
        pdu = wire.AlterContextResponse(
            alter.call_id, 8192, 8192, 6, b"", answer.results, trailer=answer.trailer
        ).encode()
        events = association.receive_pdu(pdu)
    assert events == [ContextsAccepted()]
    assert (association.state, association.features) == (State.BOUND, 0)


def test_more_interfaces_later():
    association = bound()
    call_id = association.call(0, 6, b"")
    association.alter_context([ASYNC, NSPI])
    association.pdus_to_send()
    assert association.receive_pdu(altered(3, ACCEPTED)) == []
    assert association.receive_pdu(response(call_id)) == [CallReturned(call_id, b"answer")]
    assert association.receive_pdu(altered(4, ACCEPTED)) == [ContextsAccepted()]
    assert [association.context_id(interface) for interface in (EMSMDB, ASYNC, NSPI)] == [0, 2, 3]


def test_bind_nak(vector):
    association = in_state(State.BINDING)
    with pytest.raises(BindRefused, match=r"a4f1db00-.* 0\.81 refused: the authentication type"):
        association.receive_pdu(vector("pdu/bind_nak.hex"))


def test_interface_refused(vector):
    association = in_state(State.BINDING)
    with pytest.raises(BindRefused, match=r"a4f1db00-.* 0\.81 refused: the interface is not supported"):
        association.receive_pdu(vector("pdu/bind_ack_rejected_gromox.hex"))


@pytest.mark.parametrize(
    ("state", "pdu", "error"),
    [
        (State.BINDING, wire.BindNak(1, 77).encode(), BindRefused),
        (State.BINDING, bind_ack(ContextResult(wire.USER_REJECTION, 0)), BindRefused),
        (State.BINDING, bind_ack(ContextResult(0, 0, NDR64)), RemoteProtocolError),
        (State.BINDING, bind_ack(GRANTED, GRANTED), BindRefused),
        (State.BINDING, bind_ack(ACCEPTED, GRANTED, GRANTED), RemoteProtocolError),
        (State.BINDING, bind_ack(ACCEPTED, GRANTED, call_id=2), RemoteProtocolError),
        (State.BINDING, bind_ack(ACCEPTED, GRANTED, max_recv=1431), RemoteProtocolError),
        (State.ALTERING, altered(4, ACCEPTED), RemoteProtocolError),
        (State.ALTERING, altered(3), RemoteProtocolError),
        (State.ALTERING, altered(3, ACCEPTED, ACCEPTED), RemoteProtocolError),
        (State.ALTERING, altered(3, UNSUPPORTED), BindRefused),
        (State.ALTERING, fault(3), BindRefused),
        (State.BOUND, fault(1), RemoteProtocolError),
        (State.BOUND, response(3), RemoteProtocolError),
        (State.BOUND, response(2)[:29], WireError),
        (State.BOUND, response(2, flags=0), RemoteProtocolError),
        (State.BOUND, response(2, flags=wire.LAST_FRAG), RemoteProtocolError),
    ],
)
def test_wrong_answers_close_the_association(state, pdu, error):
    association = in_state(state)
    with pytest.raises(error):
        association.receive_pdu(pdu)
    assert association.state is State.CLOSED


def test_a_call(vector):
    association = bound()
    assert association.call(0, 6, b"") == 2
    assert association.pdus_to_send() == (vector("pdu/request_ec_dummy_rpc.hex"),)
    assert association.pdus_to_send() == ()
    assert association.receive_pdu(vector("pdu/response_ec_dummy_rpc.hex")) == [CallReturned(2, bytes(4))]


@pytest.mark.parametrize(("name", "status"), [("fault", 0x1C010002), ("fault_gromox", None)])
def test_a_fault(vector, name, status):
    pdu = vector(f"pdu/{name}.hex")
    association = bound()
    association._last_call_id = wire.decode(pdu).call_id - 1
    call_id = association.call(0, 99, b"")
    (event,) = association.receive_pdu(pdu)
    assert isinstance(event, CallFaulted)
    assert event.call_id == call_id
    assert event.fault.status == (status or wire.decode(pdu).status)
    assert association.state is State.BOUND


@pytest.mark.parametrize("max_recv", [1432, 4280, 5840, 8192])
@pytest.mark.parametrize("size", [0, 1, 1408, 1409, 5816, 5817, 20_000])
def test_requests_are_cut_to_what_both_take(max_recv, size):
    stub = bytes(index % 251 for index in range(size))
    association = bound(max_recv=max_recv)
    association.call(0, 11, stub)
    pdus = association.pdus_to_send()
    assert all(len(pdu) <= min(max_recv, 5840) for pdu in pdus)
    requests = [wire.Request.decode(pdu) for pdu in pdus]
    assert b"".join(request.stub for request in requests) == stub
    assert {(request.call_id, request.context_id, request.opnum) for request in requests} == {(2, 0, 11)}
    assert all(len(request.stub) % 8 == 0 for request in requests[:-1])
    flags = [0] * len(requests)
    flags[0] |= wire.FIRST_FRAG
    flags[-1] |= wire.LAST_FRAG
    assert [request.flags for request in requests] == flags
    left = size
    for request in requests:
        assert (len(request.stub) if request.alloc_hint is None else request.alloc_hint) == left
        left -= len(request.stub)


def test_answers_are_joined_whatever_order_they_come_in():
    association = bound()
    first, second, third = (association.call(0, 11, b"") for _ in range(3))
    script = [
        (response(second, b"se", wire.FIRST_FRAG), []),
        (response(third, b"third"), [CallReturned(third, b"third")]),
        (response(first, b"fi", wire.FIRST_FRAG), []),
        (response(second, b"co", 0), []),
        (response(first, b"rst", wire.LAST_FRAG), [CallReturned(first, b"first")]),
        (response(second, b"nd", wire.LAST_FRAG), [CallReturned(second, b"second")]),
    ]
    for pdu, events in script:
        assert association.receive_pdu(pdu) == events


def test_a_fault_may_end_an_answer_that_has_begun():
    association = bound()
    call_id = association.call(0, 11, b"")
    association.receive_pdu(response(call_id, b"part", wire.FIRST_FRAG))
    (event,) = association.receive_pdu(fault(call_id))
    assert event.call_id == call_id
    with pytest.raises(RemoteProtocolError):
        association.receive_pdu(response(call_id, b"rest", wire.LAST_FRAG))


def test_an_answer_begins_once():
    association = bound()
    call_id = association.call(0, 11, b"")
    association.receive_pdu(response(call_id, b"part", wire.FIRST_FRAG))
    with pytest.raises(RemoteProtocolError, match="out of order"):
        association.receive_pdu(response(call_id, b"part", wire.FIRST_FRAG))


def test_an_answer_has_a_limit(monkeypatch):
    monkeypatch.setattr(module, "MAX_RESPONSE", 16)
    association = bound()
    call_id = association.call(0, 11, b"")
    association.receive_pdu(response(call_id, bytes(8), wire.FIRST_FRAG))
    association.receive_pdu(response(call_id, bytes(8), 0))
    with pytest.raises(RemoteProtocolError, match="exceeds 16 bytes"):
        association.receive_pdu(response(call_id, b"x", wire.LAST_FRAG))


def test_without_multiplexing_calls_take_turns():
    association = bound(flags=wire.WHOLE)
    first, second, third, fourth = (association.call(0, opnum, b"") for opnum in range(4))
    assert [request.call_id for request in sent(association)] == [first]
    association.receive_pdu(response(first))
    assert [request.call_id for request in sent(association)] == [second]
    association.abandon(third)
    association.receive_pdu(fault(second))
    assert [request.call_id for request in sent(association)] == [fourth]
    fifth = association.call(0, 4, b"")
    association.orphan(fifth)
    assert sent(association) == []
    sixth = association.call(0, 5, b"")
    association.orphan(fourth)
    assert [(pdu.ptype, pdu.call_id) for pdu in sent(association)] == [
        (PduType.ORPHANED, fourth),
        (PduType.REQUEST, sixth),
    ]


def test_cancel(vector):
    recorded = wire.decode(vector("pdu/co_cancel.hex"))
    association = bound()
    association._last_call_id = recorded.call_id - 1
    call_id = association.call(0, 11, b"")
    association.pdus_to_send()
    association.cancel(call_id)
    assert association.pdus_to_send() == (vector("pdu/co_cancel.hex"),)
    assert association.receive_pdu(fault(call_id, 0x1C00000D))[0].fault.status == 0x1C00000D
    with pytest.raises(LocalProtocolError):
        association.cancel(call_id)


def test_orphaned(vector):
    recorded = wire.decode(vector("pdu/orphaned.hex"))
    association = bound()
    association._last_call_id = recorded.call_id - 1
    call_id = association.call(0, 11, b"")
    association.pdus_to_send()
    association.orphan(call_id)
    assert association.pdus_to_send() == (vector("pdu/orphaned.hex"),)


def test_late_answers_to_abandoned_calls_are_dropped():
    association = bound()
    whole, cut, refused = (association.call(0, 11, b"") for _ in range(3))
    for call_id in (whole, cut, refused):
        association.abandon(call_id)
    late = [
        response(cut, b"pa", wire.FIRST_FRAG),
        response(whole),
        response(cut, b"rt", wire.LAST_FRAG),
        fault(refused),
    ]
    for pdu in late:
        assert association.receive_pdu(pdu) == []
    for call_id in (whole, cut, refused):
        with pytest.raises(LocalProtocolError):
            association.abandon(call_id)
    with pytest.raises(RemoteProtocolError):
        association.receive_pdu(response(whole))


def test_shutdown():
    assert bound().receive_pdu(wire.Shutdown(0).encode()) == [ShutdownRequested()]


def test_call_ids_end():
    association = bound()
    association._last_call_id = MAX_CALL_ID - 1
    assert association.call(0, 11, b"") == MAX_CALL_ID
    with pytest.raises(LocalProtocolError):
        association.call(0, 11, b"")


def test_security_wraps_requests_and_unwraps_answers():
    class Reversed(NoSecurity):
        """Not safe, but visible: stubs go backwards, and every PDU has 24 bytes of verifier."""

        overhead = 24

        def wrap(self, request):
            auth = wire.AuthVerifier(10, 6, 0, bytes(16))
            stub = request.stub[::-1]
            return wire.Request(
                request.call_id, request.context_id, request.opnum, stub, request.flags, auth=auth
            ).encode()

        def unwrap(self, pdu):
            message = wire.decode(pdu)
            if not isinstance(message, wire.Response):
                return message
            return wire.Response(message.call_id, 0, message.stub[::-1], message.flags)

    association = Association(Reversed())
    association.bind([EMSMDB])
    association.pdus_to_send()
    association.receive_pdu(bind_ack(ACCEPTED, GRANTED))
    call_id = association.call(0, 11, b"abc")
    assert sent(association)[0].stub == b"cba"
    assert association.receive_pdu(response(call_id, b"cba")) == [CallReturned(call_id, b"abc")]
    association.call(0, 11, bytes(6000))
    assert all(len(pdu) <= 5840 for pdu in association.pdus_to_send())
