"""What all ROPs have in common ([MS-OXCROPS] 2.2.2): the request, the response, the failure.

A class lists its fields in wire order with the forms of :mod:`loadgen.wire.rop.layout`; only a ROP whose
fields come and go overrides ``read`` and ``write``.
"""

from collections.abc import Callable, Container, Sequence
from typing import ClassVar, Final, Self, TypeAlias

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.layout import U8, layout_of

ColumnsOf: TypeAlias = Callable[[int], Sequence[PropertyTag]]
"""The columns last set on the table that a handle index of the same ROP buffer names."""

EVERY_RETURN_VALUE: Final = range(1 << 32)
"""For a response whose fields are there on failure, too."""


class RopRequest(msgspec.Struct, frozen=True):
    """A ROP's request; ``logon_id`` is the number that the client gave its logon."""

    rop_id: ClassVar[int]
    response: ClassVar["type[RopResponse]"]
    answered: ClassVar[bool] = True
    """False for RopRelease alone."""

    logon_id: U8

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`. One ROP has more on a public logon."""
        return cls(*layout_of(cls).read(reader))

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        writer.u8(self.rop_id)
        layout_of(type(self)).write(writer, self)

    def response_columns(self, _columns_of: ColumnsOf) -> Sequence[PropertyTag]:
        """The columns of the rows in the response, for the few ROPs that answer with bare rows."""
        return ()

    def response_type(self, _return_value: int) -> "type[RopResponse]":
        """The class that reads the answer if it carries fields."""
        return self.response


class InputRequest(RopRequest, frozen=True):
    """A request on the object at ``input_handle_index``."""

    input_handle_index: U8


class OpeningRequest(InputRequest, frozen=True):
    """A request on one object that yields another, at ``output_handle_index``."""

    output_handle_index: U8


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    return_value: int = 0


class RopResponse(_Outcome, frozen=True):
    """A ROP's response with its fields; ``return_value`` comes last in Python, so that success is short."""

    rop_id: ClassVar[int]
    fields_present_for: ClassVar[Container[int]] = (0,)
    """The return values for which the response has more than its header; for others see RopErrorResponse."""

    handle_index: int

    @classmethod
    def fields_follow(cls, _reader: Reader, return_value: int) -> bool:
        """Whether there are fields behind ReturnValue, where ``_reader`` stands."""
        return return_value in cls.fields_present_for

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, _columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        return cls(handle_index, *layout_of(cls).read(reader), return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        self.write_header(writer)
        layout_of(type(self)).write(writer, self)

    def write_header(self, writer: Writer) -> None:
        """RopId, handle index and ReturnValue."""
        writer.u8(self.rop_id)
        writer.u8(self.handle_index)
        writer.u32(self.return_value)


class TalkativeResponse(RopResponse, frozen=True):
    """A response that has its fields on failure, too, though not from every server.

    Gromox leaves them out of RopSetReadFlags, OpenChange out of more. What follows tells: the list is over,
    or the next byte is none of ``first_bytes``, with which they begin, and so the RopId of the next response.
    """

    fields_present_for = EVERY_RETURN_VALUE
    first_bytes: ClassVar[Container[int]] = range(256)

    @classmethod
    def fields_follow(cls, reader: Reader, return_value: int) -> bool:
        """Whether there are fields behind ReturnValue, where ``reader`` stands."""
        if return_value == 0:
            return True
        return reader.remaining > 0 and reader.data[reader.offset] in cls.first_bytes


class RopErrorResponse(msgspec.Struct, frozen=True, gc=False):
    """The failure of any ROP that keeps no fields then, or whose server left them out."""

    rop_id: int
    handle_index: int
    return_value: int

    def write(self, writer: Writer) -> None:
        """RopId, handle index and ReturnValue."""
        writer.u8(self.rop_id)
        writer.u8(self.handle_index)
        writer.u32(self.return_value)
