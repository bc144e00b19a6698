"""How much the address book of one server is used, in the counters of the directory service."""

from collections import Counter
from collections.abc import Awaitable
from typing import Final

from loadgen.wire import nspi
from mock_server.limits.user_limit import UserLimit
from mock_server.rpc.dispatch import CallContext, Method

_COUNTERS: Final = {
    nspi.NspiResolveNamesRequest.opnum: "AB ANR/sec",
    nspi.NspiResolveNamesWRequest.opnum: "AB ANR/sec",
    nspi.NspiQueryRowsRequest.opnum: "AB Browses/sec",
    nspi.NspiUpdateStatRequest.opnum: "AB Browses/sec",
    nspi.NspiGetMatchesRequest.opnum: "AB Matches/sec",
    nspi.NspiGetPropsRequest.opnum: "AB Property Reads/sec",
    nspi.NspiSeekEntriesRequest.opnum: "AB Searches/sec",
}


class NspiUse:
    """The sessions of all clients, at most ``sessions_per_user`` for each user (0: no limit), and calls."""

    def __init__(self, sessions_per_user: int = 0) -> None:
        self.sessions = 0
        self._users = UserLimit("nspi_sessions", sessions_per_user)
        self._calls: Counter[str] = Counter(dict.fromkeys(_COUNTERS.values(), 0))

    def opens(self, user: str) -> bool:
        """A user opens one more session; False if that is one too many."""
        admitted = self._users.take(user)
        self.sessions += admitted
        return admitted

    def closes(self, user: str) -> None:
        """A session of a user has ended."""
        self._users.give_back(user)
        self.sessions -= 1

    def counted(self, opnum: int, method: Method) -> Method:
        """The same method, counted if there is a counter for its ``opnum``."""
        name = _COUNTERS.get(opnum)
        if name is None:
            return method

        def count_and_call(context: CallContext, stub: bytes) -> bytes | Awaitable[bytes]:
            self._calls[name] += 1
            return method(context, stub)

        return count_and_call

    def report(self) -> dict[str, float]:
        """The counters at this moment."""
        calls = {f"NTDS\\{name}": count for name, count in self._calls.items()}
        return {"NTDS\\AB Client Sessions": self.sessions, **calls, **self._users.report()}


def user_of(context: CallContext) -> str:
    """Whose sessions the caller's are: the user whom RPC-level security has established.

    Without it nothing that DSProxy hands on names anybody, and a real global catalog lets nobody in. Here
    each client then stands for a user of its own, by its RTS AssociationGroupId or else by its group.
    """
    if context.user:
        return context.user.lower()
    group = context.association
    return group.client_group.hex() if any(group.client_group) else str(group.group_id)
