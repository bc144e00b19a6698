"""What every RPC method's request has in common, whichever interface it belongs to."""

from typing import ClassVar, Protocol, TypeVar

from loadgen.wire.pdu import SyntaxId

ResponseT_co = TypeVar("ResponseT_co", covariant=True)


class RpcRequest(Protocol[ResponseT_co]):
    """The [in] parameters of a method; its class knows the interface, the opnum and the answer."""

    interface: ClassVar[SyntaxId]
    opnum: ClassVar[int]

    def encode(self) -> bytes:
        """The request stub."""

    @staticmethod
    def decode_response(stub: bytes) -> ResponseT_co:
        """The [out] parameters; raises :class:`~loadgen.errors.WireError`."""
