"""Reading tables ([MS-OXCTABL] 3.2.5)."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from loadgen.wire.buffer import Writer
from loadgen.wire.properties import PropertyRow, PtypObject
from loadgen.wire.restrictions import Restriction
from loadgen.wire.rop import oxcfold as folders
from loadgen.wire.rop import oxcmsg as messages
from loadgen.wire.rop import oxctabl as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.property_bag import stored_tag
from mock_server.mailboxes.row_filter import Predicate, UnsupportedRestrictionError, predicate
from mock_server.mailboxes.table_view import SortKey, TableView
from mock_server.rops.call import (
    INVALID_BOOKMARK,
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    NULL_OBJECT,
    TOO_COMPLEX,
    BufferTooSmallError,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.messages import MessageObject
from mock_server.rops.objects import FolderObject
from mock_server.rops.tables import AttachmentTable, ContentsTable, HierarchyTable, TableObject

_HEADER: Final = 9
"""RopId, handle index, ReturnValue, Origin and RowCount of RopQueryRows."""


def get_contents_table(call: RopCall, request: folders.RopGetContentsTableRequest) -> RopResponse:
    """RopGetContentsTable ([MS-OXCFOLD] 3.2.5.14); soft-deleted messages are not kept."""
    opened = call.find(request.input_handle_index, FolderObject)
    flags = request.table_flags
    call.open(request.output_handle_index, ContentsTable(call.session, opened, flags))
    shown = opened.folder.associated if flags & folders.ASSOCIATED else opened.folder.messages
    count = 0 if flags & folders.SOFT_DELETES else len(shown)
    return folders.RopGetContentsTableResponse(request.output_handle_index, count)


def get_hierarchy_table(call: RopCall, request: folders.RopGetHierarchyTableRequest) -> RopResponse:
    """RopGetHierarchyTable ([MS-OXCFOLD] 3.2.5.13)."""
    opened = call.find(request.input_handle_index, FolderObject)
    deep = request.table_flags & folders.DEPTH
    call.open(request.output_handle_index, HierarchyTable(call.session, opened, request.table_flags))
    count = sum(1 for _ in opened.folder.descendants()) if deep else len(opened.folder.subfolders)
    return folders.RopGetHierarchyTableResponse(request.output_handle_index, count)


def get_attachment_table(call: RopCall, request: messages.RopGetAttachmentTableRequest) -> RopResponse:
    """RopGetAttachmentTable ([MS-OXCMSG] 3.2.5.17)."""
    opened = call.find(request.input_handle_index, MessageObject)
    call.open(request.output_handle_index, AttachmentTable(call.session, opened, request.table_flags))
    return messages.RopGetAttachmentTableResponse(request.output_handle_index)


def set_columns(call: RopCall, request: wire.RopSetColumnsRequest) -> RopResponse:
    """RopSetColumns ([MS-OXCTABL] 3.2.5.2)."""
    view = _view(call, request.input_handle_index)
    tags = request.property_tags
    if not tags or any(tag & 0xFFFF == PtypObject for tag in tags):
        raise RopError(INVALID_PARAMETER)
    view.columns = tags
    return wire.RopSetColumnsResponse(request.input_handle_index)


def sort_table(call: RopCall, request: wire.RopSortTableRequest) -> RopResponse:
    """RopSortTable ([MS-OXCTABL] 3.2.5.3); without categories."""
    opened = call.find(request.input_handle_index, TableObject)
    if not isinstance(opened, ContentsTable) or request.category_count:
        raise RopError(NOT_SUPPORTED)
    if any(order.order not in (wire.ASCENDING, wire.DESCENDING) for order in request.sort_orders):
        raise RopError(INVALID_PARAMETER)
    opened.view.sort(
        [SortKey(stored_tag(order.tag), order.order == wire.DESCENDING) for order in request.sort_orders]
    )
    return wire.RopSortTableResponse(request.input_handle_index)


def restrict(call: RopCall, request: wire.RopRestrictRequest) -> RopResponse:
    """RopRestrict ([MS-OXCTABL] 3.2.5.4)."""
    opened = call.find(request.input_handle_index, TableObject)
    if isinstance(opened, AttachmentTable):
        raise RopError(NOT_SUPPORTED)
    restriction = request.restriction
    opened.view.restrict(None if restriction is None else _predicate(restriction))
    return wire.RopRestrictResponse(request.input_handle_index)


def query_rows(call: RopCall, request: wire.RopQueryRowsRequest) -> RopResponse:
    """RopQueryRows ([MS-OXCTABL] 3.2.5.5): as many rows as are there, were asked for and fit."""
    view = _view_with_columns(call, request.input_handle_index)
    rows = _rows_that_fit(call, view, request)
    position = view.position + (len(rows) if request.forward_read else -len(rows))
    if not request.query_rows_flags & wire.NO_ADVANCE:
        view.position = position
    if request.forward_read:
        origin = wire.BOOKMARK_END if position >= len(view) else wire.BOOKMARK_CURRENT
    else:
        origin = wire.BOOKMARK_BEGINNING if position <= 0 else wire.BOOKMARK_CURRENT
    return wire.RopQueryRowsResponse(request.input_handle_index, origin, tuple(rows))


def _rows_that_fit(call: RopCall, view: TableView, request: wire.RopQueryRowsRequest) -> list[PropertyRow]:
    room = call.room - _HEADER
    rows: list[PropertyRow] = []
    writer = Writer()
    if not request.row_count:
        return rows
    for row in view.upcoming(forward=request.forward_read):
        property_row = view.property_row(row)
        property_row.write(writer)
        if len(writer) > room:
            if not rows:
                raise BufferTooSmallError(len(writer) + _HEADER)
            break
        rows.append(property_row)
        if len(rows) == request.row_count:
            break
    return rows


def rest_of_query(
    _call: RopCall, request: wire.RopQueryRowsRequest, response: wire.RopQueryRowsResponse
) -> wire.RopQueryRowsRequest | None:
    """The same query for what did not fit; None if there is no more ([MS-OXCRPC] 3.1.4.2.1)."""
    left = request.row_count - len(response.rows)
    if left <= 0 or response.origin != wire.BOOKMARK_CURRENT or not response.rows:
        return None
    return replace(request, row_count=left)


def query_position(call: RopCall, request: wire.RopQueryPositionRequest) -> RopResponse:
    """RopQueryPosition ([MS-OXCTABL] 3.2.5.8)."""
    view = _view_with_columns(call, request.input_handle_index)
    return wire.RopQueryPositionResponse(request.input_handle_index, view.position, len(view))


def seek_row(call: RopCall, request: wire.RopSeekRowRequest) -> RopResponse:
    """RopSeekRow ([MS-OXCTABL] 3.2.5.9)."""
    view = _view_with_columns(call, request.input_handle_index)
    sought = view.seek(_origin(view, request.origin), request.row_count)
    less = sought != request.row_count
    told = sought if request.want_row_moved_count else 0
    return wire.RopSeekRowResponse(request.input_handle_index, less and request.want_row_moved_count, told)


def find_row(call: RopCall, request: wire.RopFindRowRequest) -> RopResponse:
    """RopFindRow ([MS-OXCTABL] 3.2.5.14)."""
    view = _view_with_columns(call, request.input_handle_index)
    if request.restriction is None:
        raise RopError(INVALID_PARAMETER)
    start = _origin(view, request.origin)
    row = view.find(_predicate(request.restriction), start, forward=not request.find_row_flags & 1)
    if row is None:
        raise RopError(NOT_FOUND)
    return wire.RopFindRowResponse(request.input_handle_index, False, view.property_row(row))


def _view(call: RopCall, handle_index: int) -> TableView:
    return call.find(handle_index, TableObject).view


def _view_with_columns(call: RopCall, handle_index: int) -> TableView:
    """The view, which from now on is live; a table without columns is no object yet."""
    view = _view(call, handle_index)
    if not view.columns:
        raise RopError(NULL_OBJECT)
    return view


def _origin(view: TableView, origin: int) -> int:
    if origin == wire.BOOKMARK_CUSTOM:
        raise RopError(INVALID_BOOKMARK)
    positions = {
        wire.BOOKMARK_BEGINNING: 0,
        wire.BOOKMARK_CURRENT: view.position,
        wire.BOOKMARK_END: len(view),
    }
    position = positions.get(origin)
    if position is None:
        raise RopError(INVALID_PARAMETER)
    return position


def _predicate(restriction: Restriction) -> Predicate:
    try:
        return predicate(restriction)
    except UnsupportedRestrictionError:
        raise RopError(TOO_COMPLEX) from None


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    folders.RopGetContentsTableRequest: get_contents_table,
    folders.RopGetHierarchyTableRequest: get_hierarchy_table,
    messages.RopGetAttachmentTableRequest: get_attachment_table,
    wire.RopSetColumnsRequest: set_columns,
    wire.RopSortTableRequest: sort_table,
    wire.RopRestrictRequest: restrict,
    wire.RopQueryRowsRequest: query_rows,
    wire.RopQueryPositionRequest: query_position,
    wire.RopSeekRowRequest: seek_row,
    wire.RopFindRowRequest: find_row,
}
