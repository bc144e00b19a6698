"""SPNEGO tokens ([RFC 4178] 4.2, [MS-SPNG] 2.2): the DER of NegTokenInit and NegTokenResp.

Mechanisms are object identifiers as their DER contents. Decoders demand that every length fits, and skip
what they do not know, as the hints that Windows sends in a NegTokenInit of its own.
"""

from typing import Final, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader

SPNEGO: Final = bytes.fromhex("2b0601050502")
NTLMSSP: Final = bytes.fromhex("2b06010401823702020a")
KERBEROS: Final = bytes.fromhex("2a864886f712010202")
MS_KERBEROS: Final = bytes.fromhex("2a864882f712010202")
NEGOEX: Final = bytes.fromhex("2b06010401823702021e")

ACCEPT_COMPLETED: Final = 0
ACCEPT_INCOMPLETE: Final = 1
REJECT: Final = 2
REQUEST_MIC: Final = 3

_OCTET_STRING: Final = 0x04
_OBJECT_ID: Final = 0x06
_ENUMERATED: Final = 0x0A
_SEQUENCE: Final = 0x30
_APPLICATION: Final = 0x60
_CONTEXT: Final = 0xA0
_NEG_TOKEN_INIT: Final = 0xA0
_NEG_TOKEN_RESP: Final = 0xA1
_LONG_LENGTH: Final = 0x80
_MOST_LENGTH_BYTES: Final = 4


class NegTokenInit(msgspec.Struct, frozen=True, gc=False):
    """The first token of an initiator, the mechanism that it likes best first."""

    mech_types: tuple[bytes, ...]
    mech_token: bytes | None = None
    mech_list_mic: bytes | None = None

    @property
    def mech_list(self) -> bytes:
        """MechTypeList, over which both sides make their mechListMIC."""
        return _encode(_SEQUENCE, *(_encode(_OBJECT_ID, mech) for mech in self.mech_types))

    def encode(self) -> bytes:
        """The token as it is sent, in the frame of [RFC 2743] 3.1."""
        fields = [_encode(_CONTEXT, self.mech_list)]
        if self.mech_token is not None:
            fields.append(_encode(_CONTEXT | 2, _encode(_OCTET_STRING, self.mech_token)))
        if self.mech_list_mic is not None:
            fields.append(_encode(_CONTEXT | 3, _encode(_OCTET_STRING, self.mech_list_mic)))
        token = _encode(_NEG_TOKEN_INIT, _encode(_SEQUENCE, *fields))
        return _encode(_APPLICATION, _encode(_OBJECT_ID, SPNEGO), token)


class NegTokenResp(msgspec.Struct, frozen=True, gc=False):
    """Every later token, of either side."""

    neg_state: int | None = None
    supported_mech: bytes | None = None
    response_token: bytes | None = None
    mech_list_mic: bytes | None = None

    def encode(self) -> bytes:
        """The token as it is sent."""
        state = None if self.neg_state is None else bytes((self.neg_state,))
        values = (
            (_ENUMERATED, state),
            (_OBJECT_ID, self.supported_mech),
            (_OCTET_STRING, self.response_token),
            (_OCTET_STRING, self.mech_list_mic),
        )
        fields = (
            _encode(_CONTEXT | number, _encode(tag, value))
            for number, (tag, value) in enumerate(values)
            if value is not None
        )
        return _encode(_NEG_TOKEN_RESP, _encode(_SEQUENCE, *fields))


NegotiationToken: TypeAlias = NegTokenInit | NegTokenResp


def decode(token: bytes) -> NegotiationToken:
    """A token of either kind; the frame of the first one may be missing, as Windows takes it."""
    tag, contents = _single(token, "NegotiationToken")
    if tag == _APPLICATION:
        frame = Reader(contents)
        if _element(frame, "thisMech") != (_OBJECT_ID, SPNEGO):
            raise WireError("thisMech", 0, "not SPNEGO")
        tag, contents = _single(frame.rest(), "innerContextToken")
    if tag not in (_NEG_TOKEN_INIT, _NEG_TOKEN_RESP):
        raise WireError("NegotiationToken", 0, f"tag 0x{tag:02X}")
    sequence = Reader(_contents(contents, _SEQUENCE, "NegotiationToken"))
    fields = {}
    while sequence.remaining:
        number, field = _element(sequence, "field")
        fields[number - _CONTEXT] = field
    return _init(fields) if tag == _NEG_TOKEN_INIT else _resp(fields)


def _init(fields: dict[int, bytes]) -> NegTokenInit:
    mechs = Reader(_field(fields, 0, _SEQUENCE, "mechTypes") or b"")
    mech_types = []
    while mechs.remaining:
        mech_types.append(_contents_of(_element(mechs, "MechType"), _OBJECT_ID, "MechType"))
    has_hints = fields.get(3, b"").startswith(bytes((_SEQUENCE,)))
    return NegTokenInit(
        tuple(mech_types),
        _field(fields, 2, _OCTET_STRING, "mechToken"),
        _field(fields, 4 if has_hints else 3, _OCTET_STRING, "mechListMIC"),
    )


def _resp(fields: dict[int, bytes]) -> NegTokenResp:
    state = _field(fields, 0, _ENUMERATED, "negState")
    if state is not None and len(state) != 1:
        raise WireError("negState", 0, f"{len(state)} bytes")
    return NegTokenResp(
        None if state is None else state[0],
        _field(fields, 1, _OBJECT_ID, "supportedMech"),
        _field(fields, 2, _OCTET_STRING, "responseToken"),
        _field(fields, 3, _OCTET_STRING, "mechListMIC"),
    )


def _field(fields: dict[int, bytes], number: int, tag: int, name: str) -> bytes | None:
    data = fields.get(number)
    return None if data is None else _contents(data, tag, name)


def _contents(data: bytes, tag: int, name: str) -> bytes:
    """The contents of the one element in ``data``, which must have this tag."""
    return _contents_of(_single(data, name), tag, name)


def _contents_of(element: tuple[int, bytes], expected: int, name: str) -> bytes:
    tag, contents = element
    if tag != expected:
        raise WireError(name, 0, f"tag 0x{tag:02X} instead of 0x{expected:02X}")
    return contents


def _single(data: bytes, name: str) -> tuple[int, bytes]:
    """Tag and contents of the one element in ``data``."""
    reader = Reader(data)
    element = _element(reader, name)
    reader.expect_end(name)
    return element


def _element(reader: Reader, name: str) -> tuple[int, bytes]:
    """Tag and contents of the next element."""
    tag = reader.u8(name)
    size = reader.u8(f"length of {name}")
    if size >= _LONG_LENGTH:
        count = size - _LONG_LENGTH
        if not 1 <= count <= _MOST_LENGTH_BYTES:
            raise WireError(f"length of {name}", reader.offset - 1, f"{count} bytes long")
        size = int.from_bytes(reader.take(count, f"length of {name}"), "big")
    return tag, reader.take(size, name)


def _encode(tag: int, *contents: bytes) -> bytes:
    """An element whose contents are these, one after the other."""
    value = b"".join(contents)
    size = len(value)
    if size < _LONG_LENGTH:
        return bytes((tag, size)) + value
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_LENGTH | len(digits))) + digits + value
