"""Names of a mailbox's folders, messages and changes that are good in every session ([MS-OXCFXICS] 2.2.1)."""

import msgspec

from loadgen.wire.identifiers import counter_of, global_counter_of
from loadgen.wire.idset import IdSetByReplGuid, IdSetByReplId


class Replica(msgspec.Struct, frozen=True, gc=False):
    """Who numbers the objects of a mailbox: ``number`` stands for ``guid`` in the ids of one logon."""

    number: int
    guid: bytes

    def source_key(self, identifier: int) -> bytes:
        """The name of a folder or message, 22 bytes; in this form the server names its own changes, too."""
        return self.guid + global_counter_of(identifier)

    def with_id(self, ids: IdSetByReplGuid, identifier: int) -> IdSetByReplGuid:
        """A set of the state, and one id or change number more."""
        counter = counter_of(identifier)
        return ids.with_range(self.guid, counter, counter)

    def globally(self, ids: IdSetByReplId) -> IdSetByReplGuid:
        """The same ids, as a state has them."""
        return IdSetByReplGuid.of_counters({self.guid: ids.counters(self.number)})
