"""NTLM messages ([MS-NLMP] 2.2): values only; what they prove is for others to compute.

Texts are UTF-16 if the message's own flags say UNICODE, else OEM text, of which every byte survives as
Latin-1; NEGOTIATE is OEM always. Decoders look at what the descriptors point to and take any order of it;
encoders write it in the order of Windows.
"""

from struct import Struct
from typing import ClassVar, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer, decode_utf16, encode_utf16

SIGNATURE: Final = b"NTLMSSP\0"

NEGOTIATE_UNICODE: Final = 0x00000001
NEGOTIATE_OEM: Final = 0x00000002
REQUEST_TARGET: Final = 0x00000004
NEGOTIATE_SIGN: Final = 0x00000010
NEGOTIATE_SEAL: Final = 0x00000020
NEGOTIATE_DATAGRAM: Final = 0x00000040
NEGOTIATE_LM_KEY: Final = 0x00000080
NEGOTIATE_NTLM: Final = 0x00000200
NEGOTIATE_ANONYMOUS: Final = 0x00000800
OEM_DOMAIN_SUPPLIED: Final = 0x00001000
OEM_WORKSTATION_SUPPLIED: Final = 0x00002000
NEGOTIATE_ALWAYS_SIGN: Final = 0x00008000
TARGET_TYPE_DOMAIN: Final = 0x00010000
TARGET_TYPE_SERVER: Final = 0x00020000
NEGOTIATE_EXTENDED_SESSIONSECURITY: Final = 0x00080000
NEGOTIATE_TARGET_INFO: Final = 0x00800000
NEGOTIATE_VERSION: Final = 0x02000000
NEGOTIATE_128: Final = 0x20000000
NEGOTIATE_KEY_EXCH: Final = 0x40000000
NEGOTIATE_56: Final = 0x80000000
"""NegotiateFlags ([MS-NLMP] 2.2.2.5)."""

MIC_SLICE: Final = slice(72, 88)
"""Where AUTHENTICATE has its MIC, if it has one."""

_MESSAGE = Struct("<8sI")
_FIELD = Struct("<HHI")
_AV_PAIR = Struct("<HH")
_NEGOTIATE = Struct("<8sII")
_CHALLENGE = Struct("<8sI8sI8s8x8s")
_AUTHENTICATE = Struct("<8sI8s8s8s8s8s8sI")
_NTLM_V2 = Struct("<BBxxxxxxQ8sxxxx")
_TOKEN = Struct("<I8sI")
_VERSION_SIZE: Final = 8
_MIC_SIZE: Final = 16
_SIGNATURE_VERSION: Final = 1


class AvId:
    """AvId: what an AV pair says ([MS-NLMP] 2.2.2.1)."""

    EOL: Final = 0
    NB_COMPUTER_NAME: Final = 1
    NB_DOMAIN_NAME: Final = 2
    DNS_COMPUTER_NAME: Final = 3
    DNS_DOMAIN_NAME: Final = 4
    DNS_TREE_NAME: Final = 5
    FLAGS: Final = 6
    TIMESTAMP: Final = 7
    SINGLE_HOST: Final = 8
    TARGET_NAME: Final = 9
    CHANNEL_BINDINGS: Final = 10


AV_FLAG_MIC: Final = 0x2
"""In MsvAvFlags: AUTHENTICATE carries a MIC."""


class AvPair(msgspec.Struct, frozen=True, gc=False):
    """One AV_PAIR ([MS-NLMP] 2.2.2.1)."""

    av_id: int
    value: bytes


def text_pair(av_id: int, text: str) -> AvPair:
    """An AV pair that holds a name."""
    return AvPair(av_id, encode_utf16(text))


def read_av_pairs(reader: Reader) -> tuple[AvPair, ...]:
    """All AV pairs up to MsvAvEOL."""
    pairs = []
    while True:
        start = reader.offset
        av_id, size = reader.unpack(_AV_PAIR, "AvId")
        if av_id == AvId.EOL:
            break
        pairs.append(AvPair(av_id, reader.take(size, "AV_PAIR Value")))
    if size:
        raise WireError("MsvAvEOL", start + 2, f"a length of {size}")
    return tuple(pairs)


def write_av_pairs(writer: Writer, pairs: tuple[AvPair, ...]) -> None:
    """All AV pairs and MsvAvEOL."""
    for pair in (*pairs, AvPair(AvId.EOL, b"")):
        writer.pack(_AV_PAIR, pair.av_id, len(pair.value))
        writer.raw(pair.value)


class Negotiate(msgspec.Struct, frozen=True, gc=False):
    """NEGOTIATE_MESSAGE ([MS-NLMP] 2.2.1.1); ``version`` is 8 bytes, or none as old clients send it."""

    message_type: ClassVar[int] = 1
    flags: int
    domain: str = ""
    workstation: str = ""
    version: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole message, which may end after its flags."""
        reader = _open(data, cls.message_type)
        flags = reader.u32("NegotiateFlags")
        if not reader.remaining:
            return cls(flags)
        domain, workstation = _field(reader, "DomainName"), _field(reader, "WorkstationName")
        version = _optional(reader, _VERSION_SIZE, _payload_start(data, domain, workstation))
        return cls(flags, domain[1].decode("latin-1"), workstation[1].decode("latin-1"), version)

    def encode(self) -> bytes:
        """A whole message."""
        values = [text.encode("latin-1") for text in (self.domain, self.workstation)]
        fields = _fields(_NEGOTIATE.size + 2 * _FIELD.size + len(self.version), values)
        head = _NEGOTIATE.pack(SIGNATURE, self.message_type, self.flags)
        return b"".join((head, *fields, self.version, *values))


class Challenge(msgspec.Struct, frozen=True, gc=False):
    """CHALLENGE_MESSAGE ([MS-NLMP] 2.2.1.2); ``target_info`` None means that it has none at all."""

    message_type: ClassVar[int] = 2
    flags: int
    server_challenge: bytes
    target_name: str = ""
    target_info: tuple[AvPair, ...] | None = ()
    version: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole message."""
        reader = _open(data, cls.message_type)
        name = _field(reader, "TargetName")
        flags = reader.u32("NegotiateFlags")
        challenge = reader.take(8, "ServerChallenge")
        reader.take(8, "Reserved")
        info = _field(reader, "TargetInfo")
        version = _optional(reader, _VERSION_SIZE, _payload_start(data, name, info))
        pairs = None
        if info[1]:
            inner = Reader(info[1])
            pairs = read_av_pairs(inner)
            inner.expect_end("TargetInfo")
        return cls(flags, challenge, _decode_text(name, flags, "TargetName"), pairs, version)

    def encode(self) -> bytes:
        """A whole message."""
        info = Writer()
        if self.target_info is not None:
            write_av_pairs(info, self.target_info)
        values = [_encode_text(self.target_name, self.flags), info.getvalue()]
        name, pairs = _fields(_CHALLENGE.size + len(self.version), values)
        head = _CHALLENGE.pack(SIGNATURE, self.message_type, name, self.flags, self.server_challenge, pairs)
        return b"".join((head, self.version, *values))


class Authenticate(msgspec.Struct, frozen=True, gc=False):
    """AUTHENTICATE_MESSAGE ([MS-NLMP] 2.2.1.3).

    ``version`` is 8 bytes, or none; ``mic`` is the 16 bytes at its place, or none if the payload begins
    before: whether they are a MIC only the AV pairs in the response say.
    """

    message_type: ClassVar[int] = 3
    flags: int
    user: str
    domain: str = ""
    workstation: str = ""
    lm_response: bytes = b""
    nt_response: bytes = b""
    session_key: bytes = b""
    version: bytes = b""
    mic: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole message."""
        reader = _open(data, cls.message_type)
        lm, nt = _field(reader, "LmChallengeResponse"), _field(reader, "NtChallengeResponse")
        domain, user = _field(reader, "DomainName"), _field(reader, "UserName")
        workstation, key = _field(reader, "Workstation"), _field(reader, "EncryptedRandomSessionKey")
        flags = reader.u32("NegotiateFlags")
        start = _payload_start(data, lm, nt, domain, user, workstation, key)
        version = _optional(reader, _VERSION_SIZE, start)
        mic = _optional(reader, _MIC_SIZE, start)
        return cls(
            flags,
            _decode_text(user, flags, "UserName"),
            _decode_text(domain, flags, "DomainName"),
            _decode_text(workstation, flags, "Workstation"),
            lm[1],
            nt[1],
            key[1],
            version,
            mic,
        )

    def encode(self) -> bytes:
        """A whole message; one with a MIC has a version, too."""
        texts = [_encode_text(text, self.flags) for text in (self.domain, self.user, self.workstation)]
        values = [*texts, self.lm_response, self.nt_response, self.session_key]
        extra = self.version + self.mic
        domain, user, workstation, lm, nt, key = _fields(_AUTHENTICATE.size + len(extra), values)
        head = _AUTHENTICATE.pack(
            SIGNATURE, self.message_type, lm, nt, domain, user, workstation, key, self.flags
        )
        return b"".join((head, extra, *values))


class NtlmV2Response(msgspec.Struct, frozen=True, gc=False):
    """NTLMv2_RESPONSE ([MS-NLMP] 2.2.2.8): the proof, and the client challenge that it is made over.

    ``timestamp`` is a FILETIME. ``trailer`` is what follows the AV pairs: four zero bytes, or nothing.
    """

    proof: bytes
    timestamp: int
    client_challenge: bytes
    av_pairs: tuple[AvPair, ...]
    trailer: bytes = bytes(4)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole response; one that is shorter is no NTLMv2."""
        reader = Reader(data)
        proof = reader.take(16, "Response")
        kind, highest, timestamp, challenge = reader.unpack(_NTLM_V2, "NTLMv2_CLIENT_CHALLENGE")
        if (kind, highest) != (1, 1):
            raise WireError("RespType", 16, f"{kind}.{highest} is not 1.1")
        return cls(proof, timestamp, challenge, read_av_pairs(reader), reader.rest())

    def encode(self) -> bytes:
        """A whole response."""
        writer = Writer()
        writer.raw(self.proof)
        writer.pack(_NTLM_V2, 1, 1, self.timestamp, self.client_challenge)
        write_av_pairs(writer, self.av_pairs)
        writer.raw(self.trailer)
        return writer.getvalue()

    def av_value(self, av_id: int) -> bytes:
        """The value of an AV pair, b"" if there is none."""
        return next((pair.value for pair in self.av_pairs if pair.av_id == av_id), b"")

    @property
    def has_mic(self) -> bool:
        """Whether AUTHENTICATE carries a MIC."""
        return bool(int.from_bytes(self.av_value(AvId.FLAGS), "little") & AV_FLAG_MIC)


class MessageSignature(msgspec.Struct, frozen=True, gc=False):
    """NTLMSSP_MESSAGE_SIGNATURE with extended session security ([MS-NLMP] 2.2.2.9.2)."""

    checksum: bytes
    sequence_number: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The 16 bytes of a token."""
        reader = Reader(data)
        version, checksum, number = reader.unpack(_TOKEN, "NTLMSSP_MESSAGE_SIGNATURE")
        reader.expect_end("NTLMSSP_MESSAGE_SIGNATURE")
        if version != _SIGNATURE_VERSION:
            raise WireError("Version", 0, f"{version} is not {_SIGNATURE_VERSION}")
        return cls(checksum, number)

    def encode(self) -> bytes:
        """The 16 bytes of a token."""
        return _TOKEN.pack(_SIGNATURE_VERSION, self.checksum, self.sequence_number)


def message_type(data: bytes) -> int:
    """Which message begins ``data``; raises :class:`WireError` if none does."""
    signature, kind = Reader(data).unpack(_MESSAGE, "Signature")
    if signature != SIGNATURE:
        raise WireError("Signature", 0, f"{signature!r} is not NTLMSSP")
    return int(kind)


def _open(data: bytes, expected: int) -> Reader:
    kind = message_type(data)
    if kind != expected:
        raise WireError("MessageType", 8, f"{kind} instead of {expected}")
    return Reader(data, _MESSAGE.size)


def _field(reader: Reader, name: str) -> tuple[int, bytes]:
    """Offset and bytes of what a descriptor points to; nothing is nowhere, whatever its offset says."""
    place = reader.offset
    size, _, offset = reader.unpack(_FIELD, name)
    if not size:
        return len(reader.data), b""
    value = reader.data[offset : offset + size]
    if len(value) != size:
        raise WireError(name, place, f"{size} bytes at {offset} of {len(reader.data)}")
    return offset, value


def _payload_start(data: bytes, *fields: tuple[int, bytes]) -> int:
    return min((offset for offset, _ in fields), default=len(data))


def _optional(reader: Reader, size: int, payload_start: int) -> bytes:
    """A field that old clients leave out: it is there if the payload begins behind it."""
    return reader.take(size, "Version or MIC") if reader.offset + size <= payload_start else b""


def _decode_text(field: tuple[int, bytes], flags: int, name: str) -> str:
    offset, raw = field
    return decode_utf16(raw, name, offset) if flags & NEGOTIATE_UNICODE else raw.decode("latin-1")


def _encode_text(text: str, flags: int) -> bytes:
    return encode_utf16(text) if flags & NEGOTIATE_UNICODE else text.encode("latin-1")


def _fields(offset: int, values: list[bytes]) -> list[bytes]:
    """The descriptors of ``values``, which follow each other from ``offset`` on."""
    fields = []
    for value in values:
        fields.append(_FIELD.pack(len(value), len(value), offset))
        offset += len(value)
    return fields
