"""Logon and the ROPs of the store, against foreign ROP buffers."""

from datetime import UTC, datetime

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PidTagFolderId, PidTagLastModificationTime, PropertyRow
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcfold import RopOpenFolderRequest, RopOpenFolderResponse
from loadgen.wire.rop.oxcstor import (
    RopGetOwningServersRequest,
    RopGetOwningServersResponse,
    RopGetPerUserGuidRequest,
    RopGetPerUserGuidResponse,
    RopGetPerUserLongTermIdsRequest,
    RopGetPerUserLongTermIdsResponse,
    RopGetReceiveFolderRequest,
    RopGetReceiveFolderResponse,
    RopGetReceiveFolderTableRequest,
    RopGetReceiveFolderTableResponse,
    RopGetStoreStateRequest,
    RopGetStoreStateResponse,
    RopIdFromLongTermIdRequest,
    RopIdFromLongTermIdResponse,
    RopLogonPrivateResponse,
    RopLogonPublicResponse,
    RopLogonRedirectResponse,
    RopLogonRequest,
    RopLongTermIdFromIdRequest,
    RopLongTermIdFromIdResponse,
    RopPublicFolderIsGhostedRequest,
    RopPublicFolderIsGhostedResponse,
    logon_time,
    receive_folder_row,
)
from loadgen.wire.rop.replicas import ReplicaServers

RECEIVE_FOLDERS_TAGS = (
    PidTagFolderId,
    0x001A001E,
    PidTagLastModificationTime,
)

CONVERSATIONS = [
    (
        "logon-private-request",
        "logon-private-response",
        [
            RopLogonRequest(
                0,
                0,
                logon_flags=1,
                open_flags=0x0100040C,
                essdn="/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user001",
            ),
        ],
        [NO_HANDLE],
        [
            RopLogonPrivateResponse(
                0,
                logon_flags=1,
                folder_ids=(
                    object_id(1, 0x101),
                    object_id(1, 0x102),
                    object_id(1, 0x103),
                    object_id(1, 0x104),
                    object_id(1, 0x105),
                    object_id(1, 0x106),
                    object_id(1, 0x107),
                    object_id(1, 0x108),
                    object_id(1, 0x109),
                    object_id(1, 0x10A),
                    object_id(1, 0x10B),
                    object_id(1, 0x10C),
                    object_id(1, 0x10D),
                ),
                response_flags=7,
                mailbox_guid=bytes.fromhex("d4c3b2a10201044385060708090a0b0c"),
                replica_id=1,
                replica_guid=bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90"),
                logon_time=bytes.fromhex("001e09010406d707"),
                gwart_time=0x1C7A68AEC175C00,
            ),
        ],
        [0x10],
    ),
    (
        "logon-public-request",
        "logon-public-response",
        [
            RopLogonRequest(1, 0, logon_flags=0, open_flags=0x01000406),
        ],
        [NO_HANDLE],
        [
            RopLogonPublicResponse(
                0,
                logon_flags=0,
                folder_ids=(
                    object_id(1, 0x1),
                    object_id(1, 0x2),
                    object_id(1, 0x3),
                    object_id(1, 0x4),
                    object_id(1, 0x5),
                    object_id(1, 0x6),
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                ),
                replica_id=1,
                replica_guid=bytes.fromhex("aa901e7caa550b4b9d3300a1b2c3d4e5"),
                per_user_guid=bytes(16),
            ),
        ],
        [0x50],
    ),
    (
        "logon-private-request",
        "logon-redirect-response",
        [
            RopLogonRequest(
                0,
                0,
                logon_flags=1,
                open_flags=0x0100040C,
                essdn="/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user001",
            ),
        ],
        [NO_HANDLE],
        [
            RopLogonRedirectResponse(
                0,
                logon_flags=1,
                server_name="/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Servers/cn=EXCH01",
                return_value=1144,
            ),
        ],
        [NO_HANDLE],
    ),
    (
        "receive-folders-request",
        "receive-folders-response",
        [
            RopGetReceiveFolderRequest(0, 0, message_class=""),
            RopGetReceiveFolderRequest(0, 0, message_class="IPM"),
            RopGetReceiveFolderTableRequest(0, 0),
        ],
        [0x10],
        [
            RopGetReceiveFolderResponse(0, folder_id=object_id(1, 0x105), explicit_message_class=""),
            RopGetReceiveFolderResponse(0, folder_id=object_id(1, 0x105), explicit_message_class="IPM"),
            RopGetReceiveFolderTableResponse(
                0,
                rows=(
                    PropertyRow.of(
                        RECEIVE_FOLDERS_TAGS,
                        (
                            object_id(1, 0x105),
                            "",
                            0x1C7A68AEC175C00,
                        ),
                    ),
                    PropertyRow.of(
                        RECEIVE_FOLDERS_TAGS,
                        (
                            object_id(1, 0x105),
                            "IPM",
                            0x1C7A68AEC175C00,
                        ),
                    ),
                    PropertyRow.of(
                        RECEIVE_FOLDERS_TAGS,
                        (
                            object_id(1, 0x105),
                            "REPORT.IPM",
                            0x1C7A68AEC175C00,
                        ),
                    ),
                    PropertyRow.of(
                        RECEIVE_FOLDERS_TAGS,
                        (
                            object_id(1, 0x101),
                            "IPC",
                            0x1C7A68AEC175C00,
                        ),
                    ),
                ),
            ),
        ],
        [0x10],
    ),
    (
        "long-term-ids-request",
        "long-term-ids-response",
        [
            RopLongTermIdFromIdRequest(0, 0, object_id=object_id(1, 0x105)),
            RopIdFromLongTermIdRequest(
                0, 0, long_term_id=bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d900000000001050000")
            ),
        ],
        [0x10],
        [
            RopLongTermIdFromIdResponse(
                0, long_term_id=bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d900000000001050000")
            ),
            RopIdFromLongTermIdResponse(0, object_id=object_id(1, 0x105)),
        ],
        [0x10],
    ),
    (
        "ghosted-folder-request",
        "ghosted-folder-response",
        [
            RopOpenFolderRequest(1, 0, 1, folder_id=object_id(1, 0x9001)),
            RopPublicFolderIsGhostedRequest(1, 0, folder_id=object_id(1, 0x9001)),
            RopGetOwningServersRequest(1, 0, folder_id=object_id(1, 0x9001)),
        ],
        [0x50, NO_HANDLE],
        [
            RopOpenFolderResponse(
                1,
                ghosted=ReplicaServers(
                    cheap_count=1,
                    names=("/o=Contoso/ou=AG1/cn=Configuration/cn=Servers/cn=PF02/cn=Microsoft Public MDB",),
                ),
            ),
            RopPublicFolderIsGhostedResponse(
                0,
                servers=ReplicaServers(
                    cheap_count=1,
                    names=("/o=Contoso/ou=AG1/cn=Configuration/cn=Servers/cn=PF02/cn=Microsoft Public MDB",),
                ),
            ),
            RopGetOwningServersResponse(
                0,
                servers=ReplicaServers(
                    cheap_count=1,
                    names=("/o=Contoso/ou=AG1/cn=Configuration/cn=Servers/cn=PF02/cn=Microsoft Public MDB",),
                ),
            ),
        ],
        [0x50, 0x51],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


GUID = bytes(range(16))
LONG_TERM_ID = bytes(range(22)) + bytes(2)
EXCHANGES = [
    (
        "7b 00 01",
        RopGetStoreStateRequest(0, 1),
        "7b 01 00000000 00000001",
        RopGetStoreStateResponse(1, 0x01000000),
    ),
    (
        "60 00 01" + GUID.hex(),
        RopGetPerUserLongTermIdsRequest(0, 1, GUID),
        "60 01 00000000 0100" + LONG_TERM_ID.hex(),
        RopGetPerUserLongTermIdsResponse(1, (LONG_TERM_ID,)),
    ),
    (
        "61 00 01" + LONG_TERM_ID.hex(),
        RopGetPerUserGuidRequest(0, 1, LONG_TERM_ID),
        "61 01 00000000" + GUID.hex(),
        RopGetPerUserGuidResponse(1, GUID),
    ),
    (
        "45 00 01 0100000000000105",
        RopPublicFolderIsGhostedRequest(0, 1, object_id(1, 0x105)),
        "45 01 00000000 00",
        RopPublicFolderIsGhostedResponse(1),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


def test_logon_time_is_the_one_in_the_vector():
    assert logon_time(datetime(2007, 6, 4, 9, 30, tzinfo=UTC)) == bytes.fromhex("001e09010406d707")
    assert logon_time(datetime(2007, 6, 3, tzinfo=UTC))[3] == 0  # a Sunday


def test_rows_of_the_receive_folder_table_have_its_three_columns():
    assert receive_folder_row(1, "IPM", 2).columns == RECEIVE_FOLDERS_TAGS
