"""What a client has of a folder, by its own account and by what it got since ([MS-OXCFXICS] 2.2.1.1)."""

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from loadgen.errors import LocalProtocolError, WireError
from loadgen.wire.fasttransfer.markers import MetaTagCnsetRead, MetaTagCnsetSeenFAI
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.idset import GlobSet, IdSetByReplGuid
from loadgen.wire.properties import PropertyTag
from mock_server.mailboxes.message import Message

_FIRST_COUNTER: Final = 1


class KnownNumbers:
    """A set of the state: numbers of this store, which grow, and those of others, which stay as they came.

    One number after the other is put aside and brought in when the set is asked for.
    """

    __slots__ = ("_added", "_ids", "_own", "_replica")

    def __init__(self, replica: bytes, ids: IdSetByReplGuid) -> None:
        self._replica = replica
        self._ids = ids
        self._own = ids.counters(replica)
        self._added: list[int] = []

    @property
    def own(self) -> GlobSet:
        """Numbers of this store."""
        if self._added:
            self._own |= GlobSet.of(self._added)
            self._added = []
        return self._own

    @property
    def ids(self) -> IdSetByReplGuid:
        """All of them."""
        return IdSetByReplGuid.of_counters(dict(self._ids.replicas) | {self._replica: self.own})

    def add(self, counter: int) -> None:
        """One more."""
        self._added.append(counter)

    def add_all_to(self, last: int) -> None:
        """All that the store has given out so far."""
        self._own = self.own.with_range(_FIRST_COUNTER, last)

    def remove(self, counters: GlobSet) -> None:
        """Those that mean nothing any more."""
        self._own = self.own - counters


class MessageVersion(msgspec.Struct, frozen=True, gc=False):
    """A message as it was at some moment, by its numbers."""

    counter: int
    change_counter: int
    read_counter: int
    associated: bool

    @classmethod
    def of(cls, message: Message) -> Self:
        """As it is now."""
        return cls(message.counter, message.change_counter, message.read_counter, message.associated)

    @classmethod
    def brought_by_client(cls, message: Message) -> Self:
        """As it is now, but whether others have marked it as read the client may not know."""
        return cls(message.counter, message.change_counter, 0, message.associated)


class ClientState:
    """The sets of a state: objects that the client has, and changes that it has seen.

    ``has_contents`` is False where folders are synchronised, which have two sets only.
    """

    def __init__(self, replica: bytes, state: State, *, has_contents: bool) -> None:
        nothing = IdSetByReplGuid()
        self.has_contents = has_contents
        self.given = KnownNumbers(replica, state.idset_given)
        self.seen = KnownNumbers(replica, state.cnset_seen)
        self.seen_associated = KnownNumbers(replica, state.cnset_seen_fai or nothing)
        self.read = KnownNumbers(replica, state.cnset_read or nothing)

    def has(self, version: MessageVersion) -> None:
        """The client has a message in this version."""
        self.given.add(version.counter)
        seen = self.seen_associated if version.associated else self.seen
        seen.add(version.change_counter)
        if version.read_counter:
            self.read.add(version.read_counter)

    def has_folder(self, counter: int, change_counter: int) -> None:
        """The client has a folder as it was after a change."""
        self.given.add(counter)
        self.seen.add(change_counter)

    def state(self) -> State:
        """The state to give to the client."""
        if not self.has_contents:
            return State(self.given.ids, self.seen.ids)
        return State(self.given.ids, self.seen.ids, self.seen_associated.ids, self.read.ids)


class StateUpload:
    """Takes the properties of a state one after the other, each in pieces ([MS-OXCFXICS] 2.2.3.2.2).

    Raises :class:`LocalProtocolError` for a step out of order and :class:`WireError` for wrong bytes.
    """

    def __init__(self, *, has_contents: bool) -> None:
        self._has_contents = has_contents
        self._values: dict[PropertyTag, bytes] = {}
        self._tag: PropertyTag | None = None
        self._missing = 0
        self._pieces: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether a property has begun and not ended."""
        return self._tag is not None

    def begin(self, tag: PropertyTag, size: int) -> None:
        """A property of ``size`` bytes is to come."""
        if self.is_open:
            raise LocalProtocolError("a property begins before the last one has ended")
        if not self._has_contents and tag in (MetaTagCnsetSeenFAI, MetaTagCnsetRead):
            raise WireError("StateProperty", 0, f"0x{tag:08X} is not of a hierarchy")
        State.of([(tag, b"")])
        self._tag, self._missing, self._pieces = tag, size, []

    def go_on(self, data: bytes) -> None:
        """The next bytes of it."""
        if not self.is_open:
            raise LocalProtocolError("bytes of no property")
        if len(data) > self._missing:
            raise WireError("StreamData", 0, f"{len(data) - self._missing} bytes more than were announced")
        self._missing -= len(data)
        self._pieces.append(data)

    def end(self) -> None:
        """It is complete."""
        if self._tag is None:
            raise LocalProtocolError("no property has begun")
        tag, self._tag = self._tag, None
        if self._missing:
            raise WireError("StreamData", 0, f"{self._missing} bytes fewer than were announced")
        value = b"".join(self._pieces)
        State.of([(tag, value)])
        self._values[tag] = value

    def state(self) -> State:
        """What has been uploaded."""
        return State.of(self._values.items())


def counters_of(messages: Iterable[Message]) -> GlobSet:
    """The numbers by which messages are known."""
    return GlobSet.of(message.counter for message in messages)
