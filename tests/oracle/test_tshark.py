"""What tshark says to our PDUs and to recorded conversations, and whether it notices what is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.wire import pdu, rts
from loadgen.wire.rts import RtsPdu
from tests.oracle import built, samba
from tests.oracle.fold import CapturedPdu, Conversation, fold, read_capture, write_capture
from tests.oracle.tshark import descriptions, judge, judge_capture, needs_tshark

pytestmark = [pytest.mark.judge, needs_tshark]

CAPTURES = Path(__file__).parent.parent / "vectors" / "captures"
RECORDED = {"rfr-basic": 10, "nspi-basic": 23, "emsmdb-basic": 52}
NAMES_OF_NO_COMMANDS = {("Ping",), ("Echo",)}  # tshark 4.0 stops at the command that is not there


def conversation(*pdus: tuple[bool, bytes]) -> Conversation:
    """PDUs, each with whether the client sent it, behind the opening of a virtual connection and a bind."""
    opening = [
        (True, rts.conn_a1(built.VC, built.OUT, built.WINDOW).encode()),
        (True, rts.conn_b1(built.VC, built.IN, 1 << 30, 300_000, built.GROUP).encode()),
        (False, rts.conn_a3(120_000).encode()),
        (False, rts.conn_c2(65536, 120_000).encode()),
        (True, pdu.Bind(1, 5840, 5840, 0, (pdu.PresentationContext(0, built.MGMT),)).encode()),
        (False, pdu.BindAck(1, 5840, 5840, 7, b"6001\0", (pdu.ContextResult(0, 0, pdu.NDR),)).encode()),
    ]
    frames = enumerate((*opening, *pdus))
    captured = [CapturedPdu(frame, float(frame), from_client, data) for frame, (from_client, data) in frames]
    return Conversation("http", built.VC, captured)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_conversations_are_folded_and_free_of_complaints(name: str) -> None:
    capture = CAPTURES / f"{name}.pcap.gz"
    (folded,) = fold(read_capture(capture, ports=[8880]))
    assert (folded.hop, len(folded.streams), len(folded.pdus)) == ("http", 2, RECORDED[name])
    assert judge_capture(capture, ports=[8880]) == []


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pdus_are_encoded_as_they_were_decoded(name: str) -> None:
    (folded,) = fold(read_capture(CAPTURES / f"{name}.pcap.gz"))
    for captured in folded.pdus:
        wire = captured.data
        value = RtsPdu.decode(wire) if pdu.pdu_type(wire) == pdu.PduType.RTS else pdu.decode(wire)
        assert value.encode() == wire


@samba.needs_samba
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pdus_please_samba_too(name: str) -> None:
    (folded,) = fold(read_capture(CAPTURES / f"{name}.pcap.gz"))
    assert samba.complaints(captured.data for captured in folded.pdus) == []


def test_a_folded_capture_folds_to_itself(tmp_path: Path) -> None:
    folded = fold(read_capture(CAPTURES / "nspi-basic.pcap.gz"))
    write_capture(tmp_path / "folded.pcap", [*folded, conversation()])
    again = fold(read_capture(tmp_path / "folded.pcap"))
    assert [[pdu.data for pdu in one.pdus] for one in again] == [
        [pdu.data for pdu in one.pdus] for one in (*folded, conversation())
    ]


def test_tshark_names_every_rts_pdu_as_we_do() -> None:
    captured = [CapturedPdu(0, 0.0, True, value.encode()) for value in built.RTS_PDUS]
    found = descriptions(Conversation("all", built.VC, captured))
    for value, description in zip(built.RTS_PDUS, found, strict=True):
        theirs = set(description.split(","))
        if value.names in NAMES_OF_NO_COMMANDS:
            assert description.startswith("RPC-over-HTTP RTS")
        elif value.names == ("OUT_R2/B2",):  # its table has ANCE under that name, and no NegativeANCE
            assert theirs == {"unknown RTS PDU"}
        else:
            assert theirs - {"OUT_R2/B2"} == set(value.names) - ({"OUT_R2/A8"} - theirs)


def test_pdus_that_we_build_are_free_of_complaints() -> None:
    rts_pdus = [(True, value.encode()) for value in built.RTS_PDUS]
    call = [
        (True, pdu.Request(3, 0, 2, b"").encode()),
        (True, pdu.CoCancel(3).encode()),
        (False, pdu.Response(3, 0, bytes(8)).encode()),
        (True, pdu.Request(4, 0, 9, b"").encode()),
        (False, pdu.Fault(4, 0, 0x1C010002).encode()),
    ]
    assert judge([conversation(*rts_pdus, *call)]) == []


LISTENING = pdu.Request(3, 0, 2, b"").encode()
B3 = rts.conn_b3(65536).encode()


@pytest.mark.parametrize(
    ("pdus", "complaint"),
    [
        ([(True, LISTENING)], "request without response"),
        ([(True, LISTENING), (False, pdu.Response(4, 0, bytes(8)).encode())], "request without response"),
        ([(True, B3[:18] + b"\x03" + B3[19:])], "Malformed"),
        ([(True, B3[:28] + b"\x0f" + B3[29:])], "unknown RTS command"),
        ([(True, B3[:16] + b"\x01" + B3[17:])], "unknown RTS PDU"),
        ([(True, B3[:20] + B3[28:] + B3[20:28])], "unknown RTS PDU"),
    ],
)
def test_tshark_does_complain(pdus: list[tuple[bool, bytes]], complaint: str) -> None:
    (found,) = judge([conversation(*pdus)])
    assert found.startswith(f"http {built.VC.hex()} frame ")
    assert complaint in found


@pytest.mark.parametrize(
    ("cut", "added", "complaint"), [(None, b"\xff" * 3, "Long frame"), (-8, b"", "Malformed")]
)
def test_tshark_complains_about_stubs(cut: int | None, added: bytes, complaint: str) -> None:
    (folded,) = fold(read_capture(CAPTURES / "rfr-basic.pcap.gz"))
    last = folded.pdus[-1]
    response = pdu.Response.decode(last.data)
    damaged = pdu.Response(response.call_id, response.context_id, response.stub[:cut] + added)
    folded.pdus[-1] = replace(last, data=damaged.encode())
    (found,) = judge([folded])
    assert complaint in found


def test_a_capture_that_ends_early_may_lack_responses() -> None:
    assert judge([conversation((True, LISTENING))], finished=False) == []


def test_a_wait_for_news_may_be_without_response() -> None:
    async_emsmdb = pdu.SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
    alter = pdu.AlterContext(2, 5840, 5840, 7, (pdu.PresentationContext(1, async_emsmdb),))
    result = pdu.AlterContextResponse(2, 5840, 5840, 7, b"", (pdu.ContextResult(0, 0, pdu.NDR),))
    wait = pdu.Request(3, 1, 0, bytes(24))
    pdus = [(True, alter.encode()), (False, result.encode()), (True, wait.encode())]
    assert judge([conversation(*pdus)]) == []


def test_bytes_that_are_no_pdus_are_complaints(tmp_path: Path) -> None:
    broken = conversation((True, b"\x04" + LISTENING[1:]))
    (complaint,) = judge([broken])
    assert "not a PDU" in complaint
    write_capture(tmp_path / "broken.pcap", [broken])
    (complaint,) = judge_capture(tmp_path / "broken.pcap")
    assert "begins no PDU" in complaint


def test_a_capture_without_virtual_connections_is_a_complaint() -> None:
    capture = CAPTURES / "rfr-basic.pcap.gz"
    assert judge_capture(capture, ports=[1]) == ["there is no virtual connection in the capture"]
