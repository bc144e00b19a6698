"""ROPs of tables, against foreign ROP buffers."""

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagClientSubmitTime,
    PidTagFolderId,
    PidTagHasAttachments,
    PidTagImportance,
    PidTagInstanceNum,
    PidTagInstID,
    PidTagMessageClass,
    PidTagMessageDeliveryTime,
    PidTagMessageFlags,
    PidTagMessageSize,
    PidTagMid,
    PidTagNormalizedSubject,
    PidTagSentRepresentingName,
    PidTagSubject,
    PropertyRow,
    PropertyValue,
)
from loadgen.wire.restrictions import RestrictBitmask, RestrictProperty
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcfold import RopGetContentsTableRequest, RopGetContentsTableResponse
from loadgen.wire.rop.oxctabl import (
    RopFindRowRequest,
    RopFindRowResponse,
    RopQueryPositionRequest,
    RopQueryPositionResponse,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopRestrictRequest,
    RopRestrictResponse,
    RopSeekRowRequest,
    RopSeekRowResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
    RopSortTableRequest,
    RopSortTableResponse,
    SortOrder,
)

CONTENTS_TABLE_COLUMNS = (
    PidTagFolderId,
    PidTagMid,
    PidTagInstID,
    PidTagInstanceNum,
    PidTagMessageClass,
    PidTagImportance,
    PidTagMessageFlags,
    PidTagMessageSize,
    PidTagMessageDeliveryTime,
    PidTagClientSubmitTime,
    PidTagHasAttachments,
    PidTagSentRepresentingName,
    PidTagSubject,
    PidTagNormalizedSubject,
)
FIND_ROW_TAGS = (
    PidTagMid,
    PidTagNormalizedSubject,
)

CONVERSATIONS = [
    (
        "contents-table-request",
        "contents-table-response",
        [
            RopGetContentsTableRequest(0, 0, 1),
            RopSetColumnsRequest(0, 1, set_columns_flags=0, property_tags=CONTENTS_TABLE_COLUMNS),
            RopSortTableRequest(
                0, 1, sort_table_flags=0, sort_orders=(SortOrder(tag=PidTagMessageDeliveryTime, order=1),)
            ),
            RopQueryRowsRequest(0, 1, query_rows_flags=0, forward_read=True, row_count=2),
            RopQueryPositionRequest(0, 1),
        ],
        [0x11, NO_HANDLE],
        [
            RopGetContentsTableResponse(1, row_count=214),
            RopSetColumnsResponse(1),
            RopSortTableResponse(1),
            RopQueryRowsResponse(
                1,
                origin=1,
                rows=(
                    PropertyRow.of(
                        CONTENTS_TABLE_COLUMNS,
                        (
                            object_id(1, 0x105),
                            object_id(1, 0x2000),
                            object_id(1, 0x2000),
                            0,
                            "IPM.Note",
                            1,
                            0,
                            51243,
                            0x1C7A68AEC175C00,
                            0x1C7A68AEC175C00,
                            False,
                            "Bob Brown",
                            "Quarterly figures for the northern region",
                            "Quarterly figures for the northern region",
                        ),
                    ),
                    PropertyRow.of(
                        CONTENTS_TABLE_COLUMNS,
                        (
                            object_id(1, 0x105),
                            object_id(1, 0x2001),
                            object_id(1, 0x2001),
                            0,
                            "IPM.Note",
                            1,
                            0,
                            51243,
                            0x1C7A68AEC175C01,
                            0x1C7A68AEC175C01,
                            False,
                            "Bob Brown",
                            "Quarterly figures for the northern region",
                            "Quarterly figures for the northern region",
                        ),
                    ),
                ),
            ),
            RopQueryPositionResponse(1, numerator=2, denominator=214),
        ],
        [0x11, 0x12],
    ),
    (
        "restrict-request",
        "restrict-response",
        [
            RopRestrictRequest(
                0, 0, restrict_flags=0, restriction=RestrictBitmask(rel_op=0, tag=PidTagMessageFlags, mask=1)
            ),
            RopSeekRowRequest(0, 0, origin=0, row_count=0),
            RopQueryPositionRequest(0, 0),
        ],
        [0x12],
        [
            RopRestrictResponse(0),
            RopSeekRowResponse(0, has_sought_less=False, rows_sought=0),
            RopQueryPositionResponse(0, numerator=0, denominator=3),
        ],
        [0x12],
    ),
    (
        "find-row-request",
        "find-row-response",
        [
            RopSetColumnsRequest(0, 0, set_columns_flags=0, property_tags=FIND_ROW_TAGS),
            RopFindRowRequest(
                0,
                0,
                find_row_flags=0,
                restriction=RestrictProperty(
                    rel_op=4,
                    tag=PidTagNormalizedSubject,
                    value=PropertyValue(tag=PidTagNormalizedSubject, value="Quarterly figures"),
                ),
            ),
        ],
        [0x12],
        [
            RopSetColumnsResponse(0),
            RopFindRowResponse(
                0,
                row_no_longer_visible=False,
                row=PropertyRow.of(
                    FIND_ROW_TAGS,
                    (
                        object_id(1, 0x2100),
                        "Quarterly figures",
                    ),
                ),
            ),
        ],
        [0x12],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


EXCHANGES = [
    ("14 00 01 00 0000", RopRestrictRequest(0, 1, 0, None), "14 01 00000000 00", RopRestrictResponse(1)),
    (
        "4f 00 01 01 0000 03 0200 abcd",
        RopFindRowRequest(0, 1, 1, None, 3, b"\xab\xcd"),
        "4f 01 00000000 01 00",
        RopFindRowResponse(1, True, None),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)
