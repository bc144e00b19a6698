"""What an association tells whoever owns it."""

from typing import TypeAlias

from msgspec import Struct

from loadgen.errors import RpcFault


class ContextsAccepted(Struct, frozen=True, gc=False):
    """Every interface that was asked for can be called."""


class CallReturned(Struct, frozen=True, gc=False):
    """A call has its whole answer."""

    call_id: int
    stub: bytes


class CallFaulted(Struct, frozen=True):
    """A call ended in a fault PDU."""

    call_id: int
    fault: RpcFault


class ShutdownRequested(Struct, frozen=True, gc=False):
    """The server asks the client to close the connection when it is idle ([C706] 12.6.4.11)."""


Event: TypeAlias = ContextsAccepted | CallReturned | CallFaulted | ShutdownRequested
