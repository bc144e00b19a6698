"""Recorded conversations with a real server, as a trace shows them."""

import os
import shutil
import subprocess
from base64 import b64encode
from itertools import count

import pytest

from loadgen.errors import ProfileError
from loadgen.trace.files import writing
from loadgen.trace.tracer import Tracer
from tests.recorded.capture import CAPTURES, read_parts, read_segments
from tests.trace.recorded_trace import play

NAMES = sorted(path.name.removesuffix(".pcap.gz") for path in CAPTURES.glob("*.pcap.gz"))
WHOLE = [name for name in NAMES if "edges" not in name]
PASSWORD = b"Passw0rd!"

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark here")


def records(name):
    found = []
    tracer = Tracer()
    tracer.listeners.append(lambda tapped, by_client, record: found.append((tapped, by_client, record)))
    play(name, tracer)
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_everything_is_recognised(name):
    """As many heads and PDUs as an independent reader of captures finds."""
    found = [record for _, _, record in records(name) if record.size]
    assert sum(record.size for record in found) == sum(len(each.data) for each in read_segments(name))
    if "httpntlm" not in name:  # which has bodies that are neither
        assert [record.size for record in found] == [len(part.data) for part in read_parts(name)]
    assert not [record for record in found if "malformed" in record.detail or "cannot" in record.detail]
    assert not [record for record in found if "unknown" in record.name or "opnum" in record.detail]


def lines(name, tmp_path):
    tracer, clock = Tracer(), count()
    with writing(tracer, tmp_path / "trace", tmp_path / "pcap", lambda: next(clock) / 1000):
        play(name, tracer)
    return (tmp_path / "trace").read_text().splitlines()


def test_a_conversation_reads_well(tmp_path):
    text = "\n".join(line.split(None, 1)[1] for line in lines("emsmdb-notify-async", tmp_path))
    for expected in (
        "1.IN    > HTTP  RPC_IN_DATA /rpc/rpcproxy.dll?exch.example.test:6001 HTTP/1.1 (312)",
        "Authorization: Basic ***",
        "2.OUT   > RTS   CONN/A1 (76) Version 1, Cookie ",
        "2.OUT   < RTS   CONN/A3 (28) ConnectionTimeout 180000",
        "1.IN    > RPC   bind (72) call 1: EMSMDB 0.81",
        "2.OUT   < RPC   bind_ack (68) call 1: accepted",
        "1.IN    > RPC   request (208) call 2: EMSMDB.EcDoRpcExt2 [RopLogon]",
        "2.OUT   < RPC   response (184) call 1: EMSMDB.EcDoConnectEx returns 0x00000000",
        "AsyncEMSMDB.EcDoAsyncWaitEx",
    ):
        assert expected in text or expected in "\n".join(lines("emsmdb-notify-async", tmp_path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rpc-edges", "fault (32) call 8: a call that was not seen, status 0x1C010003"),
        ("rpc-edges", "bind_ack (64) call 1: refused (result 2, reason 1)"),
        ("emsmdb-basic-rpcntlm-privacy", "EMSMDB.EcDoRpcExt2, NTLM privacy"),
        ("patched-out-recycle", "OUT_R2/B3"),
        ("emsmdb-bulk-flowcontrol", "FlowControlAckWithDestination"),
        ("emsmdb-bulk-flowcontrol", "EMSMDB.EcDoRpcExt2, continued [Rop"),
    ],
)
def test_what_else_goes_by_is_named(name, expected, tmp_path):
    assert any(expected in line for line in lines(name, tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_the_files(name, tmp_path):
    text = "\n".join(lines(name, tmp_path)).encode()
    capture = (tmp_path / "pcap").read_bytes()
    for data in (text, capture):
        assert PASSWORD not in data
        for user in range(40):
            basic = b64encode(b"u%02d@example.test:%s" % (user, PASSWORD))
            assert basic not in data


JUDGED = ("http-edges", "rpc-edges", "emsmdb-httpntlm-negotiate", "nspi-basic-rpcntlm-privacy")


@needs_tshark
@pytest.mark.judge
@pytest.mark.parametrize("name", JUDGED)
def test_wireshark_opens_the_capture_and_names_rts(name, tmp_path):
    lines(name, tmp_path)

    def tshark(display_filter: str) -> list[str]:
        command = ["tshark", "-r", str(tmp_path / "pcap"), "-Y", display_filter]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    malformed = tshark("_ws.malformed && !(dcerpc.cn_rts_commands_nb == 0)")
    assert len(malformed) == (1 if name == "rpc-edges" else 0), "only the garbage that was sent on purpose"
    assert tshark("tcp.analysis.lost_segment || tcp.analysis.retransmission") == []
    folded = tshark("tcp.port == 593 && dcerpc.cn_rts_flags")
    for rts_name in (
        ("CONN/A1", "CONN/B1", "CONN/A3", "CONN/C2") if "http-edges" not in name else ("CONN/A1",)
    ):
        assert any(rts_name in line for line in folded), rts_name


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ProfileError, match="trace: "), writing(Tracer(), tmp_path / "no" / "trace", None):
        pass


def test_files_are_their_owners_alone_even_where_others_were_before(tmp_path):
    text, pcap = tmp_path / "trace", tmp_path / "pcap"
    text.touch(0o644)
    with writing(Tracer(), text, pcap):
        assert {path.stat().st_mode & 0o777 for path in (text, pcap)} == {0o600}


def test_what_is_no_file_keeps_its_mode(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with writing(Tracer(), pipe, None):
        assert pipe.stat().st_mode & 0o777 == 0o644
    os.close(reader)


def test_a_file_of_somebody_else_is_not_written(tmp_path, monkeypatch):
    def refuse(descriptor, mode):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    said = f"trace: {tmp_path}/trace: Operation not permitted"
    with pytest.raises(ProfileError, match=said), writing(Tracer(), tmp_path / "trace", None):
        pass


def test_each_file_may_be_left_out(tmp_path):
    tracer = Tracer()
    with writing(tracer, None, None):
        play("rfr-basic", tracer)
    with writing(tracer, None, tmp_path / "pcap"):
        play("rfr-basic", tracer)
    assert [path.name for path in tmp_path.iterdir()] == ["pcap"]
