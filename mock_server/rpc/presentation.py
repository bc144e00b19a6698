"""What an association has agreed to talk about: interfaces by presentation context ([C706] 12.6.3.1)."""

from typing import Final

import msgspec

from loadgen.wire.pdu import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    NDR,
    NEGOTIATE_ACK,
    PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED,
    PROVIDER_REJECTION,
    REASON_NOT_SPECIFIED,
    ContextResult,
    PresentationContext,
    SyntaxId,
    offered_features,
)
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint

_REFUSED: Final = ContextResult(PROVIDER_REJECTION, REASON_NOT_SPECIFIED)


class BoundInterface(msgspec.Struct, frozen=True):
    """An interface as the client asked for it: ``syntax`` may be of an earlier minor version."""

    syntax: SyntaxId
    interface: Interface


class PresentationContexts:
    """Those of one association. ``features`` are what a bind has been granted of those it offered."""

    def __init__(self, endpoint: Endpoint, known_features: int) -> None:
        self.features = 0
        self._endpoint = endpoint
        self._known_features = known_features
        self._bound: dict[int, BoundInterface] = {}

    def find(self, context_id: int) -> BoundInterface | None:
        """What a context stands for."""
        return self._bound.get(context_id)

    def clear(self) -> None:
        """Nothing is agreed any more."""
        self._bound.clear()

    def negotiate(self, context: PresentationContext) -> ContextResult:
        """The answer to a context of a bind, which may be an offer of features in disguise."""
        features = offered_features(context.transfer_syntaxes[0]) if context.transfer_syntaxes else None
        if features is None:
            return self.accept(context)
        self.features = features & self._known_features
        return ContextResult(NEGOTIATE_ACK, self.features)

    def accept(self, context: PresentationContext) -> ContextResult:
        """The answer to a context."""
        interface = self._endpoint.find(context.abstract_syntax)
        if interface is None:
            return ContextResult(PROVIDER_REJECTION, ABSTRACT_SYNTAX_NOT_SUPPORTED)
        if NDR not in context.transfer_syntaxes and not self._endpoint.manners.one_context:
            return ContextResult(PROVIDER_REJECTION, PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED)
        new = BoundInterface(context.abstract_syntax, interface)
        if self._bound.setdefault(context.context_id, new).interface is not interface:
            return _REFUSED
        return ContextResult(ACCEPTANCE, REASON_NOT_SPECIFIED, NDR)
