"""NspiBind and NspiUnbind ([MS-OXNSPI] 3.1.4.1.1 and 3.1.4.1.2). All decoders raise WireError."""

from typing import ClassVar, Final, Self

import msgspec

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS, UNBIND_SUCCESS
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.pdu import SyntaxId

NO_HANDLE: Final = bytes(20)
"""The context handle that stands for none: what a failed NspiBind and every NspiUnbind return."""


class NspiBindResponse(msgspec.Struct, frozen=True, gc=False):
    """The session's context handle, and the GUID for which its MIds hold."""

    server_guid: bytes | None
    handle: bytes
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(_read_guid(reader), reader.context_handle("contextHandle"), reader.u32("return value"))
        reader.expect_end("NspiBind response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        _write_guid(writer, self.server_guid)
        writer.context_handle(self.handle)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiBindRequest(msgspec.Struct, frozen=True, gc=False):
    """Opens a session; of ``stat`` only code page and locales count."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 0
    response: ClassVar[type[NspiBindResponse]] = NspiBindResponse

    stat: Stat
    flags: int = 0
    server_guid: bytes | None = None

    @staticmethod
    def decode_response(stub: bytes) -> NspiBindResponse:
        """The response stub."""
        return NspiBindResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        flags = reader.u32("dwFlags")
        request = cls(Stat.read(reader), flags, _read_guid(reader))
        reader.expect_end("NspiBind request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.u32(self.flags)
        self.stat.write(writer)
        _write_guid(writer, self.server_guid)
        return writer.getvalue()


class NspiUnbindResponse(msgspec.Struct, frozen=True, gc=False):
    """The handle, which is none any more; ``return_value`` is UNBIND_SUCCESS or UNBIND_FAILURE."""

    handle: bytes = NO_HANDLE
    return_value: int = UNBIND_SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(reader.context_handle("contextHandle"), reader.u32("return value"))
        reader.expect_end("NspiUnbind response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiUnbindRequest(msgspec.Struct, frozen=True, gc=False):
    """Closes the session."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1
    response: ClassVar[type[NspiUnbindResponse]] = NspiUnbindResponse

    handle: bytes
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiUnbindResponse:
        """The response stub."""
        return NspiUnbindResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        request = cls(reader.context_handle("contextHandle"), reader.u32("Reserved"))
        reader.expect_end("NspiUnbind request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        return writer.getvalue()


def _read_guid(reader: NdrReader) -> bytes | None:
    return reader.take(16, "pServerGuid") if reader.pointer("pServerGuid") else None


def _write_guid(writer: NdrWriter, guid: bytes | None) -> None:
    writer.pointer(guid is not None)
    if guid is not None:
        writer.raw(guid)
