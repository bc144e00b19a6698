"""ROPs of fast transfer, against foreign ROP buffers."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.identifiers import object_id
from loadgen.wire.rop.base import RopErrorResponse
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests, read_responses, write_requests, write_responses
from loadgen.wire.rop.oxcfxics_transfer import (
    MAXIMUM_BUFFER_SIZE_FOLLOWS,
    SEND_FORCE_UNICODE,
    SEND_UNICODE,
    SERVER_BUSY,
    SOURCE_COPY_TO,
    TRANSFER_DONE,
    TRANSFER_PARTIAL,
    RopFastTransferDestinationConfigureRequest,
    RopFastTransferDestinationConfigureResponse,
    RopFastTransferDestinationPutBufferRequest,
    RopFastTransferDestinationPutBufferResponse,
    RopFastTransferSourceCopyFolderRequest,
    RopFastTransferSourceCopyFolderResponse,
    RopFastTransferSourceCopyMessagesRequest,
    RopFastTransferSourceCopyMessagesResponse,
    RopFastTransferSourceCopyPropertiesRequest,
    RopFastTransferSourceCopyPropertiesResponse,
    RopFastTransferSourceCopyToRequest,
    RopFastTransferSourceCopyToResponse,
    RopFastTransferSourceGetBufferRequest,
    RopFastTransferSourceGetBufferResponse,
    RopTellVersionRequest,
    RopTellVersionResponse,
)
from loadgen.wire.rop.oxcmsg import RopCreateMessageRequest, RopCreateMessageResponse
from loadgen.wire.rop.oxcnotif import RopPendingResponse
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from loadgen.wire.rop.oxomsg import RopTransportSendRequest, RopTransportSendResponse

UNICODE = SEND_UNICODE | SEND_FORCE_UNICODE
GET_BUFFER = RopFastTransferSourceGetBufferRequest(0, 0, MAXIMUM_BUFFER_SIZE_FOLLOWS, 0x7BC0)


def test_a_stream_is_downloaded_by_buffers(check_conversation, vector):
    check_conversation(
        "get-buffer-request",
        "get-buffer-response",
        [GET_BUFFER],
        [0x60],
        [RopFastTransferSourceGetBufferResponse(0, TRANSFER_DONE, 1, 1, 0, vector("fx/contents.hex"))],
        [0x60],
    )


def test_a_message_is_uploaded_and_sent(check_conversation, vector):
    content = vector("fx/message-content.hex")
    check_conversation(
        "upload-message-request",
        "upload-message-response",
        [
            RopCreateMessageRequest(0, 0, 1, 0x0FFF, object_id(1, 0x190)),
            RopFastTransferDestinationConfigureRequest(0, 1, 2, SOURCE_COPY_TO),
            RopFastTransferDestinationPutBufferRequest(0, 2, content),
            RopReleaseRequest(0, 2),
            RopTransportSendRequest(0, 1),
        ],
        [0x10, NO_HANDLE, NO_HANDLE],
        [
            RopCreateMessageResponse(1),
            RopFastTransferDestinationConfigureResponse(2),
            RopFastTransferDestinationPutBufferResponse(2, TRANSFER_DONE, 0, 0, 0, len(content)),
            RopTransportSendResponse(1, True),
        ],
        [0x10, 0x70, 0x71],
    )


EXCHANGES = [
    (
        "4d 00 01 02 00 00200000 09 0100 03001610",
        RopFastTransferSourceCopyToRequest(0, 1, 2, 0, 0x2000, UNICODE, (0x10160003,)),
        "4d 02 00000000",
        RopFastTransferSourceCopyToResponse(2),
    ),
    (
        "69 00 01 02 00 20 09 0100 1f003700",
        RopFastTransferSourceCopyPropertiesRequest(0, 1, 2, 0, 0x20, UNICODE, (0x0037001F,)),
        "69 02 00000000",
        RopFastTransferSourceCopyPropertiesResponse(2),
    ),
    (
        "4b 00 01 02 0200 0100000000002100 0100000000002101 20 09",
        RopFastTransferSourceCopyMessagesRequest(
            0, 1, 2, (object_id(1, 0x2100), object_id(1, 0x2101)), 0x20, UNICODE
        ),
        "4b 02 00000000",
        RopFastTransferSourceCopyMessagesResponse(2),
    ),
    (
        "4c 00 01 02 10 09",
        RopFastTransferSourceCopyFolderRequest(0, 1, 2, 0x10, UNICODE),
        "4c 02 00000000",
        RopFastTransferSourceCopyFolderResponse(2),
    ),
    (
        "4e 00 01 0010",
        RopFastTransferSourceGetBufferRequest(0, 1, 0x1000),
        "4e 01 00000000 0100 0300 0900 00 0200 6869",
        RopFastTransferSourceGetBufferResponse(1, TRANSFER_PARTIAL, 3, 9, 0, b"hi"),
    ),
    (
        "54 00 01 0200 6869",
        RopFastTransferDestinationPutBufferRequest(0, 1, b"hi"),
        "54 01 0e000780 0000 0000 0000 00 0100",
        RopFastTransferDestinationPutBufferResponse(1, 0, 0, 0, 0, 1, return_value=0x8007000E),
    ),
    (
        "86 00 01 0800 0180 f000",
        RopTellVersionRequest(0, 1, (8, 0x8001, 240)),
        "86 01 00000000",
        RopTellVersionResponse(1),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


def response_of(rops):
    payload = bytes.fromhex(rops)
    payload = (len(payload) + 2).to_bytes(2, "little") + payload
    return read_responses(payload, [GET_BUFFER], lambda _handle_index: ())[0]


BUSY = RopFastTransferSourceGetBufferResponse(0, backoff_time_ms=0x1388, return_value=SERVER_BUSY)
FAILED = RopFastTransferSourceGetBufferResponse(0, return_value=0x80040102)


@pytest.mark.parametrize(
    ("wire", "responses"),
    [
        ("4e 00 80040000 0000 0000 0000 00 0000 88130000", [BUSY]),
        ("4e 00 02010480 0000 0000 0000 00 0000", [FAILED]),
        ("4e 00 02010480", [FAILED]),
        ("4e 00 02010480 6e 0000 6e 0000 6e 0000", [FAILED, *[RopPendingResponse(0)] * 3]),
        ("4e 00 02010480 6e 0000", [FAILED, RopPendingResponse(0)]),
    ],
)
def test_a_failed_download_may_be_told_with_fields_or_without(wire, responses):
    assert response_of(wire) == responses


@pytest.mark.parametrize(
    ("response", "wire"),
    [
        (BUSY, "15 00 4e 00 80040000 0000 0000 0000 00 0000 88130000"),
        (FAILED, "11 00 4e 00 02010480 0000 0000 0000 00 0000"),
        (RopErrorResponse(0x4E, 0, 0x80040102), "08 00 4e 00 02010480"),
    ],
)
def test_a_failed_download_is_written_with_all_fields(response, wire):
    assert write_responses([response], []) == bytes.fromhex(wire)


def test_a_busy_server_has_to_say_for_how_long():
    with pytest.raises(WireError, match="BackoffTime"):
        response_of("4e 00 80040000 0000 0000 0000 00 0000 8813")


def test_the_largest_size_stands_only_where_the_server_picks():
    fixed = RopFastTransferSourceGetBufferRequest(0, 0, 0x7BC0, 5)
    requests, _handles = read_requests(write_requests([fixed, GET_BUFFER], []))
    assert requests == [RopFastTransferSourceGetBufferRequest(0, 0, 0x7BC0, 0), GET_BUFFER]
