"""One of each PDU that our builders make, for the judges."""

from loadgen.wire import pdu, rts
from loadgen.wire import rts_recycling as recycling

VC, IN, OUT, SUCCESSOR, GROUP = (bytes([number]) * 16 for number in range(1, 6))
WINDOW, LIFETIME, TIMEOUT_MS, KEEPALIVE_MS = 65536, 1 << 30, 120_000, 300_000
EMSMDB = pdu.SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
MGMT = pdu.SyntaxId.of("afa8bd80-7d8a-11c9-bef4-08002b102989", 1)
STUB = bytes(range(32))
VERIFIER = pdu.AuthVerifier(10, 5, 1, b"\x01" + bytes(15))

RTS_PDUS = (
    rts.conn_a1(VC, OUT, WINDOW),
    rts.conn_a2(VC, OUT, LIFETIME, WINDOW),
    rts.conn_a3(TIMEOUT_MS),
    rts.conn_b1(VC, IN, LIFETIME, KEEPALIVE_MS, GROUP),
    rts.conn_b2(VC, IN, WINDOW, TIMEOUT_MS, GROUP, "127.0.10.1"),
    rts.conn_b2(VC, IN, WINDOW, TIMEOUT_MS, GROUP, "::1"),
    rts.conn_b3(WINDOW),
    rts.conn_c1(WINDOW, TIMEOUT_MS),
    rts.ping(),
    rts.echo(),
    rts.keep_alive(KEEPALIVE_MS),
    rts.ping_traffic_sent(1032),
    rts.flow_control_ack(32914, WINDOW, OUT),
    rts.flow_control_ack_with_destination(rts.OUT_PROXY, 32914, WINDOW, OUT),
    recycling.in_r1_a1(VC, IN, SUCCESSOR),
    recycling.in_r1_a2(VC, IN, SUCCESSOR, WINDOW, TIMEOUT_MS),
    recycling.in_r1_a3(WINDOW, TIMEOUT_MS),
    recycling.in_r1_a5(SUCCESSOR),
    recycling.in_r1_b1(),
    recycling.in_r1_b2(WINDOW),
    recycling.in_r2_a3(),
    recycling.out_r1_a1(),
    recycling.out_r1_a3(VC, OUT, SUCCESSOR, WINDOW),
    recycling.out_r1_a4(VC, OUT, SUCCESSOR, LIFETIME, WINDOW, TIMEOUT_MS),
    recycling.out_r1_a5(TIMEOUT_MS),
    recycling.out_r1_a7(SUCCESSOR),
    recycling.out_r1_a9(),
    recycling.out_r2_a5(),
    recycling.out_r2_a7(SUCCESSOR),
    recycling.out_r2_b2(),
    recycling.out_r2_b3(),
    recycling.out_r2_c1(),
)

_CONTEXTS = (
    pdu.PresentationContext(0, EMSMDB),
    pdu.PresentationContext(1, MGMT, (pdu.NDR, pdu.NDR64)),
    pdu.PresentationContext(2, EMSMDB, (pdu.bind_time_features(pdu.KEEP_CONNECTION_ON_ORPHAN),)),
)
_RESULTS = (
    pdu.ContextResult(pdu.ACCEPTANCE, pdu.REASON_NOT_SPECIFIED, pdu.NDR),
    pdu.ContextResult(pdu.PROVIDER_REJECTION, pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED),
    pdu.ContextResult(pdu.NEGOTIATE_ACK, pdu.KEEP_CONNECTION_ON_ORPHAN),
)
RPC_PDUS: tuple[pdu.Pdu, ...] = (
    pdu.Bind(1, 5840, 5840, 0, _CONTEXTS),
    pdu.Bind(1, 5840, 5840, 7, _CONTEXTS[:1], pdu.WHOLE | pdu.CONC_MPX, VERIFIER),
    pdu.BindAck(1, 5840, 5840, 7, b"6001\0", _RESULTS, pdu.WHOLE | pdu.CONC_MPX),
    pdu.BindAck(1, 5840, 5840, 7, b"6001\0", _RESULTS[:1], auth=VERIFIER),
    pdu.BindNak(1, 2),
    pdu.AlterContext(2, 5840, 5840, 7, _CONTEXTS[:1]),
    pdu.AlterContextResponse(2, 5840, 5840, 7, b"", _RESULTS[:1]),
    pdu.Auth3(1, VERIFIER),
    pdu.Request(3, 0, 10, STUB, pdu.FIRST_FRAG, alloc_hint=64),
    pdu.Request(3, 0, 10, STUB, pdu.LAST_FRAG, alloc_hint=32),
    pdu.Request(4, 0, 10, STUB, object_uuid=VC),
    pdu.Request(4, 0, 10, STUB, auth=VERIFIER),
    pdu.Response(4, 0, STUB),
    pdu.Response(4, 0, STUB, auth=VERIFIER),
    pdu.Fault(4, 0, 0x1C010002, pdu.WHOLE | pdu.DID_NOT_EXECUTE),
    pdu.CoCancel(4),
    pdu.Orphaned(4),
    pdu.Shutdown(0),
)
