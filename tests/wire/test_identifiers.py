"""Object ids and entry ids; the vectors are values in ROP buffers of the reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.identifiers import (
    PRIVATE_FOLDER,
    PRIVATE_MESSAGE,
    AddressBookEntryId,
    FolderEntryId,
    MessageEntryId,
    OneOffEntryId,
    counter_of,
    global_counter_of,
    long_term_id,
    object_id,
    replica_id_of,
)
from loadgen.wire.properties import PidTagRecipientEntryId, PidTagSentMailEntryId
from loadgen.wire.rop.buffer import read_requests

MAILBOX = bytes.fromhex("d4c3b2a10201044385060708090a0b0c")
REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
SENT_ITEMS = object_id(1, 0x107)
DN = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user002"
ONE_OFF = "00000000 812b1fa4bea310199d6e00dd010f5402 0000"
ENTRY_IDS = [
    FolderEntryId(MAILBOX, PRIVATE_FOLDER, long_term_id(REPLICA, SENT_ITEMS)),
    MessageEntryId(MAILBOX, PRIVATE_MESSAGE, long_term_id(REPLICA, SENT_ITEMS), long_term_id(REPLICA, 1)),
    AddressBookEntryId(DN),
    OneOffEntryId("Ann", "SMTP", "a@b"),
    OneOffEntryId("Ann", "SMTP", "a@b", flags=0),
]


def test_an_id_is_a_replica_below_a_big_endian_counter():
    identifier = object_id(1, 0x105)
    assert identifier.to_bytes(8, "little") == bytes.fromhex("0100000000000105")
    assert (replica_id_of(identifier), counter_of(identifier)) == (1, 0x105)
    assert global_counter_of(identifier) == bytes.fromhex("000000000105")
    assert long_term_id(REPLICA, identifier) == REPLICA + bytes.fromhex("000000000105 0000")


@given(st.integers(0, 0xFFFF), st.integers(0, (1 << 48) - 1))
def test_any_id_comes_apart_again(replica_id, counter):
    identifier = object_id(replica_id, counter)
    assert (replica_id_of(identifier), counter_of(identifier)) == (replica_id, counter)


def test_entry_ids_in_a_foreign_request(vector):
    ((_, set_properties), _) = read_requests(vector("rop/create-message-request.hex"))
    (sent_mail,) = (value.value for value in set_properties.values if value.tag == PidTagSentMailEntryId)
    assert FolderEntryId.decode(sent_mail) == ENTRY_IDS[0]
    assert ENTRY_IDS[0].encode() == sent_mail

    ((_, modify, *_), _) = read_requests(vector("rop/submit-request.hex"))
    recipient = modify.rows[0].recipient.row.get(PidTagRecipientEntryId)
    assert AddressBookEntryId.decode(recipient) == AddressBookEntryId(DN)
    assert AddressBookEntryId(DN).encode() == recipient


def test_the_layouts_that_no_vector_shows():
    assert ENTRY_IDS[1].encode() == bytes(4) + MAILBOX + b"\7\0" + long_term_id(
        REPLICA, SENT_ITEMS
    ) + long_term_id(REPLICA, 1)
    assert len(ENTRY_IDS[1].encode()) == 70
    unicode_names = "41006e006e000000 53004d00540050000000 6100400062000000"
    assert ENTRY_IDS[3].encode() == bytes.fromhex(ONE_OFF + "0180" + unicode_names)
    assert ENTRY_IDS[4].encode() == bytes.fromhex(ONE_OFF + "0000" + "416e6e00 534d545000 61406200")


@pytest.mark.parametrize("entry_id", ENTRY_IDS, ids=lambda entry_id: type(entry_id).__name__)
def test_entry_ids_come_back_whole_or_not_at_all(entry_id):
    data = entry_id.encode()
    decode = type(entry_id).decode
    assert decode(data) == entry_id
    for size in range(len(data)):
        with pytest.raises(WireError):
            decode(data[:size])
    with pytest.raises(WireError, match="left over"):
        decode(data + b"\0")
    with pytest.raises(WireError):
        decode(b"\1" + data[1:])


def test_other_providers_and_versions_are_refused():
    user, one_off = ENTRY_IDS[2].encode(), ENTRY_IDS[3].encode()
    with pytest.raises(WireError, match="Address Book EntryID"):
        AddressBookEntryId.decode(one_off)
    with pytest.raises(WireError, match="One-Off EntryID"):
        OneOffEntryId.decode(user)
    with pytest.raises(WireError, match="Version"):
        AddressBookEntryId.decode(user[:20] + b"\2" + user[21:])
    with pytest.raises(WireError, match="Version"):
        OneOffEntryId.decode(one_off[:20] + b"\1" + one_off[21:])
