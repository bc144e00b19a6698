"""What every RPC method's parameters have in common, whichever interface it belongs to.

A method is two structs: its request holds the [in] parameters, its response the [out] parameters and the
return value. Each says how its fields lie in a stub; what surrounds that stands here.
"""

from struct import Struct
from typing import ClassVar, Generic, Protocol, Self, TypeVar, get_args, get_origin

import msgspec

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId

ResponseT_co = TypeVar("ResponseT_co", covariant=True)
ResponseT = TypeVar("ResponseT", bound="Stub")


class RpcRequest(Protocol[ResponseT_co]):
    """The [in] parameters of a method; its class knows the interface, the opnum and the answer."""

    interface: ClassVar[SyntaxId]
    opnum: ClassVar[int]

    def encode(self) -> bytes:
        """The request stub."""

    @staticmethod
    def decode_response(stub: bytes) -> ResponseT_co:
        """The [out] parameters; raises :class:`~loadgen.errors.WireError`."""


class Stub(msgspec.Struct, frozen=True):
    """The parameters of a method in one direction. A class with fields says how they are read and written."""

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The parameters in a whole stub; raises :class:`~loadgen.errors.WireError`."""
        reader = NdrReader(stub)
        parameters = cls._read(reader)
        if reader.offset != reader.end:  # asked here, for the usual answer needs no call
            reader.expect_end(cls.__name__)
        return parameters

    def encode(self) -> bytes:
        """The whole stub."""
        writer = NdrWriter()
        self._write(writer)
        return writer.getvalue()

    @classmethod
    def _read(cls, _reader: NdrReader) -> Self:
        return cls()

    def _write(self, writer: NdrWriter) -> None:
        """Nothing, for there is no field."""


class FixedStub(Stub, frozen=True):
    """A stub of context handles and 32-bit integers alone, in wire order, so that nothing needs padding."""

    layout: ClassVar[Struct]

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(*reader.unpack(cls.layout, cls.__name__))

    def encode(self) -> bytes:
        """The whole stub, in one step."""
        return self.layout.pack(*msgspec.structs.astuple(self))


class RequestStub(Stub, Generic[ResponseT], frozen=True):
    """A method's request, which names its response: ``class XRequest(RequestStub[XResponse])``.

    Each is an :class:`RpcRequest` of that response.
    """

    interface: ClassVar[SyntaxId]
    opnum: ClassVar[int]
    response: ClassVar[type[ResponseT]]
    """The class in the brackets."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in vars(cls).get("__orig_bases__", ()):
            if get_origin(base) is RequestStub:
                (cls.response,) = get_args(base)

    @classmethod
    def decode_response(cls, stub: bytes) -> ResponseT:
        """The method's [out] parameters; raises :class:`~loadgen.errors.WireError`."""
        return cls.response.decode(stub)
