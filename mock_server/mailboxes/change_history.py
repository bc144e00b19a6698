"""Which change an object has seen last, and which ones before it ([MS-OXCFXICS] 2.2.1.2.7 and 2.2.1.2.8).

A change is named by an XID: the GUID of who made it, then a number of the maker's own. Of two versions of an
object, the one whose history contains the other's last change is the newer; if neither does, they conflict.
"""

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader

_GUID_SIZE: Final = 16
_LONGEST_XID: Final = 24
_SERVER_XID: Final = 22
"""GUID and global counter: no client may name its changes in this form."""


class ChangeHistory(msgspec.Struct, frozen=True):
    """The last change, ``change_key``, and the latest change of each maker, sorted by GUID."""

    change_key: bytes
    latest: tuple[bytes, ...]

    @classmethod
    def of(cls, change_key: bytes, before: Iterable[bytes] = ()) -> Self:
        """The history of a change that came after those in ``before``."""
        latest: dict[bytes, bytes] = {}
        for xid in (*before, change_key):
            maker = xid[:_GUID_SIZE]
            latest[maker] = max(latest.get(maker, b""), xid)
        return cls(change_key, tuple(latest[maker] for maker in sorted(latest)))

    @property
    def predecessor_change_list(self) -> bytes:
        """PidTagPredecessorChangeList."""
        return b"".join(bytes((len(xid),)) + xid for xid in self.latest)

    def has_seen(self, changes: Iterable[bytes]) -> bool:
        """Whether this version came after, or is, every one of these changes."""
        known = {xid[:_GUID_SIZE]: xid for xid in self.latest}
        return all(known.get(xid[:_GUID_SIZE], b"") >= xid for xid in changes)


class ClientChange(msgspec.Struct, frozen=True):
    """What a client says of a change that it made: its history, and when that was, as a FILETIME."""

    history: ChangeHistory
    modified: int


def read_predecessors(data: bytes) -> tuple[bytes, ...]:
    """The XIDs of a PidTagPredecessorChangeList; raises :class:`WireError`."""
    reader = Reader(data)
    changes: list[bytes] = []
    while reader.remaining:
        start = reader.offset
        xid = reader.take(reader.u8("XidSize"), "XID")
        if not _GUID_SIZE < len(xid) <= _LONGEST_XID:
            raise WireError("XID", start, f"{len(xid)} bytes")
        changes.append(xid)
    return tuple(changes)


def is_client_key(change_key: bytes) -> bool:
    """Whether a client may give its change this name."""
    return _GUID_SIZE < len(change_key) <= _LONGEST_XID and len(change_key) != _SERVER_XID
