"""ROPs of properties and streams, against foreign ROP buffers."""

import pytest

from loadgen.wire.properties import (
    PidTagBody,
    PidTagMessageClass,
    PidTagMessageFlags,
    PidTagSubject,
    PropertyError,
    PropertyProblem,
    PropertyRow,
    PropertyValue,
)
from loadgen.wire.property_names import PropertyName
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcprpt import (
    WARN_WITH_ERRORS,
    RopCommitStreamRequest,
    RopCommitStreamResponse,
    RopDeletePropertiesRequest,
    RopDeletePropertiesResponse,
    RopGetNamesFromPropertyIdsRequest,
    RopGetNamesFromPropertyIdsResponse,
    RopGetPropertiesAllRequest,
    RopGetPropertiesAllResponse,
    RopGetPropertiesListRequest,
    RopGetPropertiesListResponse,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
    RopGetPropertyIdsFromNamesRequest,
    RopGetPropertyIdsFromNamesResponse,
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopProgressRequest,
    RopProgressResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
    RopSetStreamSizeRequest,
    RopSetStreamSizeResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from loadgen.wire.rop.oxcrops import RopReleaseRequest

CONVERSATIONS = [
    (
        "all-properties-request",
        "all-properties-response",
        [
            RopGetPropertiesAllRequest(0, 0),
            RopGetPropertiesListRequest(0, 0),
        ],
        [0x31],
        [
            RopGetPropertiesAllResponse(
                0,
                values=(
                    PropertyValue(tag=PidTagMessageClass, value="IPM.Note"),
                    PropertyValue(tag=PidTagMessageFlags, value=1),
                    PropertyValue(tag=0x1000000A, value=0x8007000E),
                ),
            ),
            RopGetPropertiesListResponse(
                0,
                property_tags=(
                    PidTagMessageClass,
                    PidTagMessageFlags,
                ),
            ),
        ],
        [0x31],
    ),
    (
        "named-properties-request",
        "named-properties-response",
        [
            RopGetPropertyIdsFromNamesRequest(
                0,
                0,
                flags=2,
                names=(
                    PropertyName(guid=bytes.fromhex("0820060000000000c000000000000046"), lid=34051),
                    PropertyName(guid=bytes.fromhex("2903020000000000c000000000000046"), name="Keywords"),
                ),
            ),
            RopGetNamesFromPropertyIdsRequest(0, 0, property_ids=(0x8001,)),
        ],
        [0x10],
        [
            RopGetPropertyIdsFromNamesResponse(
                0,
                property_ids=(
                    0x8001,
                    0x8002,
                ),
            ),
            RopGetNamesFromPropertyIdsResponse(
                0, names=(PropertyName(guid=bytes.fromhex("0820060000000000c000000000000046"), lid=34051),)
            ),
        ],
        [0x10],
    ),
    (
        "read-stream-request",
        "read-stream-response",
        [
            RopOpenStreamRequest(0, 0, 1, property_tag=PidTagBody),
            RopReadStreamRequest(0, 1, byte_count=47806, maximum_byte_count=0x00020000),
        ],
        [0x31, NO_HANDLE],
        [
            RopOpenStreamResponse(1, stream_size=62),
            RopReadStreamResponse(
                1,
                data=bytes.fromhex(
                    "5500700064006100740065002000700065006f0070006c006500200068006f007700650076006500720020006200650066006f0072006500200066000000"
                ),
            ),
        ],
        [0x31, 0x32],
    ),
    (
        "write-stream-request",
        "write-stream-response",
        [
            RopOpenStreamRequest(0, 0, 1, property_tag=PidTagBody, open_mode_flags=2),
            RopSetStreamSizeRequest(0, 1, stream_size=20),
            RopWriteStreamRequest(0, 1, data=bytes.fromhex("480065006c006c006f00200042006f0062002e00")),
            RopCommitStreamRequest(0, 1),
            RopReleaseRequest(0, 1),
        ],
        [0x40, NO_HANDLE],
        [
            RopOpenStreamResponse(1, stream_size=0),
            RopSetStreamSizeResponse(1),
            RopWriteStreamResponse(1, written_size=20),
            RopCommitStreamResponse(1),
        ],
        [0x40, 0x41],
    ),
    (
        "progress-request",
        "progress-response",
        [
            RopProgressRequest(0, 0),
        ],
        [0x11],
        [
            RopProgressResponse(0, 0, completed_task_count=3, total_task_count=10),
        ],
        [0x11],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


EXCHANGES = [
    (
        "0b 00 01 0100 1f003700",
        RopDeletePropertiesRequest(0, 1, (PidTagSubject,)),
        "0b 01 00000000 0100 0000 1f003700 05000780",
        RopDeletePropertiesResponse(1, (PropertyProblem(0, PidTagSubject, 0x80070005),)),
    ),
    (
        "5e 00 01",
        RopGetStreamSizeRequest(0, 1),
        "5e 01 00000000 10270000",
        RopGetStreamSizeResponse(1, 10000),
    ),
    (
        "2e 00 01 02 fcffffffffffffff",
        RopSeekStreamRequest(0, 1, 2, -4),
        "2e 01 00000000 0c27000000000000",
        RopSeekStreamResponse(1, 9996),
    ),
    (
        "2c 00 01 0010",
        RopReadStreamRequest(0, 1, 0x1000),
        "2c 01 05400080 0000",
        RopReadStreamResponse(1, return_value=0x80004005),
    ),
    (
        "2d 00 01 0200 6869",
        RopWriteStreamRequest(0, 1, b"hi"),
        "2d 01 0e000780 0100",
        RopWriteStreamResponse(1, 1, return_value=0x8007000E),
    ),
    (
        "56 00 01 00 0000",
        RopGetPropertyIdsFromNamesRequest(0, 1, 0, ()),
        "56 01 80030400 0100 0000",
        RopGetPropertyIdsFromNamesResponse(1, (0,), return_value=WARN_WITH_ERRORS),
    ),
    (
        "0a 00 01 0700 0100 0b000100 01",
        RopSetPropertiesRequest(0, 1, (PropertyValue(0x0001000B, True),)),
        "0a 01 00000000 0000",
        RopSetPropertiesResponse(1),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


def test_chosen_properties_come_over_the_tags_that_were_asked_for(check_exchange):
    check_exchange(
        "07 00 01 0000 0100 0200 1f003700 03000e00",
        RopGetPropertiesSpecificRequest(0, 1, 0, 1, (PidTagSubject, 0x000E0003)),
        "07 01 00000000 01 00 48000000 0a 0f010480",
        RopGetPropertiesSpecificResponse(
            1, PropertyRow.of((PidTagSubject, 0x000E0003), ("H", PropertyError(0x8004010F)))
        ),
    )
