"""The ROP buffer: sizes, handle tables, which response answers which request, and what the server adds."""

import struct

import pytest

from loadgen.errors import WireError
from loadgen.wire.properties import PidTagSubject, PropertyRow
from loadgen.wire.rop.base import RopErrorResponse
from loadgen.wire.rop.buffer import (
    NO_HANDLE,
    read_requests,
    read_responses,
    write_requests,
    write_responses,
)
from loadgen.wire.rop.oxcfold import (
    RopDeleteMessagesRequest,
    RopDeleteMessagesResponse,
    RopGetContentsTableRequest,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)
from loadgen.wire.rop.oxcfxics_transfer import (
    RopFastTransferDestinationPutBufferRequest,
    RopFastTransferDestinationPutBufferResponse,
)
from loadgen.wire.rop.oxcnotif import TABLE_CHANGED, RopNotifyResponse, RopPendingResponse, TableEvent
from loadgen.wire.rop.oxcprpt import (
    RopProgressResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from loadgen.wire.rop.oxcrops import RopBackoffResponse, RopBufferTooSmallResponse, RopReleaseRequest
from loadgen.wire.rop.oxcstor import RopLogonRedirectResponse, RopLogonRequest
from loadgen.wire.rop.oxctabl import (
    RopFindRowRequest,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)

OPEN = RopOpenFolderRequest(0, 0, 1, 0x105)
QUERY = RopQueryRowsRequest(0, 1, 0, True, 10)
ROW = PropertyRow.of((PidTagSubject,), ("x",))


def no_columns(handle_index: int) -> tuple[int, ...]:
    raise AssertionError(handle_index)


def answer(*responses, requests=(OPEN,), columns_of=no_columns):
    """What the responses read as, written by us and read for these requests."""
    return read_responses(write_responses(responses, [7]), requests, columns_of)


def test_an_empty_list_is_the_poll_for_notifications():
    assert write_requests([], []) == bytes.fromhex("0200")
    assert read_requests(bytes.fromhex("0200")) == ([], [])


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ("", "RopSize"),
        ("02", "RopSize"),
        ("0100", "RopSize"),
        ("0300", "RopsList"),
        ("0300 62", "RopId"),
        ("0200 00000001 00", "ServerObjectHandleTable"),
    ],
)
def test_a_buffer_that_does_not_add_up_is_refused(payload, field):
    data = bytes.fromhex(payload)
    with pytest.raises(WireError, match=field):
        read_requests(data)
    with pytest.raises(WireError, match=field):
        read_responses(data, [], no_columns)


def test_handles_follow_the_list():
    payload = write_requests([RopReleaseRequest(3, 0)], [0x11, NO_HANDLE])
    assert payload == bytes.fromhex("0500 01 03 00 11000000 ffffffff")
    assert read_requests(payload) == ([RopReleaseRequest(3, 0)], [0x11, NO_HANDLE])


def test_a_failure_is_an_error_response_with_the_rop_that_failed():
    error = RopErrorResponse(OPEN.rop_id, 1, 0x8004010F)
    assert write_responses([error], [])[2:] == bytes.fromhex("02 01 0f010480")
    assert answer(error) == ([error], [7])


DELETE = RopDeleteMessagesRequest(0, 0, False, False, (0x106,))
READ, WRITE = RopReadStreamRequest(0, 0, 16), RopWriteStreamRequest(0, 0, b"x")
PUT = RopFastTransferDestinationPutBufferRequest(0, 0, b"x")
DENIED = 0x80070005


@pytest.mark.parametrize(
    ("request_", "told", "response"),
    [
        (DELETE, "01", RopDeleteMessagesResponse(0, True, return_value=DENIED)),
        (READ, "0000", RopReadStreamResponse(0, return_value=DENIED)),
        (WRITE, "0500", RopWriteStreamResponse(0, 5, return_value=DENIED)),
        (PUT, "00" * 9, RopFastTransferDestinationPutBufferResponse(0, return_value=DENIED)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_of_a_failure_are_read_where_they_are(request_, told, response):
    header = struct.pack("<BBI", request_.rop_id, 0, DENIED)
    failure = RopErrorResponse(request_.rop_id, 0, DENIED)

    def read(*answers):
        rops = b"".join(answers)
        return read_responses(struct.pack("<H", len(rops) + 2) + rops, [request_, OPEN], no_columns)[0]

    opened = bytes.fromhex("02 01 00000000 00 00")
    assert read(header + bytes.fromhex(told)) == [response]
    assert read(header) == [failure]
    assert read(header + bytes.fromhex(told), opened) == [response, RopOpenFolderResponse(1)]
    if request_ is not WRITE:  # which may have written something before it failed
        assert read(header, opened) == [failure, RopOpenFolderResponse(1)]


def test_a_redirected_logon_fails_with_the_name_of_the_right_server():
    redirect = RopLogonRedirectResponse(0, 1, "/cn=EX2", return_value=0x478)
    for flags in (0, 1):
        assert answer(redirect, requests=[RopLogonRequest(0, 0, flags, 0)]) == ([redirect], [7])


def test_releases_are_skipped_when_responses_find_their_requests():
    opened = RopOpenFolderResponse(1)
    assert answer(opened, requests=[RopReleaseRequest(0, 0), OPEN])[0] == [opened]


@pytest.mark.parametrize("requests", [[], [RopReleaseRequest(0, 0)], [RopGetContentsTableRequest(0, 0, 1)]])
def test_a_response_that_nothing_asked_for_is_refused(requests):
    with pytest.raises(WireError, match="answers"):
        answer(RopOpenFolderResponse(1), requests=requests)


def test_a_server_that_is_short_of_room_leaves_the_rest_out():
    short = RopBufferTooSmallResponse(0x8000, bytes.fromhex("15 00 01 00 01 0a00"))
    assert answer(RopOpenFolderResponse(1), short, requests=[OPEN, QUERY])[0] == [
        RopOpenFolderResponse(1),
        short,
    ]


def test_what_the_server_adds_follows_the_responses():
    added = [
        RopBackoffResponse(0, 1000),
        RopNotifyResponse(5, 0, TableEvent(TABLE_CHANGED, of_messages=True)),
        RopPendingResponse(2),
    ]
    assert answer(RopOpenFolderResponse(1), *added)[0] == [RopOpenFolderResponse(1), *added]
    assert answer(*added, requests=[])[0] == added


def test_a_rop_that_goes_on_in_the_background_is_answered_by_its_progress():
    progress = RopProgressResponse(0, 0, 1, 10)
    assert answer(progress, requests=[RopDeleteMessagesRequest(0, 0, True, False, (1,))])[0] == [progress]


def test_rows_are_read_with_the_columns_that_the_table_has():
    rows = RopQueryRowsResponse(1, 2, (ROW,))
    assert answer(rows, requests=[QUERY], columns_of={1: (PidTagSubject,)}.__getitem__)[0] == [rows]


@pytest.mark.parametrize("asked", [QUERY, RopFindRowRequest(0, 1, 0, None)])
def test_columns_set_in_the_same_buffer_come_first(asked):
    set_columns = RopSetColumnsRequest(0, 1, 0, (PidTagSubject,))
    responses = [
        RopSetColumnsResponse(1),
        asked.response(1, *((2, (ROW,)) if asked is QUERY else (False, ROW))),
    ]
    assert answer(*responses, requests=[set_columns, asked])[0] == responses


def test_columns_that_could_not_be_set_leave_the_table_as_it_was():
    refused = RopErrorResponse(RopSetColumnsRequest.rop_id, 1, 0x80070057)
    rows = RopQueryRowsResponse(1, 2, (ROW,))
    requests = [RopSetColumnsRequest(0, 1, 0, (1, 2, 3)), QUERY]
    assert answer(refused, rows, requests=requests, columns_of={1: (PidTagSubject,)}.__getitem__)[0] == [
        refused,
        rows,
    ]
