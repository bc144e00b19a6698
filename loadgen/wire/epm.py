"""The endpoint mapper: which port serves an interface ([C706] appendices L and O, [MS-RPCE] 2.2.1.2).

A server's interfaces are described by protocol towers. All decoders raise
:class:`~loadgen.errors.WireError`.
"""

from ipaddress import IPv4Address
from struct import Struct
from typing import ClassVar, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import NDR, SyntaxId
from loadgen.wire.rpc import FixedStub, RequestStub, Stub

INTERFACE: Final = SyntaxId.of("e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3)
PORT: Final = 135
"""Where endpoint mappers listen over TCP ([MS-RPCE] 2.1.1.1)."""

NOT_REGISTERED: Final = 0x16C9A0D6
"""There are no elements that satisfy the search ([C706] appendix E, ept_s_not_registered)."""

ALL_ELEMENTS: Final = 0
MATCH_BY_INTERFACE: Final = 1
MATCH_BY_OBJECT: Final = 2
MATCH_BY_BOTH: Final = 3
"""What :class:`EptLookupRequest` inquires after ([C706] appendix O, inquiry_type)."""

NO_HANDLE: Final = bytes(20)

_UUID_FLOOR: Final = 0x0D
_CONNECTION_ORIENTED: Final = b"\x0b"
_TCP: Final = b"\x07"
_IP: Final = b"\x09"
_INTERFACE_FLOOR = Struct("<B16sH")
_MINOR_VERSION = Struct("<H")
_TCP_PORT = Struct(">H")
_SYNTAX = Struct("<16sI")
_ENTRY_TEXT = Struct("<II")
_LONGEST_ANNOTATION: Final = 64
_FIRST_REFERENT: Final = 1
_FIRST_ANSWERED: Final = 3
"""Full pointers are counted from 1, and on from a request's two in its answer, as Windows and Samba do."""
_MOST_FLOORS: Final = 64


class Floor(msgspec.Struct, frozen=True, gc=False):
    """One floor of a tower: the left side says which protocol, the right side where in it."""

    protocol: bytes
    address: bytes

    @classmethod
    def of_interface(cls, syntax: SyntaxId) -> Self:
        """The floor of an interface or of a transfer syntax."""
        major, minor = syntax.version & 0xFFFF, syntax.version >> 16
        return cls(_INTERFACE_FLOOR.pack(_UUID_FLOOR, syntax.uuid, major), _MINOR_VERSION.pack(minor))

    @property
    def interface(self) -> SyntaxId | None:
        """The interface of a floor of that kind."""
        sizes = len(self.protocol), len(self.address)
        if sizes != (_INTERFACE_FLOOR.size, _MINOR_VERSION.size) or self.protocol[0] != _UUID_FLOOR:
            return None
        _, uuid, major = _INTERFACE_FLOOR.unpack(self.protocol)
        return SyntaxId(uuid, major | _MINOR_VERSION.unpack(self.address)[0] << 16)


class Tower(msgspec.Struct, frozen=True, gc=False):
    """How an interface is reached, from the interface down to the network."""

    floors: tuple[Floor, ...]

    @classmethod
    def of_tcp(cls, interface: SyntaxId, port: int = 0, address: str = "0.0.0.0") -> Self:  # noqa: S104 - any
        """An interface over ncacn_ip_tcp; zeros where it is asked for."""
        return cls(
            (
                Floor.of_interface(interface),
                Floor.of_interface(NDR),
                Floor(_CONNECTION_ORIENTED, bytes(2)),
                Floor(_TCP, _TCP_PORT.pack(port)),
                Floor(_IP, IPv4Address(address).packed),
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """The floors of a whole tower, which is little-endian whatever its carrier is."""
        reader = Reader(octets)
        count = reader.u16("floor count")
        if count > _MOST_FLOORS:
            raise WireError("floor count", 0, f"{count} floors")
        floors = tuple(
            Floor(
                reader.take(reader.u16("protocol length"), "protocol"),
                reader.take(reader.u16("address length"), "address"),
            )
            for _ in range(count)
        )
        reader.expect_end("tower")
        return cls(floors)

    def encode(self) -> bytes:
        """The tower octet string."""
        writer = Writer()
        writer.u16(len(self.floors))
        for floor in self.floors:
            for side in (floor.protocol, floor.address):
                writer.u16(len(side))
                writer.raw(side)
        return writer.getvalue()

    @property
    def interface(self) -> SyntaxId | None:
        """What is reached; None if the topmost floor is no interface."""
        return self.floors[0].interface if self.floors else None

    @property
    def tcp_endpoint(self) -> tuple[str, int] | None:
        """IP address and port over ncacn_ip_tcp; None if it is reached in another way."""
        match self.floors:
            case (
                _,
                _,
                Floor(protocol=protocol),
                Floor(protocol=b"\x07", address=port),
                Floor(protocol=b"\x09", address=address),
            ) if protocol == _CONNECTION_ORIENTED and (len(port), len(address)) == (2, 4):
                return str(IPv4Address(address)), _TCP_PORT.unpack(port)[0]
            case _:
                return None


class EptMapResponse(Stub, frozen=True, gc=False):
    """The towers that match, of at most ``max_towers``; ``entry_handle`` asks for those that are left."""

    towers: tuple[Tower, ...]
    max_towers: int
    status: int = 0
    entry_handle: bytes = NO_HANDLE

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle = reader.context_handle("entry_handle")
        maximum, count = _read_counts(reader, "ITowers")
        present = [reader.pointer("ITowers") for _ in range(count)]
        towers = tuple(_read_tower(reader) for there in present if there)
        return cls(towers, maximum, reader.u32("status"), handle)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.entry_handle)
        _write_counts(writer, len(self.towers), self.max_towers)
        for referent, _ in enumerate(self.towers, _FIRST_ANSWERED):
            writer.u32(referent)
        for tower in self.towers:
            _write_tower(writer, tower)
        writer.u32(self.status)


class EptMapRequest(RequestStub[EptMapResponse], frozen=True, gc=False):
    """Where is this interface, over these protocols? (ept_map); a null tower is one with no floor."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 3

    tower: Tower
    max_towers: int = 1
    object_uuid: bytes | None = None
    entry_handle: bytes = NO_HANDLE

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        object_uuid = _read_uuid(reader)
        tower = _read_tower(reader) if reader.pointer("map_tower") else Tower(())
        handle = reader.context_handle("entry_handle")
        return cls(tower, reader.u32("max_towers"), object_uuid, handle)

    def _write(self, writer: NdrWriter) -> None:
        referent = _write_uuid(writer, self.object_uuid)
        writer.u32(referent if self.tower.floors else 0)
        if self.tower.floors:
            _write_tower(writer, self.tower)
        writer.context_handle(self.entry_handle)
        writer.u32(self.max_towers)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What a server has registered: a tower, for an object or for none (zeros), and what it says of it."""

    tower: Tower
    annotation: str = ""
    object_uuid: bytes = bytes(16)


class EptLookupResponse(Stub, frozen=True, gc=False):
    """Registered entries, of at most ``max_entries``; a handle that is not zero means there are more."""

    entries: tuple[Entry, ...]
    max_entries: int
    status: int = 0
    entry_handle: bytes = NO_HANDLE

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle = reader.context_handle("entry_handle")
        maximum, count = _read_counts(reader, "entries")
        heads = [_read_entry_head(reader) for _ in range(count)]
        entries = tuple(
            Entry(_read_tower(reader) if there else Tower(()), annotation, object_uuid)
            for object_uuid, there, annotation in heads
        )
        return cls(entries, maximum, reader.u32("status"), handle)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.entry_handle)
        _write_counts(writer, len(self.entries), self.max_entries)
        for referent, entry in enumerate(self.entries, _FIRST_REFERENT):
            annotation = entry.annotation.encode("latin-1") + b"\0"
            writer.align(4)
            writer.raw(entry.object_uuid)
            writer.u32(referent if entry.tower.floors else 0)
            writer.pack(_ENTRY_TEXT, 0, len(annotation))
            writer.raw(annotation)
        for entry in self.entries:
            if entry.tower.floors:
                _write_tower(writer, entry.tower)
        writer.u32(self.status)


class EptLookupRequest(RequestStub[EptLookupResponse], frozen=True, gc=False):
    """What is registered? (ept_lookup); ``inquiry`` is one of ALL_ELEMENTS to MATCH_BY_BOTH."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 2

    inquiry: int = ALL_ELEMENTS
    object_uuid: bytes | None = None
    syntax: SyntaxId | None = None
    version_option: int = 1
    entry_handle: bytes = NO_HANDLE
    max_entries: int = 500

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        inquiry, object_uuid = reader.u32("inquiry_type"), _read_uuid(reader)
        syntax = SyntaxId(*reader.unpack(_SYNTAX, "interface_id")) if reader.pointer("interface_id") else None
        option, handle = reader.u32("vers_option"), reader.context_handle("entry_handle")
        return cls(inquiry, object_uuid, syntax, option, handle, reader.u32("max_ents"))

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.inquiry)
        referent = _write_uuid(writer, self.object_uuid)
        writer.u32(referent if self.syntax is not None else 0)
        if self.syntax is not None:
            writer.pack(_SYNTAX, self.syntax.uuid, self.syntax.version)
        writer.u32(self.version_option)
        writer.context_handle(self.entry_handle)
        writer.u32(self.max_entries)


class EptLookupHandleFreeResponse(FixedStub, frozen=True, gc=False):
    """The handle, now zero."""

    layout: ClassVar[Struct] = Struct("<20sI")

    entry_handle: bytes = NO_HANDLE
    status: int = 0


class EptLookupHandleFreeRequest(FixedStub, RequestStub[EptLookupHandleFreeResponse], frozen=True, gc=False):
    """No more entries are wanted (ept_lookup_handle_free)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 4
    layout: ClassVar[Struct] = Struct("<20s")

    entry_handle: bytes = NO_HANDLE


def _read_counts(reader: NdrReader, field: str) -> tuple[int, int]:
    """The maximum and the actual count of an array, the latter said twice."""
    said, maximum, offset, count = (reader.u32(field) for _ in range(4))
    if offset or said != count or count > maximum:
        raise WireError(field, reader.offset, f"{said}: offset {offset}, {count} of at most {maximum}")
    return maximum, count


def _write_counts(writer: NdrWriter, count: int, maximum: int) -> None:
    for number in (count, maximum, 0, count):
        writer.u32(number)


def _read_tower(reader: NdrReader) -> Tower:
    maximum, length = reader.u32("tower max_count"), reader.u32("tower_length")
    if maximum != length:
        raise WireError("tower", reader.offset, f"{length} bytes in an array of {maximum}")
    return Tower.decode(reader.take(length, "tower_octet_string"))


def _write_tower(writer: NdrWriter, tower: Tower) -> None:
    octets = tower.encode()
    writer.u32(len(octets))
    writer.u32(len(octets))
    writer.raw(octets)


def _read_uuid(reader: NdrReader) -> bytes | None:
    return reader.take(16, "object") if reader.pointer("object") else None


def _write_uuid(writer: NdrWriter, uuid: bytes | None) -> int:
    """Writes a pointer that may be null; the referent id of the next one."""
    if uuid is None:
        writer.u32(0)
        return _FIRST_REFERENT
    writer.u32(_FIRST_REFERENT)
    writer.raw(uuid)
    return _FIRST_REFERENT + 1


def _read_entry_head(reader: NdrReader) -> tuple[bytes, bool, str]:
    """What of an entry stands in the array: its object, whether a tower follows, and the annotation."""
    reader.align(4)
    object_uuid = reader.take(16, "object")
    there = reader.pointer("tower")
    offset, size = reader.unpack(_ENTRY_TEXT, "annotation")
    if offset or not 0 < size <= _LONGEST_ANNOTATION:
        raise WireError("annotation", reader.offset, f"offset {offset}, {size} bytes")
    text, nul, behind = reader.take(size, "annotation").decode("latin-1").partition("\0")
    if behind or not nul:
        raise WireError("annotation", reader.offset, "does not end with its only NUL")
    return object_uuid, there, text
