"""The two files of a trace: text to read, and a capture for Wireshark."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from loadgen.client.transport.tap import Tapped, What
from loadgen.errors import ProfileError
from loadgen.trace.pcap import FOLDED_PORT, HTTP_PORT, Endpoint, PcapWriter
from loadgen.trace.record import Record
from loadgen.trace.tracer import Tracer

_INDENTATION: Final = " " * 20
Clock = Callable[[], float]


@contextmanager
def writing(tracer: Tracer, text: Path | None, pcap: Path | None, clock: Clock = time.time) -> Iterator[None]:
    """All that ``tracer`` hears goes into these files, which hold mail and names: their owner's alone.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(open(text, "w", encoding="utf-8", opener=_private)) if text else None
            packets = stack.enter_context(open(pcap, "wb", opener=_private)) if pcap else None
        except OSError as error:
            raise ProfileError(f"trace: {error.filename}: {error.strerror}") from None
        if lines is not None:
            tracer.listeners.append(TextTrace(lines, clock).write)
        if packets is not None:
            capture = PcapTrace(packets, clock)
            tracer.byte_listeners.append(capture.write)
            tracer.pdu_listeners.append(capture.write_pdu)
        yield


def _private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read, even if one of its name was there before."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a terminal or /dev/null, which are others' too
        try:
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            os.close(descriptor)
            raise OSError(error.errno, error.strerror, path) from None
    return descriptor


class TextTrace:
    """A line for each record, headers indented below theirs: time, connection, direction, what it is."""

    def __init__(self, file: TextIO, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._began = clock()
        file.write("# seconds  connection  > sent, < received  what  (bytes)  details; secrets are masked\n")

    def write(self, tapped: Tapped, by_client: bool, record: Record) -> None:
        """One record."""
        time_s = self._clock() - self._began
        where = f"{tapped.number}.{tapped.channel}"
        size = f" ({record.size})" if record.size else ""
        detail = f" {record.detail}" if record.detail else ""
        arrow = ">" if by_client else "<"
        self._file.write(f"{time_s:9.3f} {where:<7} {arrow} {record.kind:<5} {record.name}{size}{detail}\n")
        for line in record.lines:
            self._file.write(f"{_INDENTATION}{line}\n")


class PcapTrace:
    """The bytes of each connection as packets; where TLS was spoken, what it protected.

    Wireshark reads only the first PDUs within HTTP. So what both channels of a virtual connection carry
    stands in the file again, together, as if over one TCP connection to port 593 of the proxy.
    """

    def __init__(self, file: BinaryIO, clock: Clock) -> None:
        self._pcap = PcapWriter(file)
        self._clock = clock
        self._ends: dict[int, tuple[Endpoint, Endpoint]] = {}
        self._folded: dict[bytes, tuple[Endpoint, Endpoint]] = {}

    def write(self, tapped: Tapped, what: What, data: bytes) -> None:
        """What happened on one connection."""
        now = self._clock()
        if what == "opened":
            server_port = tapped.remote[1] if tapped.channel == "TCP" else HTTP_PORT
            ends = Endpoint(*tapped.local), Endpoint(tapped.remote[0], server_port)
            self._ends[tapped.number] = ends
            self._pcap.open(now, *ends)
            return
        client, server = self._ends[tapped.number]
        if what == "sent":
            self._pcap.say(now, client, server, data)
        elif what == "received":
            self._pcap.say(now, server, client, data)
        elif what == "ended":
            self._pcap.close(now, server, client)
        else:
            self._pcap.close(now, client, server)

    def write_pdu(self, cookie: bytes, tapped: Tapped, by_client: bool, pdu: bytes) -> None:
        """A PDU of a virtual connection; it goes by the port of the channel that was heard first."""
        now = self._clock()
        if cookie not in self._folded:
            ends = Endpoint(*tapped.local), Endpoint(tapped.remote[0], FOLDED_PORT)
            self._folded[cookie] = ends
            self._pcap.open(now, *ends)
        client, server = self._folded[cookie]
        if by_client:
            self._pcap.say(now, client, server, pdu)
        else:
            self._pcap.say(now, server, client, pdu)
