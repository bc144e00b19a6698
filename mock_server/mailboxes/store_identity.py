"""What makes the ids of one mailbox or public store its own ([MS-OXCDATA] 2.2)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from loadgen.errors import WireError
from loadgen.wire import identifiers
from loadgen.wire.identifiers import (
    PRIVATE_FOLDER,
    PRIVATE_MESSAGE,
    PUBLIC_FOLDER,
    PUBLIC_MESSAGE,
    PUBLIC_PROVIDER,
    FolderEntryId,
    MessageEntryId,
)
from loadgen.wire.properties import PropertyTag, Value

REPLICA_ID: Final = 1
"""The short name of a store's own replica GUID in every id that it hands out."""


def object_id(counter: int) -> int:
    """The id of the store's object number ``counter``."""
    return identifiers.object_id(REPLICA_ID, counter)


def search_key(dn: str) -> bytes:
    """PidTagSearchKey of an Exchange user: address type and name in capitals, with a NUL."""
    return b"EX:" + dn.upper().encode("latin-1") + b"\0"


class StoreIdentity(msgspec.Struct, frozen=True):
    """GUIDs of a store, and the forms that its objects' ids take.

    ``provider`` is the mailbox GUID, or the one that all public stores have; ``owner_properties`` say who
    receives what is delivered here (empty in a public store).
    """

    replica_guid: bytes
    provider: bytes
    owner_properties: Mapping[PropertyTag, Value] = {}

    @property
    def is_public(self) -> bool:
        """Whether it is a public store."""
        return self.provider == PUBLIC_PROVIDER

    def long_term_id(self, identifier: int) -> bytes:
        """LongTermID, 24 bytes ([MS-OXCDATA] 2.2.1.3.1)."""
        return identifiers.long_term_id(self.replica_guid, identifier)

    def short_id(self, long_term_id: bytes) -> int | None:
        """The id behind a LongTermID; None if another replica made it or it names nothing."""
        counter = int.from_bytes(long_term_id[16:22], "big")
        return object_id(counter) if long_term_id[:16] == self.replica_guid and counter else None

    def source_key(self, identifier: int) -> bytes:
        """GID, 22 bytes: PidTagSourceKey, and PidTagChangeKey of a change that the server made."""
        return self.replica_guid + identifiers.global_counter_of(identifier)

    def folder_entry_id(self, folder_id: int) -> bytes:
        """EntryID of a folder of this store."""
        kind = PUBLIC_FOLDER if self.is_public else PRIVATE_FOLDER
        return FolderEntryId(self.provider, kind, self.long_term_id(folder_id)).encode()

    def folder_id(self, entry_id: bytes) -> int | None:
        """The folder that an entry id names; None unless it is of this store."""
        try:
            named = FolderEntryId.decode(entry_id)
        except WireError:
            return None
        return self.short_id(named.folder) if named.provider == self.provider else None

    def message_entry_id(self, folder_id: int, message_id: int) -> bytes:
        """EntryID of a message of this store."""
        kind = PUBLIC_MESSAGE if self.is_public else PRIVATE_MESSAGE
        folder, message = self.long_term_id(folder_id), self.long_term_id(message_id)
        return MessageEntryId(self.provider, kind, folder, message).encode()

    def message_ids(self, entry_id: bytes) -> tuple[int, int] | None:
        """The folder and the message that an entry id names; None unless they are of this store."""
        try:
            named = MessageEntryId.decode(entry_id)
        except WireError:
            return None
        folder, message = self.short_id(named.folder), self.short_id(named.message)
        if named.provider != self.provider or folder is None or message is None:
            return None
        return folder, message
