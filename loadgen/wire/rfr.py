"""The referral interface RFR: which server answers NSPI for a user ([MS-OXABREF] 3.1.4).

All decoders raise :class:`~loadgen.errors.WireError`.
"""

from typing import ClassVar, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId

INTERFACE: Final = SyntaxId.of("1544f5e0-613c-11d1-93df-00c04fd7bd09", 1)

SUCCESS: Final = 0
GENERAL_FAILURE: Final = 0x80004005
LOGON_FAILED: Final = 0x80040111

MIN_SERVER_DN: Final = 10
MAX_SERVER_DN: Final = 1024
"""Bounds of cbMailboxServerDN, which counts the NUL."""


class NamePlace(msgspec.Struct, frozen=True, gc=False):
    """A place where the server may put a name: a pointer that is not null to a pointer that may be."""

    name: str | None = None

    @classmethod
    def read(cls, reader: NdrReader, field: str) -> Self | None:
        """None if there is no place."""
        if not reader.pointer(field):
            return None
        return cls(reader.string(field) if reader.pointer(field) else None)

    @staticmethod
    def write(writer: NdrWriter, place: "NamePlace | None") -> None:
        """Both pointers and the name."""
        writer.pointer(place is not None)
        if place is not None:
            _write_name(writer, place.name)


def _write_name(writer: NdrWriter, name: str | None) -> None:
    writer.pointer(name is not None)
    if name is not None:
        writer.string(name)


class RfrGetNewDSAResponse(msgspec.Struct, frozen=True, gc=False):
    """The name of the NSPI server, if there was a place for it."""

    server: NamePlace | None
    unused: NamePlace | None = None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        unused = NamePlace.read(reader, "ppszUnused")
        response = cls(NamePlace.read(reader, "ppszServer"), unused, reader.u32("return value"))
        reader.expect_end("RfrGetNewDSA response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        NamePlace.write(writer, self.unused)
        NamePlace.write(writer, self.server)
        writer.u32(self.return_value)
        return writer.getvalue()


class RfrGetNewDSARequest(msgspec.Struct, frozen=True, gc=False):
    """Which server answers NSPI for the user with this distinguished name? ([MS-OXABREF] 3.1.4.1)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 0
    response: ClassVar[type[RfrGetNewDSAResponse]] = RfrGetNewDSAResponse

    user_dn: str
    server: NamePlace | None = NamePlace("")
    unused: NamePlace | None = None
    flags: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> RfrGetNewDSAResponse:
        """The response stub."""
        return RfrGetNewDSAResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        flags, user_dn = reader.u32("ulFlags"), reader.string("pUserDN")
        unused = NamePlace.read(reader, "ppszUnused")
        request = cls(user_dn, NamePlace.read(reader, "ppszServer"), unused, flags)
        reader.expect_end("RfrGetNewDSA request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.u32(self.flags)
        writer.string(self.user_dn)
        NamePlace.write(writer, self.unused)
        NamePlace.write(writer, self.server)
        return writer.getvalue()


class RfrGetFQDNFromServerDNResponse(msgspec.Struct, frozen=True, gc=False):
    """The fully qualified name of the server."""

    server_fqdn: str | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        server_fqdn = reader.string("ppszServerFQDN") if reader.pointer("ppszServerFQDN") else None
        response = cls(server_fqdn, reader.u32("return value"))
        reader.expect_end("RfrGetFQDNFromServerDN response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        _write_name(writer, self.server_fqdn)
        writer.u32(self.return_value)
        return writer.getvalue()


class RfrGetFQDNFromServerDNRequest(msgspec.Struct, frozen=True, gc=False):
    """What is this server called in the DNS? ([MS-OXABREF] 3.1.4.2)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1
    response: ClassVar[type[RfrGetFQDNFromServerDNResponse]] = RfrGetFQDNFromServerDNResponse

    server_dn: str
    flags: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> RfrGetFQDNFromServerDNResponse:
        """The response stub."""
        return RfrGetFQDNFromServerDNResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        flags, size = reader.u32("ulFlags"), reader.u32("cbMailboxServerDN")
        if not MIN_SERVER_DN <= size <= MAX_SERVER_DN:
            raise WireError("cbMailboxServerDN", 4, f"{size} is not in {MIN_SERVER_DN} to {MAX_SERVER_DN}")
        request = cls(reader.string("szMailboxServerDN"), flags)
        if len(request.server_dn) + 1 != size:
            raise WireError("cbMailboxServerDN", 4, f"{size} for {len(request.server_dn) + 1} bytes")
        reader.expect_end("RfrGetFQDNFromServerDN request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.u32(self.flags)
        writer.u32(len(self.server_dn) + 1)
        writer.string(self.server_dn)
        return writer.getvalue()
