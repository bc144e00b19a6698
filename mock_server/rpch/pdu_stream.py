"""A byte stream cut into PDUs, which follow each other without delimiter or padding ([MS-RPCH] 2.1.2)."""

from loadgen.errors import WireError
from loadgen.wire.http import BANNER
from loadgen.wire.pdu import HEADER_SIZE, frag_length


class PduStream:
    """Bytes in at any cut, whole PDUs out.

    With ``banner`` the stream may begin with the banner of an RPC server, which is dropped.
    """

    __slots__ = ("_banner", "_rest")

    def __init__(self, *, banner: bool = False) -> None:
        self._rest = b""
        self._banner = banner

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs that ``data`` completes; raises :class:`WireError` for a bad header."""
        if self._rest:
            data = self._rest + data
        offset = self._skip_banner(data) if self._banner else 0
        pdus = []
        while len(data) - offset >= HEADER_SIZE:
            end = offset + frag_length(data, offset)
            if end > len(data):
                break
            pdus.append(data[offset:end])
            offset = end
        self._rest = data[offset:]
        return pdus

    def _skip_banner(self, data: bytes) -> int:
        if len(data) < len(BANNER) and BANNER.startswith(data):
            return 0
        self._banner = False
        if not data.startswith(BANNER[:1]):
            return 0
        if not data.startswith(BANNER):
            raise WireError("banner", 0, f"{data[: len(BANNER)]!r} is neither a PDU nor the banner")
        return len(BANNER)
