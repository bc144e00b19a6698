"""The methods of EMSMDB and AsyncEMSMDB that clients call ([MS-OXCRPC] 3.1.4 and 3.3.4), as NDR stubs.

A context handle is 20 bytes: attributes (0), then the server's UUID. ``rgb_in``, ``rgb_out`` and ``aux_*``
are extended buffers (:mod:`loadgen.wire.extended_buffer`) or empty.
"""

from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import FixedStub, RequestStub, Stub

INTERFACE: Final = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
ASYNC_INTERFACE: Final = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)

NO_CONTEXT: Final = bytes(20)
"""The context handle that means "none": returned on failure and by EcDoDisconnect."""

NO_COMPRESSION: Final = 0x1
NO_XOR_MAGIC: Final = 0x2
CHAIN: Final = 0x4
"""pulFlags of EcDoRpcExt2: what the response may not or may look like."""

NO_LINK: Final = 0xFFFFFFFF
"""ulIcxrLink: the session belongs to no other."""

NOTIFICATION_PENDING: Final = 0x1
"""pulFlagsOut of EcDoAsyncWaitEx."""

VersionWords: TypeAlias = tuple[int, int, int]
"""A product version as three words on the wire ([MS-OXCRPC] 3.1.4.1.3)."""

Version: TypeAlias = tuple[int, int, int, int]
"""Major, minor, build, revision; tuples compare as versions do."""

_NEW_FORM = 0x8000


def version_from_words(words: VersionWords) -> Version:
    """The four numbers, from either form of the words."""
    first, second, revision = words
    if second & _NEW_FORM:
        return first >> 8, first & 0xFF, second & ~_NEW_FORM, revision
    return first, 0, second, revision


def words_from_version(version: Version, *, new_form: bool) -> VersionWords:
    """The words of a version; servers write the new form, Outlook up to 2013 the old one without a minor."""
    major, minor, build, revision = version
    if new_form:
        return major << 8 | minor, build | _NEW_FORM, revision
    return major, build, revision


class EcDoConnectExResponse(Stub, frozen=True):
    """The session, and how often a client that gets no notifications may ask for news ([MS-OXCRPC] 3.1.4.1).

    ``dn_prefix`` shortens the names of recipients; it and ``display_name`` are None for a NULL pointer.
    """

    context_handle: bytes
    polls_max_ms: int
    retries: int
    retry_delay_ms: int
    session_index: int
    dn_prefix: str | None
    display_name: str | None
    server_version: VersionWords
    best_version: VersionWords
    time_stamp: int
    aux_out: bytes = b""
    return_value: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(
            context_handle=reader.context_handle("pcxh"),
            polls_max_ms=reader.u32("pcmsPollsMax"),
            retries=reader.u32("pcRetry"),
            retry_delay_ms=reader.u32("pcmsRetryDelay"),
            session_index=reader.u16("picxr"),
            dn_prefix=_read_unique_string(reader, "szDNPrefix"),
            display_name=_read_unique_string(reader, "szDisplayName"),
            server_version=_read_version(reader, "rgwServerVersion"),
            best_version=_read_version(reader, "rgwBestVersion"),
            time_stamp=reader.u32("pulTimeStamp"),
            aux_out=_read_varying_sized(reader, "rgbAuxOut"),
            return_value=reader.u32("return value"),
        )

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.context_handle)
        writer.u32(self.polls_max_ms)
        writer.u32(self.retries)
        writer.u32(self.retry_delay_ms)
        writer.u16(self.session_index)
        for text in (self.dn_prefix, self.display_name):
            writer.pointer(text is not None)
            if text is not None:
                writer.string(text)
        _write_version(writer, self.server_version)
        _write_version(writer, self.best_version)
        writer.u32(self.time_stamp)
        _write_varying_sized(writer, self.aux_out)
        writer.u32(self.return_value)


class EcDoConnectExRequest(RequestStub[EcDoConnectExResponse], frozen=True):
    """Opens a session for the mailbox user ``user_dn`` ([MS-OXCRPC] 3.1.4.1)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 10

    user_dn: str
    client_version: VersionWords
    flags: int = 0
    con_mod: int = 0
    limit: int = 0
    code_page: int = 1252
    lcid_string: int = 0x409
    lcid_sort: int = 0x409
    session_index_link: int = NO_LINK
    can_convert_code_pages: int = 1
    time_stamp: int = 0
    aux_in: bytes = b""
    aux_out_max: int = 0x1008

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(
            user_dn=reader.string("szUserDN"),
            flags=reader.u32("ulFlags"),
            con_mod=reader.u32("ulConMod"),
            limit=reader.u32("cbLimit"),
            code_page=reader.u32("ulCpid"),
            lcid_string=reader.u32("ulLcidString"),
            lcid_sort=reader.u32("ulLcidSort"),
            session_index_link=reader.u32("ulIcxrLink"),
            can_convert_code_pages=reader.u16("usFCanConvertCodePages"),
            client_version=_read_version(reader, "rgwClientVersion"),
            time_stamp=reader.u32("pulTimeStamp"),
            aux_in=_read_sized(reader, "rgbAuxIn"),
            aux_out_max=reader.u32("pcbAuxOut"),
        )

    def _write(self, writer: NdrWriter) -> None:
        writer.string(self.user_dn)
        writer.u32(self.flags)
        writer.u32(self.con_mod)
        writer.u32(self.limit)
        writer.u32(self.code_page)
        writer.u32(self.lcid_string)
        writer.u32(self.lcid_sort)
        writer.u32(self.session_index_link)
        writer.u16(self.can_convert_code_pages)
        _write_version(writer, self.client_version)
        writer.u32(self.time_stamp)
        _write_sized(writer, self.aux_in)
        writer.u32(self.aux_out_max)


class EcDoRpcExt2Response(Stub, frozen=True):
    """Carries ROP responses; ``trans_time_ms`` went by in the server ([MS-OXCRPC] 3.1.4.2)."""

    context_handle: bytes
    rgb_out: bytes
    flags: int = 0
    aux_out: bytes = b""
    trans_time_ms: int = 0
    return_value: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(
            context_handle=reader.context_handle("pcxh"),
            flags=reader.u32("pulFlags"),
            rgb_out=_read_varying_sized(reader, "rgbOut"),
            aux_out=_read_varying_sized(reader, "rgbAuxOut"),
            trans_time_ms=reader.u32("pulTransTime"),
            return_value=reader.u32("return value"),
        )

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.context_handle)
        writer.u32(self.flags)
        _write_varying_sized(writer, self.rgb_out)
        _write_varying_sized(writer, self.aux_out)
        writer.u32(self.trans_time_ms)
        writer.u32(self.return_value)


class EcDoRpcExt2Request(RequestStub[EcDoRpcExt2Response], frozen=True):
    """Carries ROP requests; ``out_max`` is the room that the answer may take ([MS-OXCRPC] 3.1.4.2)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 11

    context_handle: bytes
    rgb_in: bytes
    flags: int = 0
    out_max: int = 0x8007
    aux_in: bytes = b""
    aux_out_max: int = 0x1008

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(
            context_handle=reader.context_handle("pcxh"),
            flags=reader.u32("pulFlags"),
            rgb_in=_read_sized(reader, "rgbIn"),
            out_max=reader.u32("pcbOut"),
            aux_in=_read_sized(reader, "rgbAuxIn"),
            aux_out_max=reader.u32("pcbAuxOut"),
        )

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.context_handle)
        writer.u32(self.flags)
        _write_sized(writer, self.rgb_in)
        writer.u32(self.out_max)
        _write_sized(writer, self.aux_in)
        writer.u32(self.aux_out_max)


class EcDoDisconnectResponse(FixedStub, frozen=True, gc=False):
    """The handle is gone ([MS-OXCRPC] 3.1.4.3)."""

    layout: ClassVar[Struct] = Struct("<20sI")

    context_handle: bytes = NO_CONTEXT
    return_value: int = 0


class EcDoDisconnectRequest(FixedStub, RequestStub[EcDoDisconnectResponse], frozen=True, gc=False):
    """Closes a session ([MS-OXCRPC] 3.1.4.3)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1
    layout: ClassVar[Struct] = Struct("<20s")

    context_handle: bytes


class EcRRegisterPushNotificationResponse(FixedStub, frozen=True, gc=False):
    """The registration's handle ([MS-OXCRPC] 3.1.4.5)."""

    layout: ClassVar[Struct] = Struct("<20sII")

    context_handle: bytes
    notification_handle: int = 0
    return_value: int = 0


class EcRRegisterPushNotificationRequest(
    RequestStub[EcRRegisterPushNotificationResponse], frozen=True, gc=False
):
    """Asks for UDP datagrams that hold ``context``, sent to a Winsock SOCKADDR ([MS-OXCRPC] 3.1.4.5)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 4

    context_handle: bytes
    context: bytes
    callback_address: bytes
    advise_bits: int = 0xFFFFFFFF
    rpc: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, rpc = reader.context_handle("pcxh"), reader.u32("iRpc")
        context = reader.conformant_bytes("rgbContext")
        _check_size(reader, context, reader.u16("cbContext"), "cbContext")
        advise_bits = reader.u32("grbitAdviseBits")
        address = reader.conformant_bytes("rgbCallbackAddress")
        _check_size(reader, address, reader.u16("cbCallbackAddress"), "cbCallbackAddress")
        return cls(handle, context, address, advise_bits, rpc)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.context_handle)
        writer.u32(self.rpc)
        writer.conformant_bytes(self.context)
        writer.u16(len(self.context))
        writer.u32(self.advise_bits)
        writer.conformant_bytes(self.callback_address)
        writer.u16(len(self.callback_address))


class EcDummyRpcResponse(FixedStub, frozen=True, gc=False):
    """Somebody is ([MS-OXCRPC] 3.1.4.6)."""

    layout: ClassVar[Struct] = Struct("<I")

    return_value: int = 0


class EcDummyRpcRequest(RequestStub[EcDummyRpcResponse], frozen=True, gc=False):
    """Asks whether anybody is there ([MS-OXCRPC] 3.1.4.6)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 6


class EcDoAsyncConnectExResponse(FixedStub, frozen=True, gc=False):
    """The asynchronous context handle (ACXH), one per session ([MS-OXCRPC] 3.1.4.4)."""

    layout: ClassVar[Struct] = Struct("<20sI")

    async_context_handle: bytes
    return_value: int = 0


class EcDoAsyncConnectExRequest(FixedStub, RequestStub[EcDoAsyncConnectExResponse], frozen=True, gc=False):
    """Asks for the handle on which EcDoAsyncWaitEx waits ([MS-OXCRPC] 3.1.4.4)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 14
    layout: ClassVar[Struct] = Struct("<20s")

    context_handle: bytes


class EcDoAsyncWaitExResponse(FixedStub, frozen=True, gc=False):
    """``flags`` has NOTIFICATION_PENDING, or the wait ran out ([MS-OXCRPC] 3.3.4.1)."""

    layout: ClassVar[Struct] = Struct("<II")

    flags: int = 0
    return_value: int = 0


class EcDoAsyncWaitExRequest(FixedStub, RequestStub[EcDoAsyncWaitExResponse], frozen=True, gc=False):
    """Waits until there is something to fetch, or about five minutes ([MS-OXCRPC] 3.3.4.1)."""

    interface: ClassVar[SyntaxId] = ASYNC_INTERFACE
    opnum: ClassVar[int] = 0
    layout: ClassVar[Struct] = Struct("<20sI")

    async_context_handle: bytes
    flags: int = 0


def _read_version(reader: NdrReader, field: str) -> VersionWords:
    return reader.u16(field), reader.u16(field), reader.u16(field)


def _write_version(writer: NdrWriter, words: VersionWords) -> None:
    for word in words:
        writer.u16(word)


def _read_unique_string(reader: NdrReader, field: str) -> str | None:
    return reader.string(field) if reader.pointer(field) else None


def _check_size(reader: NdrReader, data: bytes, size: int, field: str) -> None:
    if size != len(data):
        raise WireError(field, reader.offset, f"says {size} bytes, the array has {len(data)}")


def _read_sized(reader: NdrReader, field: str) -> bytes:
    data = reader.conformant_bytes(field)
    _check_size(reader, data, reader.u32(field), field)
    return data


def _write_sized(writer: NdrWriter, data: bytes) -> None:
    writer.conformant_bytes(data)
    writer.u32(len(data))


def _read_varying_sized(reader: NdrReader, field: str) -> bytes:
    data = reader.conformant_varying_bytes(field)
    _check_size(reader, data, reader.u32(field), field)
    return data


def _write_varying_sized(writer: NdrWriter, data: bytes) -> None:
    writer.conformant_varying_bytes(data)
    writer.u32(len(data))
