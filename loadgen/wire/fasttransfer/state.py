"""What a client has of a folder ([MS-OXCFXICS] 2.2.1.1): all that a server needs to tell what it lacks."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Element, Property, encode
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    IncrSyncStateBegin,
    IncrSyncStateEnd,
    MetaTagCnsetRead,
    MetaTagCnsetSeen,
    MetaTagCnsetSeenFAI,
    MetaTagIdsetGiven,
)
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.idset import IdSetByReplGuid
from loadgen.wire.properties import PropertyTag, Value

_BINARY_IDSET_GIVEN: Final = 0x40170102
"""The same property under the type that its value has."""

_FIELDS: Final[Mapping[PropertyTag, str]] = {
    MetaTagIdsetGiven: "idset_given",
    MetaTagCnsetSeen: "cnset_seen",
    MetaTagCnsetSeenFAI: "cnset_seen_fai",
    MetaTagCnsetRead: "cnset_read",
}


class State(msgspec.Struct, frozen=True):
    """Ids and change numbers that a client has, by replica GUID (state, [MS-OXCFXICS] 2.2.4.2).

    The last two are None when it is a hierarchy that is synchronised.
    """

    idset_given: IdSetByReplGuid = IdSetByReplGuid()
    cnset_seen: IdSetByReplGuid = IdSetByReplGuid()
    cnset_seen_fai: IdSetByReplGuid | None = None
    cnset_read: IdSetByReplGuid | None = None

    @classmethod
    def of(cls, values: Iterable[tuple[PropertyTag, Value]]) -> Self:
        """From the properties as they are uploaded, in any order; raises :class:`WireError`."""
        sets: dict[str, IdSetByReplGuid] = {}
        for tag, value in values:
            field = _FIELDS.get(MetaTagIdsetGiven if tag == _BINARY_IDSET_GIVEN else tag)
            if field is None:
                raise WireError("StateProperty", 0, f"0x{tag:08X} is not of a state")
            sets[field] = IdSetByReplGuid.decode(value)
        return cls(**sets)

    def values(self) -> Iterator[tuple[PropertyTag, bytes]]:
        """The properties as they are uploaded."""
        for tag, field in _FIELDS.items():
            ids: IdSetByReplGuid | None = getattr(self, field)
            if ids is not None:
                yield tag, ids.encode()

    @classmethod
    def decode(cls, stream: bytes) -> Self:
        """A whole stream of RopSynchronizationGetTransferState; raises :class:`WireError`."""
        parser = FastTransferParser()
        reader = ElementReader(parser.feed(stream))
        parser.finish()
        state = cls.read(reader)
        reader.expect_end()
        return state

    def encode(self) -> bytes:
        """A whole stream."""
        return encode(self.elements())

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncStateBegin to IncrSyncStateEnd; raises :class:`WireError`."""
        reader.take_marker(IncrSyncStateBegin)
        state = cls.of((known.tag, known.value) for known in reader.take_properties())
        reader.take_marker(IncrSyncStateEnd)
        return state

    def elements(self) -> Iterator[Element]:
        """From IncrSyncStateBegin to IncrSyncStateEnd."""
        yield IncrSyncStateBegin
        for tag, value in self.values():
            yield Property(tag, value)
        yield IncrSyncStateEnd
