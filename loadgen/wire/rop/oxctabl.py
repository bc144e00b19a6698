"""ROPs of tables ([MS-OXCTABL] 2.2.2)."""

from collections.abc import Container, Sequence
from struct import Struct
from typing import Final, Self

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyRow, PropertyTag
from loadgen.wire.rop.base import ColumnsOf, InputRequest, RopResponse
from loadgen.wire.rop.layout import (
    I32,
    U8,
    U16,
    U32,
    Bool8,
    PropertyTags,
    SizedBytes,
    SizedRestriction,
    layout_of,
)

BOOKMARK_BEGINNING: Final = 0
BOOKMARK_CURRENT: Final = 1
BOOKMARK_END: Final = 2
BOOKMARK_CUSTOM: Final = 3
"""Origin."""

ASCENDING: Final = 0
DESCENDING: Final = 1
MAXIMUM_CATEGORY: Final = 4
"""Order of a sort."""

ADVANCE: Final = 0
NO_ADVANCE: Final = 1
PACKED_BUFFERS: Final = 2
"""QueryRowsFlags."""

_SORT_ORDER = Struct("<IB")


class SortOrder(msgspec.Struct, frozen=True, gc=False):
    """One column to sort by ([MS-OXCDATA] 2.13.1)."""

    tag: PropertyTag
    order: int = ASCENDING


class TableStatusResponse(RopResponse, frozen=True, gc=False):
    """Whether the server is done (0) or still at it."""

    table_status: U8 = 0


class RopSetColumnsResponse(TableStatusResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.5.1."""

    rop_id = 0x12


class RopSetColumnsRequest(InputRequest, frozen=True, gc=False):
    """Says which columns the rows of a table have ([MS-OXCROPS] 2.2.5.1)."""

    rop_id = 0x12
    response = RopSetColumnsResponse
    set_columns_flags: U8
    property_tags: PropertyTags


class RopSortTableResponse(TableStatusResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.5.2."""

    rop_id = 0x13


class RopSortTableRequest(InputRequest, frozen=True):
    """Sorts a table; the first columns may make categories, of which some are open ([MS-OXCROPS] 2.2.5.2)."""

    rop_id = 0x13
    response = RopSortTableResponse
    sort_table_flags: U8
    sort_orders: tuple[SortOrder, ...]
    category_count: int = 0
    expanded_count: int = 0

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        order_count, category_count = reader.u16("SortOrderCount"), reader.u16("CategoryCount")
        expanded_count = reader.u16("ExpandedCount")
        data = reader.take(order_count * _SORT_ORDER.size, "SortOrders")
        orders = tuple(SortOrder(*order) for order in _SORT_ORDER.iter_unpack(data))
        return cls(*[*prefix, orders, category_count, expanded_count])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        for count in (len(self.sort_orders), self.category_count, self.expanded_count):
            writer.u16(count)
        for sort_order in self.sort_orders:
            writer.pack(_SORT_ORDER, sort_order.tag, sort_order.order)


class RopRestrictResponse(TableStatusResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.5.3."""

    rop_id = 0x14


class RopRestrictRequest(InputRequest, frozen=True):
    """Limits a table to rows for which the restriction holds; None lifts it ([MS-OXCROPS] 2.2.5.3)."""

    rop_id = 0x14
    response = RopRestrictResponse
    restrict_flags: U8
    restriction: SizedRestriction


class RopQueryRowsResponse(RopResponse, frozen=True):
    """Rows over the table's columns, and where the cursor stands now ([MS-OXCROPS] 2.2.5.4)."""

    rop_id = 0x15
    origin: U8
    rows: tuple[PropertyRow, ...]

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        origin = reader.u8("Origin")
        rows = tuple(PropertyRow.read(reader, columns) for _ in range(reader.u16("RowCount")))
        return cls(handle_index, origin, rows, return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        super().write(writer)
        writer.u16(len(self.rows))
        for row in self.rows:
            row.write(writer)


class RopQueryRowsRequest(InputRequest, frozen=True, gc=False):
    """Reads rows from the cursor on ([MS-OXCROPS] 2.2.5.4)."""

    rop_id = 0x15
    response = RopQueryRowsResponse
    query_rows_flags: U8
    forward_read: Bool8
    row_count: U16

    def response_columns(self, columns_of: ColumnsOf) -> Sequence[PropertyTag]:
        """The table's."""
        return columns_of(self.input_handle_index)


class RopQueryPositionResponse(RopResponse, frozen=True, gc=False):
    """Where the cursor stands, and how many rows there are ([MS-OXCROPS] 2.2.5.7)."""

    rop_id = 0x17
    numerator: U32
    denominator: U32


class RopQueryPositionRequest(InputRequest, frozen=True, gc=False):
    """Asks where the cursor stands ([MS-OXCROPS] 2.2.5.7)."""

    rop_id = 0x17
    response = RopQueryPositionResponse


class RopSeekRowResponse(RopResponse, frozen=True, gc=False):
    """How far the cursor went ([MS-OXCROPS] 2.2.5.8)."""

    rop_id = 0x18
    has_sought_less: Bool8
    rows_sought: I32


class RopSeekRowRequest(InputRequest, frozen=True, gc=False):
    """Moves the cursor ([MS-OXCROPS] 2.2.5.8)."""

    rop_id = 0x18
    response = RopSeekRowResponse
    origin: U8
    row_count: I32
    want_row_moved_count: Bool8 = True


class RopFindRowResponse(RopResponse, frozen=True):
    """The next row for which the restriction holds ([MS-OXCROPS] 2.2.5.13)."""

    rop_id = 0x4F
    row_no_longer_visible: Bool8
    row: PropertyRow | None

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        no_longer_visible, has_row = reader.u8("RowNoLongerVisible"), reader.u8("HasRowData")
        row = PropertyRow.read(reader, columns) if has_row else None
        return cls(handle_index, bool(no_longer_visible), row, return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        super().write(writer)
        writer.u8(self.row is not None)
        if self.row is not None:
            self.row.write(writer)


class RopFindRowRequest(InputRequest, frozen=True):
    """Moves the cursor to the next row for which the restriction holds ([MS-OXCROPS] 2.2.5.13)."""

    rop_id = 0x4F
    response = RopFindRowResponse
    find_row_flags: U8
    restriction: SizedRestriction
    origin: U8 = BOOKMARK_BEGINNING
    bookmark: SizedBytes = b""

    def response_columns(self, columns_of: ColumnsOf) -> Sequence[PropertyTag]:
        """The table's."""
        return columns_of(self.input_handle_index)


REQUESTS = (
    RopSetColumnsRequest,
    RopSortTableRequest,
    RopRestrictRequest,
    RopQueryRowsRequest,
    RopQueryPositionRequest,
    RopSeekRowRequest,
    RopFindRowRequest,
)
