"""Entry ids of address book objects ([MS-OXNSPI] 2.2.9)."""

from struct import Struct
from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader

PROVIDER_UID: Final = bytes.fromhex("dca740c8c042101ab4b908002b2fe182")
"""GUID_NSPI, which stands in every permanent entry id ([MS-OXNSPI] 2.2.1)."""

_HEAD = Struct("<I16sII")
_MID = Struct("<I")
_PERMANENT: Final = 0x00
_EPHEMERAL: Final = 0x87
_VERSION: Final = 1


class PermanentEntryId(msgspec.Struct, frozen=True, gc=False):
    """Names an object by its distinguished name, for ever: what goes into messages ([MS-OXNSPI] 2.2.9.3)."""

    display_type: int
    dn: str

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        reader = Reader(data)
        id_type, provider, version, display_type = reader.unpack(_HEAD, "PermanentEntryID")
        if (id_type, provider, version) != (_PERMANENT, PROVIDER_UID, _VERSION):
            raise WireError("PermanentEntryID", 0, "another provider's entry id")
        dn = reader.asciiz("DistinguishedName")
        reader.expect_end("PermanentEntryID")
        return cls(display_type, dn)

    def encode(self) -> bytes:
        """28 bytes, then the distinguished name and its NUL."""
        head = _HEAD.pack(_PERMANENT, PROVIDER_UID, _VERSION, self.display_type)
        return head + self.dn.encode("latin-1") + b"\0"


class EphemeralEntryId(msgspec.Struct, frozen=True, gc=False):
    """Names an object by its MId, as long as the session lasts ([MS-OXNSPI] 2.2.9.2)."""

    server_guid: bytes
    display_type: int
    mid: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        reader = Reader(data)
        id_type, server_guid, version, display_type = reader.unpack(_HEAD, "EphemeralEntryID")
        if (id_type, version) != (_EPHEMERAL, _VERSION):
            raise WireError("EphemeralEntryID", 0, "another kind of entry id")
        mid = reader.u32("MId")
        reader.expect_end("EphemeralEntryID")
        return cls(server_guid, display_type, mid)

    def encode(self) -> bytes:
        """32 bytes."""
        return _HEAD.pack(_EPHEMERAL, self.server_guid, _VERSION, self.display_type) + _MID.pack(self.mid)
