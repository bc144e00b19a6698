"""NspiBind and NspiUnbind ([MS-OXNSPI] 3.1.4.1.1 and 3.1.4.1.2). All decoders raise WireError."""

from struct import Struct
from typing import ClassVar, Final, Self

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS, UNBIND_SUCCESS
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import FixedStub, RequestStub, Stub

NO_HANDLE: Final = bytes(20)
"""The context handle that stands for none: what a failed NspiBind and every NspiUnbind return."""


class NspiBindResponse(Stub, frozen=True, gc=False):
    """The session's context handle, and the GUID for which its MIds hold."""

    server_guid: bytes | None
    handle: bytes
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(_read_guid(reader), reader.context_handle("contextHandle"), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        _write_guid(writer, self.server_guid)
        writer.context_handle(self.handle)
        writer.u32(self.return_value)


class NspiBindRequest(RequestStub[NspiBindResponse], frozen=True, gc=False):
    """Opens a session; of ``stat`` only code page and locales count."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 0

    stat: Stat
    flags: int = 0
    server_guid: bytes | None = None

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        flags = reader.u32("dwFlags")
        return cls(Stat.read(reader), flags, _read_guid(reader))

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.flags)
        self.stat.write(writer)
        _write_guid(writer, self.server_guid)


class NspiUnbindResponse(FixedStub, frozen=True, gc=False):
    """The handle, which is none any more; ``return_value`` is UNBIND_SUCCESS or UNBIND_FAILURE."""

    layout: ClassVar[Struct] = Struct("<20sI")

    handle: bytes = NO_HANDLE
    return_value: int = UNBIND_SUCCESS


class NspiUnbindRequest(FixedStub, RequestStub[NspiUnbindResponse], frozen=True, gc=False):
    """Closes the session."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1
    layout: ClassVar[Struct] = Struct("<20sI")

    handle: bytes
    reserved: int = 0


def _read_guid(reader: NdrReader) -> bytes | None:
    return reader.take(16, "pServerGuid") if reader.pointer("pServerGuid") else None


def _write_guid(writer: NdrWriter, guid: bytes | None) -> None:
    writer.pointer(guid is not None)
    if guid is not None:
        writer.raw(guid)
