"""What an RPC interface is to the mock, and what its methods are told about the caller."""

from collections.abc import Awaitable, Callable, Mapping
from os import urandom
from typing import Final, TypeVar

import msgspec

from loadgen.errors import RpcFault
from loadgen.wire.pdu import SyntaxId

ACCESS_DENIED: Final = 5
BAD_STUB_DATA: Final = 0x6F7
SECURITY_PACKAGE_ERROR: Final = 0x721
PROTOCOL_ERROR: Final = 0x1C01000B
CANCELLED: Final = 0x1C00000D
CALL_FAILED: Final = 0x1C000012
CONTEXT_MISMATCH: Final = 0x1C00001A
UNSUPPORTED_LEVEL: Final = 0x1C00001D

T = TypeVar("T")


class AssociationGroup:
    """The connections of one client that share context handles ([C706] 9.3).

    ``handles`` maps the 20 bytes on the wire to what they stand for. When the last connection goes, every
    handle that is still open is run down: its callback is called once. Handles in ``shared`` are all groups',
    and outlive these. ``attributes`` is what handles begin with.
    """

    __slots__ = (
        "_attributes",
        "_is_shared",
        "_run_downs",
        "client_group",
        "connections",
        "group_id",
        "handles",
    )

    def __init__(
        self,
        group_id: int,
        client_group: bytes = b"",
        shared: dict[bytes, object] | None = None,
        attributes: int = 0,
    ) -> None:
        self.group_id = group_id
        self.client_group = client_group
        self.connections = 0
        self.handles: dict[bytes, object] = {} if shared is None else shared
        self._is_shared = shared is not None
        self._attributes = attributes.to_bytes(4, "little")
        self._run_downs: dict[bytes, Callable[[], None]] = {}

    def open_handle(self, value: object, run_down: Callable[[], None] | None = None) -> bytes:
        """A new context handle for ``value``; ``run_down`` is called if the client leaves it open."""
        handle = self._attributes + urandom(16)
        self.handles[handle] = value
        if run_down is not None:
            self._run_downs[handle] = run_down
        return handle

    def find(self, handle: bytes, kind: type[T]) -> T:
        """What an open ``handle`` stands for; raises :class:`RpcFault` unless that is a ``kind``."""
        value = self.handles.get(handle)
        if not isinstance(value, kind):
            raise RpcFault(CONTEXT_MISMATCH)
        return value

    def close_handle(self, handle: bytes) -> None:
        """Forget ``handle``, which the client closed itself: no run-down."""
        self.handles.pop(handle, None)
        self._run_downs.pop(handle, None)

    def run_down(self) -> None:
        """Forget all handles that are not shared, and tell their owners."""
        run_downs = tuple(self._run_downs.values())
        if not self._is_shared:
            self.handles.clear()
        self._run_downs.clear()
        for callback in run_downs:
            callback()


class CallContext(msgspec.Struct, frozen=True):
    """Who calls, over what: one for each RPC connection.

    ``user`` is the identity that RPC-level security established, "" when there is none. HTTP Basic ends at
    the client access server and the legs behind it carry no user, so at authentication level none a store
    goes by the distinguished name in EcDoConnectEx, as the servers do that accept this level.
    """

    user: str
    association: AssociationGroup
    server_name: str


Method = Callable[[CallContext, bytes], bytes | Awaitable[bytes]]
"""Request stub in, response stub out, at once or later: a call that waits delays no other.

Raises :class:`RpcFault` for a fault; a :class:`~loadgen.errors.WireError` becomes the fault 0x6F7.
An awaitable is cancelled when the caller cancels, abandons the call or goes.
"""


class Interface(msgspec.Struct, frozen=True):
    """An RPC interface and its methods by opnum; all other opnums are out of range."""

    interface: SyntaxId
    methods: Mapping[int, Method]
