"""Release, and what a server in trouble says, against foreign ROP buffers."""

import pytest

from loadgen.wire.properties import PidTagBody
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcprpt import RopOpenStreamRequest, RopOpenStreamResponse, RopReadStreamRequest
from loadgen.wire.rop.oxcrops import (
    BackoffRop,
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopReleaseRequest,
)

CONVERSATIONS = [
    (
        "release-request",
        "release-response",
        [
            RopReleaseRequest(0, 0),
            RopReleaseRequest(0, 1),
        ],
        [0x31, 0x12],
        [],
        [0x31, 0x12],
    ),
    (
        "read-stream-request",
        "buffer-too-small-response",
        [
            RopOpenStreamRequest(0, 0, 1, property_tag=PidTagBody),
            RopReadStreamRequest(0, 1, byte_count=47806, maximum_byte_count=0x00020000),
        ],
        [0x31, NO_HANDLE],
        [
            RopOpenStreamResponse(1, stream_size=50000),
            RopBufferTooSmallResponse(size_needed=32768, request_buffers=bytes.fromhex("2c0001beba00000200")),
        ],
        [0x31, 0x32],
        True,
    ),
    (
        "poll-request",
        "backoff-response",
        [],
        [],
        [
            RopBackoffResponse(0, duration_ms=5000, rops=(BackoffRop(rop_id=7, duration_ms=5000),)),
        ],
        [0x11],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)
