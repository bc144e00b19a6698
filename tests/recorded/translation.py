"""What one server calls one thing and another server another: found in their answers, changed in requests."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from loadgen.wire import emsmdb, nspi
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.properties import PidTagMid
from loadgen.wire.rop.buffer import NO_HANDLE, write_requests
from loadgen.wire.rop.oxcstor import RopLogonPrivateResponse
from tests.recorded.dialogue import RopExchange, read_rops

_USER = re.compile(r"cn=[0-9a-f]{16}-(u\d{3})")
_SERVER = re.compile(r"cn=[0-9a-f-]{36}@example\.test")


class Translation:
    """From the recorded server to the mock, for one conversation; object handles are those of one session.

    ``renames`` says whether users and servers have other names with the mock.
    """

    def __init__(self, *, renames: bool = True) -> None:
        self._renames = renames
        self._contexts: dict[bytes, bytes] = {}
        self._objects: dict[tuple[bytes, int], int] = {}
        self._ids: dict[int, int] = {0: 0}
        self._mids: dict[int, int] = {}

    def request(self, recorded: Any) -> Any:
        """The request as the recorded client would have said it to the mock."""
        match recorded:
            case emsmdb.EcDoRpcExt2Request():
                rops, handles = read_rops(recorded)
                ours = [self._objects.get((recorded.context_handle, handle), handle) for handle in handles]
                payload = write_requests([self._fields(rop) for rop in rops], ours)
                recorded = replace(recorded, rgb_in=write_payload(payload, 0))
            case nspi.NspiQueryRowsRequest():
                mid = self._mids[recorded.stat.current_rec]
                recorded = replace(recorded, stat=replace(recorded.stat, current_rec=mid))
        return self._fields(recorded)

    def learn(self, recorded: Any, ours: Any) -> None:
        """Two answers to the same request."""
        for name in ("context_handle", "async_context_handle", "handle"):
            if hasattr(recorded, name):
                self._contexts[getattr(recorded, name)] = getattr(ours, name)
        if isinstance(recorded, nspi.NspiUpdateStatResponse):
            self._mids[recorded.stat.current_rec] = ours.stat.current_rec

    def learn_rops(self, context: bytes, recorded: RopExchange, ours: RopExchange) -> None:
        """The same of the ROPs that were in them; ``context`` is the recorded session."""
        for theirs, handle in zip(recorded.handles_after, ours.handles_after, strict=True):
            if theirs != NO_HANDLE:
                self._objects[context, theirs] = handle
        for one, other in zip(recorded.responses, ours.responses, strict=False):
            if isinstance(one, RopLogonPrivateResponse) and isinstance(other, RopLogonPrivateResponse):
                self._ids |= dict(zip(one.folder_ids, other.folder_ids, strict=True))
            if hasattr(one, "message_id") and hasattr(other, "message_id"):
                self._ids[one.message_id] = other.message_id
            for row, our_row in zip(getattr(one, "rows", ()), getattr(other, "rows", ()), strict=False):
                if PidTagMid in row.columns:
                    self._ids[row.get(PidTagMid)] = our_row.get(PidTagMid)

    def _fields(self, request: Any) -> Any:
        """All that is a name, wherever it stands."""
        changes = {
            field: translate(getattr(request, field))
            for field, translate in self._translators.items()
            if hasattr(request, field)
        }
        return replace(request, **changes) if changes else request

    @property
    def _translators(self) -> Mapping[str, Callable[[Any], Any]]:
        def context(handle: bytes) -> bytes:
            return self._contexts[handle]

        def identifier(theirs: int) -> int:
            return self._ids[theirs]

        return {
            "context_handle": context,
            "async_context_handle": context,
            "handle": context,
            "folder_id": identifier,
            "message_id": identifier,
        } | (dict.fromkeys(("user_dn", "essdn", "server_dn"), name) if self._renames else {})


def name(recorded: str) -> str:
    """A distinguished name: the recorded server numbers its users, and makes a server up for each."""
    return _SERVER.sub("cn=MBX1", _USER.sub(r"cn=\1", recorded))
