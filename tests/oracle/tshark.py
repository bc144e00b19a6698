"""Wireshark's dissector as judge of our bytes: what it finds wrong in a capture of virtual connections.

    complaints = judge_capture(path, ports=(cas_port, 6001, 6002, 6004))
    assert complaints == []

The capture may hold both hops at once: HTTP (plain or chunked) between client and proxy, and the bare TCP
legs between proxy and server; each virtual connection is judged once per hop. It must have been started
before the first connection was opened (``dumpcap -q -i lo -f '…' -w run.pcapng``).
"""

import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.oracle.fold import FOLDED_PORT, Conversation, FoldError, fold, read_capture, write_capture

needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="no tshark here: apt-get install tshark"
)

_FIELDS = (
    "tcp.stream",
    "frame.number",
    "_ws.col.Info",
    "dcerpc.pkt_type",
    "dcerpc.opnum",
    "dcerpc.auth_level",
    "dcerpc.cn_alloc_hint",
    "dcerpc.response_in",
    "dcerpc.cn_rts_commands_nb",
    "dcerpc.cn_rts_command",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
)
_SUSPECT = (
    "_ws.malformed",
    '_ws.expert.severity == "Error"',
    '_ws.expert.message contains "Long frame"',
    "dcerpc.cn_rts_command.unknown",
    "(tcp.len > 0 && !dcerpc)",
    "(dcerpc.pkt_type == 0 && !dcerpc.response_in)",
    "dcerpc.pkt_type == 20",
)
_ERROR = "8388608"
_REQUEST, _RTS = "0", "20"
_NEGATIVE_ANCE = "0x00000009"
_NSPI_WITHOUT_DISSECTION = frozenset({2, 4, 6, 8, 10, 11, 12, *range(13, 21)})


@dataclass(frozen=True)
class _Row:
    """What tshark says about one frame."""

    stream: str
    frame: str
    info: str
    pdu_type: str
    opnum: str
    auth_level: str
    alloc_hint: str
    response_in: str
    rts_commands_nb: str
    rts_command: str
    malformed: str
    severity: str
    message: str

    def complaint(self, *, finished: bool) -> str | None:
        """What is wrong with this frame, unless it is the dissector that is."""
        if self.pdu_type == _RTS:
            return self._rts_complaint()
        if "Long frame" in self.message:
            unknown = self.info.startswith("Nspi") and int(self.opnum) in _NSPI_WITHOUT_DISSECTION
            return None if unknown else self.message
        if self._seals_nothing:
            return None
        if self.malformed or _ERROR in self.severity.split(","):
            return self.message or "malformed"
        if not self.pdu_type:
            return "not a PDU"
        if self.pdu_type == _REQUEST and not self.response_in and finished and not self._waits_for_news:
            return "request without response"
        return None

    def _rts_complaint(self) -> str | None:
        if self.rts_commands_nb == "0":  # tshark 4.0 calls every Ping and Echo malformed
            return None if self.message == "Malformed Packet (Exception occurred)" else self.message
        if (
            "unknown RTS PDU" in self.info and self.rts_command == _NEGATIVE_ANCE
        ):  # OUT_R2/B2, a gap in its table
            return None
        if self.malformed or self.message or "unknown RTS PDU" in self.info:
            return self.message or "unknown RTS PDU"
        return None

    @property
    def _seals_nothing(self) -> bool:
        """Whether it is a call without a stub at level privacy, which tshark 4.0 cannot unseal."""
        return (self.pdu_type, self.auth_level, self.alloc_hint) == (_REQUEST, "6", "0")

    @property
    def _waits_for_news(self) -> bool:
        """Whether it is an EcDoAsyncWaitEx, which nobody answers when the connection is closed."""
        return "async MAPI" in self.info and self.opnum == "0"


def judge_capture(capture: Path, ports: Collection[int] = (), *, finished: bool = True) -> list[str]:
    """What tshark has against the virtual connections in ``capture`` (pcap or pcapng); nothing is well.

    ``ports``: look only at TCP connections from or to these (the proxies' and the servers' ports); all if
    empty. ``finished=False``: connections may be cut or still be open, so requests may be without response.

    A complaint says hop, cookie, frame of the folded capture, and what is wrong. A capture without any
    virtual connection, one that lacks segments, and bytes that are no PDU are complaints too.
    """
    try:
        conversations = fold(read_capture(capture, ports))
    except FoldError as error:
        return [str(error)]
    return judge(conversations, finished=finished)


def judge(conversations: Iterable[Conversation], *, finished: bool = True, password: str = "") -> list[str]:
    """The complaints about conversations that are folded already; see :func:`judge_capture`.

    With ``password`` sealed calls are opened, and what is in them is judged as well.
    """
    judged = list(conversations)
    if not judged:
        return ["there is no virtual connection in the capture"]
    complaints = []
    for row in _rows(judged, " || ".join(_SUSPECT), password):
        complaint = row.complaint(finished=finished)
        if complaint is not None:
            conversation = judged[int(row.stream)]
            where = f"{conversation.hop} {conversation.cookie.hex()} frame {row.frame}"
            complaints.append(f"{where}: {complaint} ({row.info.strip(' ,')})")
    return complaints


def descriptions(conversation: Conversation) -> list[str]:
    """What tshark calls each PDU of a conversation."""
    return [row.info.strip(" ,") for row in _rows([conversation], "tcp.len > 0")]


def proven_logons(conversations: Iterable[Conversation], password: str) -> int:
    """How many NTLM logons the password proves, by Wireshark's own computation."""
    wanted = '_ws.expert.message contains "NTLMv2 authenticated"'
    return len(_rows(list(conversations), wanted, password))


def _rows(conversations: list[Conversation], display_filter: str, password: str = "") -> list[_Row]:
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder, "folded.pcap")
        write_capture(folded, conversations)
        command = [
            "tshark",
            "-2",
            "-r",
            str(folded),
            "-d",
            f"tcp.port=={FOLDED_PORT},dcerpc",
            "-Y",
            display_filter,
        ]
        if password:
            command += ["-o", f"ntlmssp.nt_password:{password}"]
        command += ["-T", "fields", *(word for name in _FIELDS for word in ("-e", name))]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [_Row(*line.split("\t")) for line in output.splitlines()]
