"""The referral interface RFR: which server answers NSPI for a user ([MS-OXABREF] 3.1.4).

All decoders raise :class:`~loadgen.errors.WireError`.
"""

from typing import ClassVar, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import RequestStub, Stub

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


class RfrGetNewDSAResponse(Stub, frozen=True, gc=False):
    """The name of the NSPI server, if there was a place for it."""

    server: NamePlace | None
    unused: NamePlace | None = None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        unused = NamePlace.read(reader, "ppszUnused")
        return cls(NamePlace.read(reader, "ppszServer"), unused, reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        NamePlace.write(writer, self.unused)
        NamePlace.write(writer, self.server)
        writer.u32(self.return_value)


class RfrGetNewDSARequest(RequestStub[RfrGetNewDSAResponse], frozen=True, gc=False):
    """Which server answers NSPI for the user with this distinguished name? ([MS-OXABREF] 3.1.4.1)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 0

    user_dn: str
    server: NamePlace | None = NamePlace("")
    unused: NamePlace | None = None
    flags: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        flags, user_dn = reader.u32("ulFlags"), reader.string("pUserDN")
        unused = NamePlace.read(reader, "ppszUnused")
        return cls(user_dn, NamePlace.read(reader, "ppszServer"), unused, flags)

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.flags)
        writer.string(self.user_dn)
        NamePlace.write(writer, self.unused)
        NamePlace.write(writer, self.server)


class RfrGetFQDNFromServerDNResponse(Stub, frozen=True, gc=False):
    """The fully qualified name of the server."""

    server_fqdn: str | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        server_fqdn = reader.string("ppszServerFQDN") if reader.pointer("ppszServerFQDN") else None
        return cls(server_fqdn, reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        _write_name(writer, self.server_fqdn)
        writer.u32(self.return_value)


class RfrGetFQDNFromServerDNRequest(RequestStub[RfrGetFQDNFromServerDNResponse], frozen=True, gc=False):
    """What is this server called in the DNS? ([MS-OXABREF] 3.1.4.2)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1

    server_dn: str
    flags: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        flags, size = reader.u32("ulFlags"), reader.u32("cbMailboxServerDN")
        if not MIN_SERVER_DN <= size <= MAX_SERVER_DN:
            raise WireError("cbMailboxServerDN", 4, f"{size} is not in {MIN_SERVER_DN} to {MAX_SERVER_DN}")
        server_dn = reader.string("szMailboxServerDN")
        if len(server_dn) + 1 != size:
            raise WireError("cbMailboxServerDN", 4, f"{size} for {len(server_dn) + 1} bytes")
        return cls(server_dn, flags)

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.flags)
        writer.u32(len(self.server_dn) + 1)
        writer.string(self.server_dn)
