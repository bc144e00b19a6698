"""ROPs of folders, against foreign ROP buffers."""

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagAccess,
    PidTagContainerClass,
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagSubfolders,
    PropertyError,
    PropertyRow,
)
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcfold import (
    ExistingFolder,
    RopCreateFolderRequest,
    RopCreateFolderResponse,
    RopDeleteFolderRequest,
    RopDeleteFolderResponse,
    RopDeleteMessagesRequest,
    RopDeleteMessagesResponse,
    RopEmptyFolderRequest,
    RopEmptyFolderResponse,
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopHardDeleteMessagesRequest,
    RopHardDeleteMessagesResponse,
    RopMoveCopyMessagesNullDestinationResponse,
    RopMoveCopyMessagesRequest,
    RopMoveCopyMessagesResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)
from loadgen.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopGetPropertiesSpecificResponse
from loadgen.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)
from loadgen.wire.rop.replicas import ReplicaServers

OPEN_FOLDER_TAGS = (
    PidTagDisplayName,
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagSubfolders,
    PidTagContainerClass,
    PidTagFolderId,
    PidTagAccess,
    0x672D0003,
)
HIERARCHY_TABLE_COLUMNS = (
    PidTagFolderId,
    PidTagDisplayName,
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagSubfolders,
    PidTagContainerClass,
)

CONVERSATIONS = [
    (
        "open-folder-request",
        "open-folder-response",
        [
            RopOpenFolderRequest(0, 0, 1, folder_id=object_id(1, 0x105)),
            RopGetPropertiesSpecificRequest(
                0, 1, property_size_limit=0, want_unicode=1, property_tags=OPEN_FOLDER_TAGS
            ),
        ],
        [0x10, NO_HANDLE],
        [
            RopOpenFolderResponse(1),
            RopGetPropertiesSpecificResponse(
                1,
                row=PropertyRow.of(
                    OPEN_FOLDER_TAGS,
                    (
                        "Inbox",
                        214,
                        3,
                        False,
                        "IPF.Note",
                        object_id(1, 0x105),
                        63,
                        PropertyError(code=0x8004010F),
                    ),
                ),
            ),
        ],
        [0x10, 0x11],
    ),
    (
        "hierarchy-table-request",
        "hierarchy-table-response",
        [
            RopOpenFolderRequest(0, 0, 1, folder_id=object_id(1, 0x104)),
            RopGetHierarchyTableRequest(0, 1, 2, table_flags=4),
            RopSetColumnsRequest(0, 2, set_columns_flags=0, property_tags=HIERARCHY_TABLE_COLUMNS),
            RopQueryRowsRequest(0, 2, query_rows_flags=0, forward_read=True, row_count=4096),
        ],
        [0x10, NO_HANDLE, NO_HANDLE],
        [
            RopOpenFolderResponse(1),
            RopGetHierarchyTableResponse(2, row_count=3),
            RopSetColumnsResponse(2),
            RopQueryRowsResponse(
                2,
                origin=2,
                rows=(
                    PropertyRow.of(
                        HIERARCHY_TABLE_COLUMNS,
                        (
                            object_id(1, 0x106),
                            "Outbox",
                            0,
                            0,
                            False,
                            "IPF.Note",
                        ),
                    ),
                    PropertyRow.of(
                        HIERARCHY_TABLE_COLUMNS,
                        (
                            object_id(1, 0x107),
                            "Sent Items",
                            120,
                            0,
                            False,
                            "IPF.Note",
                        ),
                    ),
                    PropertyRow.of(
                        HIERARCHY_TABLE_COLUMNS,
                        (
                            object_id(1, 0x108),
                            "Deleted Items",
                            44,
                            2,
                            False,
                            "IPF.Note",
                        ),
                    ),
                ),
            ),
        ],
        [0x10, 0x20, 0x21],
    ),
    (
        "move-messages-request",
        "move-messages-response",
        [
            RopMoveCopyMessagesRequest(
                0, source_handle_index=0, destination_handle_index=1, message_ids=(object_id(1, 0x2100),)
            ),
        ],
        [0x11, 0x14],
        [
            RopMoveCopyMessagesResponse(0),
        ],
        [0x11, 0x14],
    ),
    (
        "delete-messages-request",
        "delete-messages-response",
        [
            RopDeleteMessagesRequest(
                0,
                0,
                want_asynchronous=False,
                notify_non_read=False,
                message_ids=(
                    object_id(1, 0x2100),
                    object_id(1, 0x2101),
                ),
            ),
            RopHardDeleteMessagesRequest(
                0, 0, want_asynchronous=False, notify_non_read=False, message_ids=(object_id(1, 0x2102),)
            ),
        ],
        [0x11],
        [
            RopDeleteMessagesResponse(0),
            RopHardDeleteMessagesResponse(0),
        ],
        [0x11],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


CREATE = "1c 00 01 02 01 {} 01 00 {}"
EXCHANGES = [
    (
        CREATE.format("01", "4100 0000 0000"),
        RopCreateFolderRequest(0, 1, 2, 1, True, True, "A"),
        "1c 02 00000000 0100000000000105 00",
        RopCreateFolderResponse(2, object_id(1, 0x105)),
    ),
    (
        CREATE.format("00", "41 00 42 00"),
        RopCreateFolderRequest(0, 1, 2, 1, False, True, "A", "B"),
        "1c 02 00000000 0100000000000105 01 01 00",
        RopCreateFolderResponse(2, object_id(1, 0x105), ExistingFolder(has_rules=True)),
    ),
    (
        CREATE.format("00", "41 00 00"),
        RopCreateFolderRequest(0, 1, 2, 1, False, True, "A"),
        "1c 02 00000000 0100000000000105 01 00 01 0100 0000 50 00",
        RopCreateFolderResponse(2, object_id(1, 0x105), ExistingFolder(False, ReplicaServers(0, ("P",)))),
    ),
    (
        "1d 00 01 05 0100000000000105",
        RopDeleteFolderRequest(0, 1, 0x05, object_id(1, 0x105)),
        "1d 01 05000780 01",
        RopDeleteFolderResponse(1, True, return_value=0x80070005),
    ),
    (
        "58 00 01 00 01",
        RopEmptyFolderRequest(0, 1, False, True),
        "58 01 00000000 00",
        RopEmptyFolderResponse(1),
    ),
    (
        "33 00 01 02 0000 00 01",
        RopMoveCopyMessagesRequest(0, 1, 2, (), want_copy=True),
        "33 01 03050000 02000000 00",
        RopMoveCopyMessagesNullDestinationResponse(1, 2, return_value=0x503),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[3]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)
