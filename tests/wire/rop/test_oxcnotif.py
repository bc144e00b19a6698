"""Registering for notifications, and the notifications, against foreign ROP buffers."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PropertyRow
from loadgen.wire.rop.buffer import NO_HANDLE, read_responses, write_responses
from loadgen.wire.rop.oxcnotif import (
    ObjectEvent,
    RopNotifyResponse,
    RopPendingResponse,
    RopRegisterNotificationRequest,
    RopRegisterNotificationResponse,
    TableEvent,
    TableRowId,
)

CONVERSATIONS = [
    (
        "register-notification-request",
        "register-notification-response",
        [
            RopRegisterNotificationRequest(0, 0, 1, notification_types=254),
        ],
        [0x10, NO_HANDLE],
        [
            RopRegisterNotificationResponse(1),
        ],
        [0x10, 0x13],
    ),
    (
        "poll-request",
        "notify-new-mail-response",
        [],
        [],
        [
            RopNotifyResponse(
                notification_handle=19,
                logon_id=0,
                event=ObjectEvent(
                    kind=2,
                    folder_id=object_id(1, 0x105),
                    message_id=object_id(1, 0x2100),
                    message_class="IPM.Note",
                ),
            ),
            RopNotifyResponse(
                notification_handle=19,
                logon_id=0,
                event=ObjectEvent(kind=4, folder_id=object_id(1, 0x105), message_id=object_id(1, 0x2100)),
            ),
            RopNotifyResponse(
                notification_handle=19,
                logon_id=0,
                event=ObjectEvent(kind=16, folder_id=object_id(1, 0x105), total_count=215, unread_count=4),
            ),
        ],
        [],
    ),
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[1])
def test_conversations_are_read_and_written_as_they_stand(check_conversation, conversation):
    check_conversation(*conversation)


FOLDER = object_id(1, 0x105)
MESSAGE = object_id(1, 0x2100)
OTHER = object_id(1, 0x106)
F, M, X = "0100000000000105", "0100000000002100", "0100000000000106"
EVENTS = [
    (
        "0200" + F + "04000000 01 4900 0000",
        ObjectEvent(0x02, FOLDER, message_flags=4, message_class="I", is_unicode=True),
    ),
    (
        "0400" + F + X + "0100 1f003700",
        ObjectEvent(0x04, FOLDER, parent_folder_id=OTHER, property_tags=(0x0037001F,)),
    ),
    (
        "04c0" + F + M + X + "0000",
        ObjectEvent(0x04, FOLDER, MESSAGE, in_search_folder=True, parent_folder_id=OTHER),
    ),
    ("0880" + F + M, ObjectEvent(0x08, FOLDER, MESSAGE)),
    ("1010" + F + "ffff 07000000", ObjectEvent(0x10, FOLDER, property_tags=None, total_count=7)),
    ("1020" + F + "0000 07000000", ObjectEvent(0x10, FOLDER, unread_count=7)),
    (
        "2000" + F + X + X + F,
        ObjectEvent(0x20, FOLDER, None, False, OTHER, OTHER, old_parent_folder_id=FOLDER),
    ),
    ("4080" + F + M + X + M, ObjectEvent(0x40, FOLDER, MESSAGE, old_folder_id=OTHER, old_message_id=MESSAGE)),
    ("8000" + F, ObjectEvent(0x80, FOLDER)),
    ("0001 0100", TableEvent(1, of_messages=False)),
    ("00c1 0700", TableEvent(7, of_messages=True, in_search_folder=True)),
    ("0001 0400" + F, TableEvent(4, False, TableRowId(FOLDER))),
    ("0081 0400" + F + M + "02000000", TableEvent(4, True, TableRowId(FOLDER, MESSAGE, 2))),
    (
        "0001 0500" + F + X + "0200 abcd",
        TableEvent(5, False, TableRowId(FOLDER), TableRowId(OTHER), b"\xab\xcd"),
    ),
]


@pytest.mark.parametrize(("data", "event"), EVENTS, ids=lambda value: value if isinstance(value, str) else "")
def test_events_of_every_kind_follow_the_rules_of_presence(data, event):
    wire = bytes.fromhex("2a 13000000 00" + data)
    notify = RopNotifyResponse(0x13, 0, event)
    writer = Writer()
    notify.write(writer)
    assert writer.getvalue() == wire
    assert RopNotifyResponse.read(Reader(wire, 1)) == notify
    for size in range(1, len(wire)):
        with pytest.raises(WireError):
            RopNotifyResponse.read(Reader(wire[:size], 1))


@pytest.mark.parametrize("flags", [0x0000, 0x0006, 0x0400, 0x1100, 0x2100, 0x8200])
def test_flags_that_name_no_event_are_refused(flags):
    with pytest.raises(WireError, match="NotificationFlags"):
        RopNotifyResponse.read(Reader(bytes(5) + flags.to_bytes(2, "little") + bytes(64)))


def test_a_row_of_a_table_comes_as_bytes_to_be_read_with_its_columns(vector):
    payload = vector("rop/notify-table-row-response.hex")
    (added, pending), handles = read_responses(payload, [], {}.__getitem__)
    assert handles == []
    assert pending == RopPendingResponse(1)
    row = TableRowId(FOLDER, MESSAGE, 0)
    assert added == RopNotifyResponse(0x12, 0, TableEvent(3, True, row, TableRowId(), added.event.row_data))
    columns = (
        0x67480014, 0x674A0014, 0x674D0014, 0x674E0003, 0x001A001F, 0x00170003, 0x0E070003,
        0x0E080003, 0x0E060040, 0x00390040, 0x0E1B000B, 0x0042001F, 0x0037001F, 0x0E1D001F,
    )  # fmt: skip
    reader = Reader(added.event.row_data)
    values = PropertyRow.read(reader, columns)
    reader.expect_end("row")
    assert values.get(0x0037001F) == "Quarterly figures for the northern region"
    assert write_responses([added, pending], []) == payload


EXCHANGES = [
    (
        "29 00 01 02 0600 00" + F + M,
        RopRegisterNotificationRequest(0, 1, 2, 0x06, False, FOLDER, MESSAGE),
        "29 02 00000000",
        RopRegisterNotificationResponse(2),
    ),
    (
        "29 00 01 02 0204 00 01",
        RopRegisterNotificationRequest(0, 1, 2, 0x0402),
        "29 02 00000000",
        RopRegisterNotificationResponse(2),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_registrations_have_the_fields_that_their_types_ask_for(check_exchange, exchange):
    check_exchange(*exchange)
