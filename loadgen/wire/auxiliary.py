"""Auxiliary blocks ([MS-OXCRPC] 2.2.2.2): how a client saw its calls, and what a server tells of itself.

They are the payload of the extended buffers rgbAuxIn and rgbAuxOut. Each starts with AUX_HEADER: size of the
whole block, version, type. Offsets in a block count from its header. All times are milliseconds.
"""

from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

CLASSIC_ONLINE: Final = 1
CACHED: Final = 2
"""ClientMode of AUX_PERF_CLIENTINFO."""

ENABLE_PERF_SEND_TO_SERVER: Final = 0x01
ENABLE_COMPRESSION: Final = 0x04
ENABLE_HTTP_TUNNELING: Final = 0x08
ENABLE_PERF_SEND_GC_DATA: Final = 0x10
"""EnableFlags of AUX_CLIENT_CONTROL."""

PUBLIC_FOLDERS_ENABLED: Final = 0x01
"""OrgFlags of AUX_EXORGINFO."""

_HEADER = Struct("<HBB")


class FixedBlock(msgspec.Struct, frozen=True, gc=False):
    """A block whose body has one size."""

    version: ClassVar[int] = 1
    block_type: ClassVar[int]
    layout: ClassVar[Struct]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """From what follows the header; raises :class:`WireError`."""
        reader = Reader(body)
        block = cls(*reader.unpack(cls.layout, cls.__name__))
        reader.expect_end(cls.__name__)
        return block

    def encode(self) -> bytes:
        """What follows the header."""
        return self.layout.pack(*msgspec.structs.astuple(self))


class PerfRequestId(FixedBlock, frozen=True, gc=False):
    """AUX_PERF_REQUESTID: numbers the call for later reports (2.2.2.2.1)."""

    block_type = 0x01
    layout = Struct("<HH")

    session_id: int
    request_id: int


class PerfSessionInfoV2(FixedBlock, frozen=True, gc=False):
    """AUX_PERF_SESSIONINFO_V2: names the session (2.2.2.2.3)."""

    version = 2
    block_type = 0x04
    layout = Struct("<H2x16sI")

    session_id: int
    session_guid: bytes
    connection_id: int


class PerfDefMdbSuccess(FixedBlock, frozen=True, gc=False):
    """AUX_PERF_DEFMDB_SUCCESS: how long a call to the default store took (2.2.2.2.7)."""

    block_type = 0x05
    layout = Struct("<IIH2x")

    time_since_request_ms: int
    time_to_complete_request_ms: int
    request_id: int


class PerfBackgroundDefMdbSuccess(PerfDefMdbSuccess, frozen=True, gc=False):
    """AUX_PERF_BG_DEFMDB_SUCCESS: the same of a call in the background."""

    block_type = 0x0C


class PerfForegroundDefMdbSuccess(PerfDefMdbSuccess, frozen=True, gc=False):
    """AUX_PERF_FG_DEFMDB_SUCCESS: the same of a call that the user waited for."""

    block_type = 0x11


class PerfMdbSuccess(FixedBlock, frozen=True, gc=False):
    """AUX_PERF_MDB_SUCCESS: how long a call to any store took (2.2.2.2.9)."""

    block_type = 0x07
    layout = Struct("<4HII")

    client_id: int
    server_id: int
    session_id: int
    request_id: int
    time_since_request_ms: int
    time_to_complete_request_ms: int


class PerfBackgroundMdbSuccess(PerfMdbSuccess, frozen=True, gc=False):
    """AUX_PERF_BG_MDB_SUCCESS: the same of a call in the background."""

    block_type = 0x0E


class PerfForegroundMdbSuccess(PerfMdbSuccess, frozen=True, gc=False):
    """AUX_PERF_FG_MDB_SUCCESS: the same of a call that the user waited for."""

    block_type = 0x13


class ClientControl(FixedBlock, frozen=True, gc=False):
    """AUX_CLIENT_CONTROL: what the client may do, for how long (2.2.2.2.15)."""

    block_type = 0x0A
    layout = Struct("<II")

    enable_flags: int
    expiry_time_ms: int


class OsVersionInfo(FixedBlock, frozen=True, gc=False):
    """AUX_OSVERSIONINFO: the server's operating system (2.2.2.2.16)."""

    block_type = 0x16
    layout = Struct("<4I132x2H4x")

    version_info_size: int
    major_version: int
    minor_version: int
    build_number: int
    service_pack_major: int = 0
    service_pack_minor: int = 0


class ExOrgInfo(FixedBlock, frozen=True, gc=False):
    """AUX_EXORGINFO: whether there are public folders (2.2.2.2.17)."""

    block_type = 0x17
    layout = Struct("<I")

    org_flags: int


_CLIENT_INFO = Struct("<I12H")


class PerfClientInfo(msgspec.Struct, frozen=True, gc=False):
    """AUX_PERF_CLIENTINFO: the client's machine (2.2.2.2.4); ``adapter_speed`` in kbit/s."""

    version: ClassVar[int] = 1
    block_type: ClassVar[int] = 0x02

    adapter_speed: int
    client_id: int
    machine_name: str
    user_name: str
    client_ip: bytes
    client_ip_mask: bytes
    adapter_name: str
    mac_address: bytes
    client_mode: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """From what follows the header; raises :class:`WireError`."""
        speed, client_id, *places, client_mode, _reserved = Reader(body).unpack(
            _CLIENT_INFO, "AUX_PERF_CLIENTINFO"
        )
        machine, user, ip_size, ip, mask_size, mask, adapter, mac_size, mac = places
        return cls(
            adapter_speed=speed,
            client_id=client_id,
            machine_name=_text_at(body, machine, "MachineName"),
            user_name=_text_at(body, user, "UserName"),
            client_ip=_bytes_at(body, ip, ip_size, "ClientIP"),
            client_ip_mask=_bytes_at(body, mask, mask_size, "ClientIPMask"),
            adapter_name=_text_at(body, adapter, "AdapterName"),
            mac_address=_bytes_at(body, mac, mac_size, "MacAddress"),
            client_mode=client_mode,
        )

    def encode(self) -> bytes:
        """What follows the header."""
        tail = _Tail(_CLIENT_INFO.size)
        machine, user = tail.add_text(self.machine_name), tail.add_text(self.user_name)
        ip, mask = tail.add(self.client_ip), tail.add(self.client_ip_mask)
        adapter, mac = tail.add_text(self.adapter_name), tail.add(self.mac_address)
        fixed = _CLIENT_INFO.pack(
            self.adapter_speed,
            self.client_id,
            machine,
            user,
            len(self.client_ip),
            ip,
            len(self.client_ip_mask),
            mask,
            adapter,
            len(self.mac_address),
            mac,
            self.client_mode,
            0,
        )
        return fixed + tail.data


_PROCESS_INFO = Struct("<H2x16sH2x")


class PerfProcessInfo(msgspec.Struct, frozen=True, gc=False):
    """AUX_PERF_PROCESSINFO: the client's program (2.2.2.2.6)."""

    version: ClassVar[int] = 2
    block_type: ClassVar[int] = 0x0B

    process_id: int
    process_guid: bytes
    process_name: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """From what follows the header; raises :class:`WireError`."""
        process_id, guid, name = Reader(body).unpack(_PROCESS_INFO, "AUX_PERF_PROCESSINFO")
        return cls(process_id, guid, _text_at(body, name, "ProcessName"))

    def encode(self) -> bytes:
        """What follows the header."""
        tail = _Tail(_PROCESS_INFO.size)
        name = tail.add_text(self.process_name)
        return _PROCESS_INFO.pack(self.process_id, self.process_guid, name) + tail.data


class UnknownBlock(msgspec.Struct, frozen=True, gc=False):
    """A block that this module has no class for."""

    version: int
    block_type: int
    body: bytes

    def encode(self) -> bytes:
        """What follows the header."""
        return self.body


AuxiliaryBlock: TypeAlias = FixedBlock | PerfClientInfo | PerfProcessInfo | UnknownBlock

_KNOWN: dict[tuple[int, int], type[FixedBlock | PerfClientInfo | PerfProcessInfo]] = {
    (kind.version, kind.block_type): kind
    for kind in (
        PerfRequestId,
        PerfSessionInfoV2,
        PerfDefMdbSuccess,
        PerfBackgroundDefMdbSuccess,
        PerfForegroundDefMdbSuccess,
        PerfMdbSuccess,
        PerfBackgroundMdbSuccess,
        PerfForegroundMdbSuccess,
        ClientControl,
        OsVersionInfo,
        ExOrgInfo,
        PerfClientInfo,
        PerfProcessInfo,
    )
}


def read_blocks(payload: bytes) -> tuple[AuxiliaryBlock, ...]:
    """All blocks of an auxiliary buffer; raises :class:`WireError`."""
    reader = Reader(payload)
    blocks: list[AuxiliaryBlock] = []
    while reader.remaining:
        start = reader.offset
        size, version, block_type = reader.unpack(_HEADER, "AUX_HEADER")
        if size < _HEADER.size:
            raise WireError("Size", start, f"{size} does not even hold the header")
        body = reader.take(size - _HEADER.size, "AUX block")
        kind = _KNOWN.get((version, block_type))
        blocks.append(kind.decode(body) if kind else UnknownBlock(version, block_type, body))
    return tuple(blocks)


def write_blocks(*blocks: AuxiliaryBlock) -> bytes:
    """The payload of an auxiliary buffer."""
    writer = Writer()
    for block in blocks:
        body = block.encode()
        writer.pack(_HEADER, _HEADER.size + len(body), block.version, block.block_type)
        writer.raw(body)
    return writer.getvalue()


class _Tail:
    """Data behind the fixed part of a block, each found by its offset; empty data has offset 0."""

    def __init__(self, fixed_size: int) -> None:
        self.data = b""
        self._start = _HEADER.size + fixed_size

    def add(self, data: bytes) -> int:
        offset = self._start + len(self.data) if data else 0
        self.data += data
        return offset

    def add_text(self, text: str) -> int:
        return self.add(text.encode("utf-16-le") + bytes(2))


def _at(body: bytes, offset: int, field: str) -> Reader:
    place = offset - _HEADER.size
    if not 0 <= place <= len(body):
        raise WireError(field, offset, f"outside of a block of {len(body) + _HEADER.size} bytes")
    return Reader(body, place)


def _text_at(body: bytes, offset: int, field: str) -> str:
    return _at(body, offset, field).utf16z(field) if offset else ""


def _bytes_at(body: bytes, offset: int, size: int, field: str) -> bytes:
    return _at(body, offset, field).take(size, field) if size else b""
