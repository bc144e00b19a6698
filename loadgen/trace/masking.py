"""Taking secrets out of what a client sends, without changing its length.

Of Basic credentials the password goes. Of an NTLM AUTHENTICATE message all goes that a password could be
guessed from: both responses, the session key and the MIC ([MS-NLMP] 2.2.1.3). Kerberos tickets go whole.
"""

import re
from base64 import b64decode, b64encode
from struct import Struct
from typing import Final

from loadgen.wire.ntlm import MIC_SLICE

STARS: Final = ord("*")

_AUTHORIZATION: Final = re.compile(rb"(?i)(\r\nauthorization:[ \t]*)([!-~]+)[ \t]+([!-~]+)")
_AUTHENTICATE: Final = b"NTLMSSP\0\3\0\0\0"
_FIELDS: Final = (12, 20, 52)
"""Where LmChallengeResponse, NtChallengeResponse and EncryptedRandomSessionKey say their places."""
_FIELD = Struct("<H2xI")
_PLACES: Final = (12, 20, 28, 36, 44, 52)
_KERBEROS: Final = bytes.fromhex("2a864886f7120102020100")
"""The mechanism's OID and TOK_ID of an AP-REQ (RFC 4121 4.1), as they stand before the ticket."""


def masked(data: bytes) -> bytes:
    """What a client sends, whole heads and PDUs, with all secrets blotted out."""
    data = _AUTHORIZATION.sub(_mask_header, data)
    return _mask_tokens(data)


def carries_ticket(token: str) -> bool:
    """Whether a token of an ``Authorization`` header, in base64, is Kerberos."""
    try:
        return _KERBEROS in b64decode(token, validate=True)
    except ValueError:
        return False


def _mask_header(header: re.Match[bytes]) -> bytes:
    begin, scheme, value = header.groups()
    space = header[0][len(begin) + len(scheme) : -len(value)]
    return begin + scheme + space + _mask_value(scheme, value)


def _mask_value(scheme: bytes, value: bytes) -> bytes:
    try:
        raw = b64decode(value, validate=True)
    except ValueError:
        return bytes((STARS,)) * len(value)
    if scheme.lower() == b"basic":
        user, colon, password = raw.partition(b":")
        return b64encode(user + colon + bytes((STARS,)) * len(password))
    if scheme.lower() in (b"ntlm", b"negotiate"):
        return b64encode(_mask_tokens(raw))
    return bytes((STARS,)) * len(value)


def _mask_tokens(data: bytes) -> bytes:
    """Blot out what proves in tokens, wherever they stand."""
    if _AUTHENTICATE not in data and _KERBEROS not in data:
        return data
    blotted = bytearray(data)
    start = data.find(_AUTHENTICATE)
    while start >= 0:
        _blot_authenticate(blotted, start)
        start = data.find(_AUTHENTICATE, start + 1)
    ticket = data.find(_KERBEROS)
    if ticket >= 0:
        _blot(blotted, ticket + len(_KERBEROS), len(blotted))
    return bytes(blotted)


def _blot_authenticate(data: bytearray, start: int) -> None:
    if start + 64 > len(data):
        _blot(data, start, len(data))
        return
    for place in _FIELDS:
        length, offset = _FIELD.unpack_from(data, start + place)
        _blot(data, start + offset, min(start + offset + length, len(data)))
    offsets = [
        offset for length, offset in (_FIELD.unpack_from(data, start + place) for place in _PLACES) if length
    ]
    if min(offsets, default=0) >= MIC_SLICE.stop:
        _blot(data, start + MIC_SLICE.start, min(start + MIC_SLICE.stop, len(data)))


def _blot(data: bytearray, start: int, end: int) -> None:
    if start < end:
        data[start:end] = bytes(end - start)
