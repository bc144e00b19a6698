"""ROPs of messages and attachments, against foreign ROP buffers."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagAccess,
    PidTagAccount,
    PidTagAddressBookDisplayNamePrintable,
    PidTagAttachDataBinary,
    PidTagAttachFilename,
    PidTagAttachLongFilename,
    PidTagAttachMethod,
    PidTagAttachNumber,
    PidTagAttachSize,
    PidTagBody,
    PidTagChangeKey,
    PidTagClientSubmitTime,
    PidTagDeleteAfterSubmit,
    PidTagDisplayTo,
    PidTagDisplayType,
    PidTagImportance,
    PidTagInternetCodepage,
    PidTagInternetMessageId,
    PidTagMessageClass,
    PidTagMessageCodepage,
    PidTagMessageDeliveryTime,
    PidTagMessageFlags,
    PidTagMessageSize,
    PidTagNormalizedSubject,
    PidTagObjectType,
    PidTagOriginatorDeliveryReportRequested,
    PidTagPriority,
    PidTagReadReceiptRequested,
    PidTagRecipientDisplayName,
    PidTagRecipientEntryId,
    PidTagRecipientFlags,
    PidTagRecipientOrder,
    PidTagRecipientResourceState,
    PidTagRecipientTrackStatus,
    PidTagRenderingPosition,
    PidTagSenderEmailAddress,
    PidTagSenderName,
    PidTagSendInternetEncoding,
    PidTagSentMailEntryId,
    PidTagSentRepresentingName,
    PidTagSmtpAddress,
    PidTagSubjectPrefix,
    PropertyError,
    PropertyRow,
    PropertyValue,
)
from loadgen.wire.recipients import RecipientRow, smtp_recipient
from loadgen.wire.rop.base import RopErrorResponse
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests, read_responses, write_requests, write_responses
from loadgen.wire.rop.oxcmsg import (
    ModifyRecipientRow,
    OpenRecipientRow,
    PublicReadStatus,
    ReadRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateAttachmentResponse,
    RopCreateMessageRequest,
    RopCreateMessageResponse,
    RopGetAttachmentTableRequest,
    RopGetAttachmentTableResponse,
    RopModifyRecipientsRequest,
    RopModifyRecipientsResponse,
    RopOpenAttachmentRequest,
    RopOpenAttachmentResponse,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopReadRecipientsRequest,
    RopReadRecipientsResponse,
    RopRemoveAllRecipientsRequest,
    RopRemoveAllRecipientsResponse,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesAttachmentResponse,
    RopSaveChangesMessageRequest,
    RopSaveChangesMessageResponse,
    RopSetMessageReadFlagRequest,
    RopSetMessageReadFlagResponse,
    RopSetReadFlagsRequest,
    RopSetReadFlagsResponse,
)
from loadgen.wire.rop.oxcprpt import (
    RopCommitStreamRequest,
    RopCommitStreamResponse,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from loadgen.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)
from loadgen.wire.rop.oxomsg import RopSubmitMessageRequest, RopSubmitMessageResponse
from loadgen.wire.typed_string import TypedString

RECIPIENT_COLUMNS = (
    PidTagObjectType,
    PidTagDisplayType,
    PidTagAddressBookDisplayNamePrintable,
    PidTagSmtpAddress,
    PidTagSendInternetEncoding,
    PidTagAccount,
    PidTagRecipientTrackStatus,
    PidTagRecipientResourceState,
    PidTagRecipientFlags,
    PidTagRecipientDisplayName,
    PidTagRecipientEntryId,
    PidTagRecipientOrder,
)
OPEN_MESSAGE_TAGS = (
    PidTagMessageClass,
    PidTagMessageFlags,
    PidTagMessageSize,
    PidTagMessageDeliveryTime,
    PidTagClientSubmitTime,
    PidTagSenderName,
    PidTagSenderEmailAddress,
    PidTagSentRepresentingName,
    PidTagDisplayTo,
    PidTagBody,
    PidTagInternetMessageId,
)
ATTACHMENT_TABLE_COLUMNS = (
    PidTagAttachNumber,
    PidTagAttachSize,
    PidTagAttachLongFilename,
    PidTagAttachMethod,
    PidTagAccess,
)

CONVERSATIONS = [
    (
        "submit-request",
        "submit-response",
        [
            RopRemoveAllRecipientsRequest(0, 0),
            RopModifyRecipientsRequest(
                0,
                0,
                recipient_columns=RECIPIENT_COLUMNS,
                rows=(
                    ModifyRecipientRow(
                        row_id=0,
                        recipient_type=1,
                        recipient=RecipientRow(
                            flags=1617,
                            row=PropertyRow.of(
                                RECIPIENT_COLUMNS,
                                (
                                    6,
                                    0,
                                    "user002",
                                    "bob.brown@contoso.test",
                                    0,
                                    "user002",
                                    0,
                                    0,
                                    1,
                                    "Bob Brown",
                                    bytes.fromhex(
                                        "00000000dca740c8c042101ab4b908002b2fe18201000000000000002f6f3d436f6e746f736f2f6f753d46697273742041646d696e6973747261746976652047726f75702f636e3d526563697069656e74732f636e3d7573657230303200"
                                    ),
                                    0,
                                ),
                            ),
                            address_prefix_used=58,
                            x500_dn="user002",
                            display_name="Bob Brown",
                            simple_display_name="user002",
                        ),
                    ),
                ),
            ),
            RopSetPropertiesRequest(
                0,
                0,
                values=(
                    PropertyValue(tag=PidTagSubjectPrefix, value=""),
                    PropertyValue(tag=PidTagNormalizedSubject, value="Quarterly figures"),
                ),
            ),
            RopSubmitMessageRequest(0, 0),
            RopGetPropertiesSpecificRequest(
                0, 0, property_size_limit=0, want_unicode=0, property_tags=(PidTagChangeKey,)
            ),
        ],
        [0x40],
        [
            RopRemoveAllRecipientsResponse(0),
            RopModifyRecipientsResponse(0),
            RopSetPropertiesResponse(0),
            RopSubmitMessageResponse(0),
            RopGetPropertiesSpecificResponse(
                0,
                row=PropertyRow.of(
                    (PidTagChangeKey,), (bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90000000004001"),)
                ),
            ),
        ],
        [0x40],
    ),
    (
        "open-message-request",
        "open-message-response",
        [
            RopOpenMessageRequest(
                0,
                0,
                1,
                code_page_id=4095,
                folder_id=object_id(1, 0x105),
                open_mode_flags=0,
                message_id=object_id(1, 0x2100),
            ),
            RopGetPropertiesSpecificRequest(
                0, 1, property_size_limit=0, want_unicode=1, property_tags=OPEN_MESSAGE_TAGS
            ),
        ],
        [0x10, NO_HANDLE],
        [
            RopOpenMessageResponse(
                1,
                has_named_properties=True,
                subject_prefix=TypedString(string_type=1),
                normalized_subject=TypedString(string_type=3, text="Quarterly figures"),
                recipient_count=1,
                recipient_columns=RECIPIENT_COLUMNS,
                recipients=(
                    OpenRecipientRow(
                        recipient_type=1,
                        code_page_id=1252,
                        recipient=RecipientRow(
                            flags=1617,
                            row=PropertyRow.of(
                                RECIPIENT_COLUMNS,
                                (
                                    6,
                                    0,
                                    "user001",
                                    "alice.adams@contoso.test",
                                    0,
                                    "user001",
                                    0,
                                    0,
                                    1,
                                    "Alice Adams",
                                    bytes.fromhex(
                                        "00000000dca740c8c042101ab4b908002b2fe18201000000000000002f6f3d436f6e746f736f2f6f753d46697273742041646d696e6973747261746976652047726f75702f636e3d526563697069656e74732f636e3d7573657230303100"
                                    ),
                                    0,
                                ),
                            ),
                            address_prefix_used=58,
                            x500_dn="user001",
                            display_name="Alice Adams",
                            simple_display_name="user001",
                        ),
                    ),
                ),
            ),
            RopGetPropertiesSpecificResponse(
                1,
                row=PropertyRow.of(
                    OPEN_MESSAGE_TAGS,
                    (
                        "IPM.Note",
                        16,
                        51243,
                        0x1C7A68AEC175C00,
                        0x1C7A68AEC175C00,
                        "Bob Brown",
                        "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user002",
                        "Bob Brown",
                        "Alice Adams",
                        PropertyError(code=0x8007000E),
                        "<20070604093000.1@exch01.contoso.test>",
                    ),
                ),
            ),
        ],
        [0x10, 0x31],
    ),
    (
        "save-message-request",
        "save-message-response",
        [
            RopSaveChangesMessageRequest(0, response_handle_index=1, input_handle_index=0, save_flags=12),
        ],
        [0x40, 0x10],
        [
            RopSaveChangesMessageResponse(1, 0, message_id=object_id(1, 0x3001)),
        ],
        [0x40, 0x10],
    ),
    (
        "create-message-request",
        "create-message-response",
        [
            RopCreateMessageRequest(0, 0, 1, code_page_id=4095, folder_id=object_id(1, 0x106)),
            RopSetPropertiesRequest(
                0,
                1,
                values=(
                    PropertyValue(tag=PidTagMessageClass, value="IPM.Note"),
                    PropertyValue(tag=PidTagImportance, value=1),
                    PropertyValue(tag=PidTagPriority, value=0),
                    PropertyValue(tag=PidTagDeleteAfterSubmit, value=False),
                    PropertyValue(tag=PidTagReadReceiptRequested, value=False),
                    PropertyValue(tag=PidTagOriginatorDeliveryReportRequested, value=False),
                    PropertyValue(tag=PidTagMessageFlags, value=9),
                    PropertyValue(tag=PidTagMessageCodepage, value=1252),
                    PropertyValue(tag=PidTagInternetCodepage, value=1252),
                    PropertyValue(
                        tag=PidTagSentMailEntryId,
                        value=bytes.fromhex(
                            "00000000d4c3b2a10201044385060708090a0b0c01005e3d7a6d1c9b6f4a8e572f1a0c4b7d900000000001070000"
                        ),
                    ),
                ),
            ),
        ],
        [0x10, NO_HANDLE],
        [
            RopCreateMessageResponse(1),
            RopSetPropertiesResponse(1),
        ],
        [0x10, 0x40],
    ),
    (
        "read-flags-request",
        "read-flags-response",
        [
            RopSetReadFlagsRequest(
                0, 0, want_asynchronous=False, read_flags=0, message_ids=(object_id(1, 0x2100),)
            ),
            RopSetMessageReadFlagRequest(0, response_handle_index=0, input_handle_index=1, read_flags=0),
        ],
        [0x11, 0x31],
        [
            RopSetReadFlagsResponse(0),
            RopSetMessageReadFlagResponse(0),
        ],
        [0x11, 0x31],
    ),
    (
        "attachment-table-request",
        "attachment-table-response",
        [
            RopGetAttachmentTableRequest(0, 0, 1),
            RopSetColumnsRequest(0, 1, set_columns_flags=0, property_tags=ATTACHMENT_TABLE_COLUMNS),
            RopQueryRowsRequest(0, 1, query_rows_flags=0, forward_read=True, row_count=32),
        ],
        [0x31, NO_HANDLE],
        [
            RopGetAttachmentTableResponse(1),
            RopSetColumnsResponse(1),
            RopQueryRowsResponse(
                1,
                origin=2,
                rows=(
                    PropertyRow.of(
                        ATTACHMENT_TABLE_COLUMNS,
                        (
                            0,
                            20480,
                            "figures.xls",
                            1,
                            2,
                        ),
                    ),
                ),
            ),
        ],
        [0x31, 0x33],
    ),
    (
        "open-attachment-request",
        "open-attachment-response",
        [
            RopOpenAttachmentRequest(0, 0, 1, open_attachment_flags=0, attachment_id=0),
            RopOpenStreamRequest(0, 1, 2, property_tag=PidTagAttachDataBinary),
            RopReadStreamRequest(0, 2, byte_count=16),
        ],
        [0x31, NO_HANDLE, NO_HANDLE],
        [
            RopOpenAttachmentResponse(1),
            RopOpenStreamResponse(2, stream_size=20480),
            RopReadStreamResponse(2, data=bytes.fromhex("d0cf11e0a1b11ae10000000000000000")),
        ],
        [0x31, 0x34, 0x35],
    ),
    (
        "create-attachment-request",
        "create-attachment-response",
        [
            RopCreateAttachmentRequest(0, 0, 1),
            RopSetPropertiesRequest(
                0,
                1,
                values=(
                    PropertyValue(tag=PidTagAttachMethod, value=1),
                    PropertyValue(tag=PidTagAttachLongFilename, value="figures.xls"),
                    PropertyValue(tag=PidTagAttachFilename, value="figures.xls"),
                    PropertyValue(tag=PidTagRenderingPosition, value=0xFFFFFFFF),
                ),
            ),
            RopOpenStreamRequest(0, 1, 2, property_tag=PidTagAttachDataBinary, open_mode_flags=2),
            RopWriteStreamRequest(0, 2, data=bytes.fromhex("000102030405060708090a0b0c0d0e0f")),
            RopCommitStreamRequest(0, 2),
            RopReleaseRequest(0, 2),
            RopSaveChangesAttachmentRequest(0, response_handle_index=2, input_handle_index=1, save_flags=10),
            RopReleaseRequest(0, 1),
        ],
        [0x40, NO_HANDLE, NO_HANDLE],
        [
            RopCreateAttachmentResponse(1, attachment_id=0),
            RopSetPropertiesResponse(1),
            RopOpenStreamResponse(2, stream_size=0),
            RopWriteStreamResponse(2, written_size=16),
            RopCommitStreamResponse(2),
            RopSaveChangesAttachmentResponse(2),
        ],
        [0x40, 0x42, 0x43],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


CLIENT_DATA = bytes(range(24))
EXCHANGES = [
    (
        "0e 00 01 0000 0100 05000000 02 0000",
        RopModifyRecipientsRequest(0, 1, (), (ModifyRecipientRow(5, 2, None),)),
        "0e 01 00000000",
        RopModifyRecipientsResponse(1),
    ),
    (
        "06 00 01 02 ff0f 0100000000000106 01",
        RopCreateMessageRequest(0, 1, 2, 0x0FFF, object_id(1, 0x106), True),
        "06 02 00000000 01 0100000000002100",
        RopCreateMessageResponse(2, object_id(1, 0x2100)),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_without_an_example_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


def test_more_recipients_are_read_over_the_columns_of_the_message():
    columns = (PidTagObjectType,)
    row = ReadRecipientRow(
        1, OpenRecipientRow(1, 1252, smtp_recipient("a@b", "A", PropertyRow.of(columns, (6,))))
    )
    answer = write_responses([RopReadRecipientsResponse(1, (row,))], [])
    recipient = "5b02 6100400062000000 41000000 0100 00 06000000"
    size = len(bytes.fromhex(recipient))
    assert answer[2:] == bytes.fromhex(f"0f 01 00000000 01 01000000 01 e404 0000 {size:02x}00" + recipient)

    requests = [RopReadRecipientsRequest(0, 1, row_id=1)]
    assert write_requests(requests, [])[2:] == bytes.fromhex("0f 00 01 01000000 0000")
    assert read_requests(write_requests(requests, [])) == (requests, [])
    responses, _ = read_responses(answer, requests, {1: columns}.__getitem__)
    assert responses == [RopReadRecipientsResponse(1, (row,))]


def test_the_columns_that_a_message_tells_serve_the_rops_behind_it(vector):
    opened = vector("rop/open-message-response.hex")
    columns = RECIPIENT_COLUMNS[:1]
    row = ReadRecipientRow(
        0, OpenRecipientRow(1, 1252, smtp_recipient("", "", PropertyRow.of(columns, (6,))))
    )
    more = write_responses([RopReadRecipientsResponse(1, (row,))], [])[2:]
    list_end = int.from_bytes(opened[:2], "little")
    answer = (list_end + len(more)).to_bytes(2, "little") + opened[2:list_end] + more + opened[list_end:]
    requests = [
        RopOpenMessageRequest(0, 0, 1, 0x0FFF, object_id(1, 0x105), 0, object_id(1, 0x2100)),
        RopGetPropertiesSpecificRequest(0, 1, 0, 1, OPEN_MESSAGE_TAGS),
        RopReadRecipientsRequest(0, 1, row_id=0),
    ]
    responses, _ = read_responses(answer, requests, {}.__getitem__)
    assert responses[-1] == RopReadRecipientsResponse(1, (row,))


def test_read_flags_may_be_refused_without_a_word_on_completion(vector):
    refused = vector("rop/read-flags-refused-response.hex")
    requests, _ = read_requests(vector("rop/read-flags-request.hex"))
    failures = [RopErrorResponse(0x66, 0, 0x4B9), RopErrorResponse(0x11, 0, 0x4B9)]
    assert read_responses(refused, requests, {}.__getitem__) == (failures, [0x11, 0x31])
    assert write_responses(failures, [0x11, 0x31]) == refused


def test_a_read_flag_has_client_data_on_a_public_logon_alone():
    request = RopSetMessageReadFlagRequest(7, 0, 1, 4, CLIENT_DATA)
    payload = write_requests([request], [])
    assert payload[2:] == bytes.fromhex("11 07 00 01 04") + CLIENT_DATA
    assert read_requests(payload, public_logons={7}) == ([request], [])
    with pytest.raises(WireError):
        read_requests(payload)

    response = RopSetMessageReadFlagResponse(0, PublicReadStatus(7, CLIENT_DATA))
    answer = write_responses([response], [])
    assert answer[2:] == bytes.fromhex("11 00 00000000 01 07") + CLIENT_DATA
    assert read_responses(answer, [request], {}.__getitem__) == ([response], [])
