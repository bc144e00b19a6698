"""ROPs that bring a client's changes to the server, against foreign ROP buffers."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagChangeKey,
    PidTagDisplayName,
    PidTagLastModificationTime,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagSourceKey,
    PropertyValue,
)
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests
from loadgen.wire.rop.oxcfxics_upload import (
    DELETE_HARD,
    DELETE_HIERARCHY,
    NEWER_CLIENT_CHANGE,
    LongTermIdRange,
    MessageReadState,
    RopGetLocalReplicaIdsRequest,
    RopGetLocalReplicaIdsResponse,
    RopSetLocalReplicaMidsetDeletedRequest,
    RopSetLocalReplicaMidsetDeletedResponse,
    RopSynchronizationImportDeletesRequest,
    RopSynchronizationImportDeletesResponse,
    RopSynchronizationImportHierarchyChangeRequest,
    RopSynchronizationImportHierarchyChangeResponse,
    RopSynchronizationImportMessageChangeRequest,
    RopSynchronizationImportMessageChangeResponse,
    RopSynchronizationImportMessageMoveRequest,
    RopSynchronizationImportMessageMoveResponse,
    RopSynchronizationImportReadStateChangesRequest,
    RopSynchronizationImportReadStateChangesResponse,
    RopSynchronizationOpenCollectorRequest,
    RopSynchronizationOpenCollectorResponse,
)

REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
CHANGE_KEY = bytes.fromhex("1e3c9f5d77772b4d9b1a0102030405aa 01100000")


def source_key(counter):
    return REPLICA + counter.to_bytes(6, "big")


CONVERSATIONS = [
    (
        "import-message-change-request",
        "import-message-change-response",
        [
            RopSynchronizationOpenCollectorRequest(0, 0, 1, True),
            RopSynchronizationImportMessageChangeRequest(
                0,
                1,
                2,
                0,
                (
                    PropertyValue(PidTagSourceKey, source_key(0x500010)),
                    PropertyValue(PidTagLastModificationTime, 0x01C7A68AEC175C00),
                    PropertyValue(PidTagChangeKey, CHANGE_KEY),
                    PropertyValue(PidTagPredecessorChangeList, b"\x14" + CHANGE_KEY),
                ),
            ),
        ],
        [0x11, NO_HANDLE, NO_HANDLE],
        [
            RopSynchronizationOpenCollectorResponse(1),
            RopSynchronizationImportMessageChangeResponse(2),
        ],
        [0x11, 0x62, 0x63],
    ),
    (
        "import-deletes-request",
        "import-deletes-response",
        [
            RopSynchronizationImportDeletesRequest(0, 0, 0, (source_key(0x2100),)),
            RopSynchronizationImportReadStateChangesRequest(
                0, 0, (MessageReadState(source_key(0x2101), True),)
            ),
        ],
        [0x62],
        [
            RopSynchronizationImportDeletesResponse(0),
            RopSynchronizationImportReadStateChangesResponse(0),
        ],
        [0x62],
    ),
    (
        "import-message-move-request",
        "import-message-move-response",
        [
            RopSynchronizationImportMessageMoveRequest(
                0,
                0,
                source_key(0x105),
                source_key(0x2100),
                b"\x16" + source_key(0x4001),
                source_key(0x500011),
                CHANGE_KEY,
            ),
        ],
        [0x62],
        [RopSynchronizationImportMessageMoveResponse(0)],
        [0x62],
    ),
    (
        "local-replica-ids-request",
        "local-replica-ids-response",
        [RopGetLocalReplicaIdsRequest(0, 0, 0x10000)],
        [0x10],
        [RopGetLocalReplicaIdsResponse(0, REPLICA, bytes.fromhex("000000500000"))],
        [0x10],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


LOWEST, HIGHEST = source_key(0x500010) + bytes(2), source_key(0x50FFFF) + bytes(2)

EXCHANGES = [
    (
        "73 00 01 0100 0201e165 0000 0100 1f000130 49006e000000",
        RopSynchronizationImportHierarchyChangeRequest(
            0,
            1,
            (PropertyValue(PidTagParentSourceKey, b""),),
            (PropertyValue(PidTagDisplayName, "In"),),
        ),
        "73 01 00000000 0100000000000106",
        RopSynchronizationImportHierarchyChangeResponse(1, object_id(1, 0x106)),
    ),
    (
        "74 00 01 03 0100 02110000 02000000 0100 61 0000",
        RopSynchronizationImportDeletesRequest(0, 1, DELETE_HIERARCHY | DELETE_HARD, (b"a", b"")),
        "74 01 00000000",
        RopSynchronizationImportDeletesResponse(1),
    ),
    (
        "80 00 01 0900 0200 6162 01 0100 63 00",
        RopSynchronizationImportReadStateChangesRequest(
            0, 1, (MessageReadState(b"ab", True), MessageReadState(b"c", False))
        ),
        "80 01 00000000",
        RopSynchronizationImportReadStateChangesResponse(1),
    ),
    (
        "78 00 01" + "01000000 61" * 5,
        RopSynchronizationImportMessageMoveRequest(0, 1, *[b"a"] * 5),
        "78 01 21080400 0000000000000000",
        RopSynchronizationImportMessageMoveResponse(1, return_value=NEWER_CLIENT_CHANGE),
    ),
    (
        f"93 00 01 3400 01000000 {LOWEST.hex()} {HIGHEST.hex()}",
        RopSetLocalReplicaMidsetDeletedRequest(0, 1, (LongTermIdRange(LOWEST, HIGHEST),)),
        "93 01 00000000",
        RopSetLocalReplicaMidsetDeletedResponse(1),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


@pytest.mark.parametrize(
    ("rop", "field"),
    [
        ("74 00 01 00 0200 02110000 00000000", "source_keys"),
        ("74 00 01 00 0100 02010000 0000", "source_keys"),
        ("93 00 01 3400 00000000" + "00" * 48, "ranges"),
        ("93 00 01 0400 01000000", "ranges"),
        ("80 00 01 0300 0100 61", "MarkAsRead"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(rop, field):
    rops = bytes.fromhex(rop)
    with pytest.raises(WireError, match=field):
        read_requests((len(rops) + 2).to_bytes(2, "little") + rops)
