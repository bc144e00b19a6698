"""ROPs of synchronisation, against foreign ROP buffers."""

from loadgen.wire.fasttransfer.markers import (
    MetaTagCnsetRead,
    MetaTagCnsetSeen,
    MetaTagCnsetSeenFAI,
    MetaTagIdsetGiven,
)
from loadgen.wire.restrictions import RestrictExist
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcfxics_download import (
    CONTENTS,
    EXTRA_CHANGE_NUMBER,
    EXTRA_EID,
    EXTRA_MESSAGE_SIZE,
    EXTRA_ORDER_BY_DELIVERY_TIME,
    HIERARCHY,
    SYNC_BEST_BODY,
    SYNC_FAI,
    SYNC_IGNORE_SPECIFIED_ON_FAI,
    SYNC_NO_FOREIGN_IDENTIFIERS,
    SYNC_NORMAL,
    SYNC_PROGRESS,
    SYNC_READ_STATE,
    SYNC_UNICODE,
    RopSynchronizationConfigureRequest,
    RopSynchronizationConfigureResponse,
    RopSynchronizationGetTransferStateRequest,
    RopSynchronizationGetTransferStateResponse,
    RopSynchronizationUploadStateStreamBeginRequest,
    RopSynchronizationUploadStateStreamBeginResponse,
    RopSynchronizationUploadStateStreamContinueRequest,
    RopSynchronizationUploadStateStreamContinueResponse,
    RopSynchronizationUploadStateStreamEndRequest,
    RopSynchronizationUploadStateStreamEndResponse,
)
from loadgen.wire.rop.oxcfxics_transfer import (
    MAXIMUM_BUFFER_SIZE_FOLLOWS,
    SEND_FORCE_UNICODE,
    SEND_PARTIAL_ITEM,
    SEND_RECOVER_MODE,
    SEND_UNICODE,
    TRANSFER_DONE,
    RopFastTransferSourceGetBufferRequest,
    RopFastTransferSourceGetBufferResponse,
)

REPLICA = "5e3d7a6d1c9b6f4a8e572f1a0c4b7d90"
SEEN = bytes.fromhex(REPLICA + "04000000005200013fff5000")
STATE = (
    (MetaTagIdsetGiven, bytes.fromhex(REPLICA + "0500000000205200d55000")),
    (MetaTagCnsetSeen, SEEN),
    (MetaTagCnsetSeenFAI, SEEN),
    (MetaTagCnsetRead, SEEN),
)


def test_a_download_is_configured_and_told_what_the_client_has(check_conversation):
    uploads = [
        request
        for state_property, data in STATE
        for request in (
            RopSynchronizationUploadStateStreamBeginRequest(0, 1, state_property, len(data)),
            RopSynchronizationUploadStateStreamContinueRequest(0, 1, data),
            RopSynchronizationUploadStateStreamEndRequest(0, 1),
        )
    ]
    check_conversation(
        "synchronization-configure-request",
        "synchronization-configure-response",
        [
            RopSynchronizationConfigureRequest(
                0,
                0,
                1,
                CONTENTS,
                SEND_UNICODE | SEND_RECOVER_MODE | SEND_FORCE_UNICODE | SEND_PARTIAL_ITEM,
                SYNC_UNICODE
                | SYNC_READ_STATE
                | SYNC_FAI
                | SYNC_NORMAL
                | SYNC_NO_FOREIGN_IDENTIFIERS
                | SYNC_BEST_BODY
                | SYNC_IGNORE_SPECIFIED_ON_FAI
                | SYNC_PROGRESS,
                None,
                EXTRA_EID | EXTRA_MESSAGE_SIZE | EXTRA_CHANGE_NUMBER | EXTRA_ORDER_BY_DELIVERY_TIME,
                (0x0E05001F, 0x0E96001F),
            ),
            *uploads,
        ],
        [0x11, NO_HANDLE],
        [
            RopSynchronizationConfigureResponse(1),
            *[
                RopSynchronizationUploadStateStreamBeginResponse(1),
                RopSynchronizationUploadStateStreamContinueResponse(1),
                RopSynchronizationUploadStateStreamEndResponse(1),
            ]
            * len(STATE),
        ],
        [0x11, 0x60],
    )


def test_the_state_that_was_reached_is_a_stream(check_conversation, vector):
    stream = vector("rop/transfer-state-response.hex")[0x17:0xB5]
    check_conversation(
        "transfer-state-request",
        "transfer-state-response",
        [
            RopSynchronizationGetTransferStateRequest(0, 0, 1),
            RopFastTransferSourceGetBufferRequest(0, 1, MAXIMUM_BUFFER_SIZE_FOLLOWS, 0x7BC0),
        ],
        [0x60, NO_HANDLE],
        [
            RopSynchronizationGetTransferStateResponse(1),
            RopFastTransferSourceGetBufferResponse(1, TRANSFER_DONE, 1, 1, 0, stream),
        ],
        [0x60, 0x61],
    )


def test_a_restriction_stands_behind_its_size(check_exchange):
    check_exchange(
        "70 00 00 01 02 09 0100 0500 08 1f003700 01000000 0000",
        RopSynchronizationConfigureRequest(
            0, 0, 1, HIERARCHY, SEND_UNICODE | SEND_FORCE_UNICODE, SYNC_UNICODE, RestrictExist(0x0037001F), 1
        ),
        "70 01 00000000",
        RopSynchronizationConfigureResponse(1),
    )
