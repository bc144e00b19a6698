"""What a ROP's handler is given, and how it refuses ([MS-OXCROPS] 3.2.5)."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from loadgen.wire.rop.base import RopResponse
from mock_server.mailboxes.session import ServerObject, Session

NULL_OBJECT: Final = 0x000004B9
UNKNOWN_USER: Final = 0x000003EB
SEND_AS_DENIED: Final = 0x000004DC
CALL_FAILED: Final = 0x80004005
NOT_SUPPORTED: Final = 0x80040102
INVALID_ENTRY_ID: Final = 0x80040107
OBJECT_MODIFIED: Final = 0x80040109
OBJECT_DELETED: Final = 0x8004010A
NOT_FOUND: Final = 0x8004010F
LOGON_FAILED: Final = 0x80040111
TOO_COMPLEX: Final = 0x80040117
COMPUTED: Final = 0x8004011A
TOO_BIG: Final = 0x80040305
INVALID_BOOKMARK: Final = 0x80040405
CORRUPT_DATA: Final = 0x80040600
DUPLICATE_NAME: Final = 0x80040604
UNABLE_TO_ABORT: Final = 0x80040114
NO_RECIPIENTS: Final = 0x80040607
SYNC_OBJECT_DELETED: Final = 0x80040800
SYNC_IGNORE: Final = 0x80040801
SYNC_CONFLICT: Final = 0x80040802
ACCESS_DENIED: Final = 0x80070005
OUT_OF_MEMORY: Final = 0x8007000E
INVALID_PARAMETER: Final = 0x80070057
"""Return values ([MS-OXCDATA] 2.4)."""

ObjectT = TypeVar("ObjectT", bound=ServerObject)


class RopError(Exception):
    """The ROP fails with ``code``; those behind it go on."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:08X}")
        self.code = code


class BufferTooSmallError(Exception):
    """The answer needs ``size`` bytes; this ROP and those behind it wait for another call."""

    def __init__(self, size: int) -> None:
        super().__init__(str(size))
        self.size = size


class BufferFormatError(Exception):
    """The ROP buffer makes no sense: the whole call fails with ecRpcFormat."""


class RopCall(msgspec.Struct):
    """One ROP being carried out: the handle table of its buffer, and the room that its response may take.

    All handle indexes of the ROP are known to be within the table; ``room`` is in bytes.
    """

    session: Session
    handles: list[int]
    logon_id: int = 0
    room: int = 0

    def find(self, index: int, kind: type[ObjectT]) -> ObjectT:
        """The object at a handle index; raises :class:`RopError` if there is none, or one of another kind."""
        found = self.session.objects.get(self.handles[index])
        if found is None or found.logon_id != self.logon_id:
            raise RopError(NULL_OBJECT)
        if not isinstance(found, kind):
            raise RopError(NOT_SUPPORTED)
        return found

    def open(self, index: int, opened: ServerObject) -> None:
        """Put a new object's handle at a handle index."""
        self.handles[index] = self.session.open(opened, self.logon_id)

    def log_on(self, index: int, logon: ServerObject) -> None:
        """Put a new logon's handle at a handle index."""
        self.handles[index] = self.session.log_on(logon, self.logon_id)

    def release(self, index: int) -> None:
        """Forget the object at a handle index; one that is not there is no matter ([MS-OXCROPS] 3.2.5.3)."""
        self.session.release(self.handles[index])


Handler: TypeAlias = Callable[[RopCall, Any], RopResponse]
"""Carries one kind of ROP out; the request's class is its key in a table of handlers.

Raises :class:`RopError` or :class:`BufferTooSmallError`.
"""
