"""RecipientRow, against the row of a foreign submission, and written out from [MS-OXCDATA] 2.8.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyRow
from loadgen.wire.recipients import RecipientRow, exchange_recipient, smtp_recipient
from loadgen.wire.rop.buffer import read_requests

COLUMNS = (0x0FFE0003, 0x39000003)
ROW = PropertyRow.of(COLUMNS[:1], (6,))
NO_ROW = PropertyRow.of((), ())
PREFIX = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn="
ROW_WIRE = "0100 00 06000000"
RECIPIENTS = [
    (
        "5106 05 01 7500 41000000 75000000" + ROW_WIRE,
        RecipientRow(
            flags=0x0651,
            row=ROW,
            address_prefix_used=5,
            display_type=1,
            x500_dn="u",
            display_name="A",
            simple_display_name="u",
        ),
    ),
    (
        "5b02 61000000 42000000" + ROW_WIRE,
        RecipientRow(flags=0x025B, row=ROW, email_address="a", display_name="B"),
    ),
    (
        "3b00 6100 4200 4300 0000 00",
        RecipientRow(
            flags=0x003B, row=NO_ROW, email_address="a", display_name="B", transmittable_display_name="C"
        ),
    ),
    (
        "0880 464158 00 3100 0000 00",
        RecipientRow(flags=0x8008, row=NO_ROW, address_type="FAX", email_address="1"),
    ),
    ("0000 0000 00", RecipientRow(flags=0, row=NO_ROW)),
    (
        "0600 0200 0102 0100 03 0000 00",
        RecipientRow(flags=0x0006, row=NO_ROW, entry_id=b"\1\2", search_key=b"\3"),
    ),
    ("0700 0000 0000 0000 00", RecipientRow(flags=0x0007, row=NO_ROW)),
]


def bytes_of(recipient):
    writer = Writer()
    recipient.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(("data", "recipient"), RECIPIENTS)
def test_parts_are_there_as_the_flags_say(data, recipient):
    wire = bytes.fromhex(data)
    reader = Reader(wire)
    assert RecipientRow.read(reader, COLUMNS) == recipient
    reader.expect_end("recipient")
    assert bytes_of(recipient) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            RecipientRow.read(Reader(wire[:size]), COLUMNS)


def test_the_recipient_of_a_foreign_submission_is_the_one_we_would_make(vector):
    ((_, modify, *_), _) = read_requests(vector("rop/submit-request.hex"))
    recipient = modify.rows[0].recipient
    assert recipient == exchange_recipient(PREFIX + "user002", "Bob Brown", PREFIX, recipient.row)
    assert recipient.legacy_dn(PREFIX) == PREFIX + "user002"


def test_a_recipient_on_the_internet_has_an_address_instead_of_a_dn():
    assert bytes_of(smtp_recipient("a", "B", ROW)) == bytes.fromhex("5b02 61000000 42000000" + ROW_WIRE)


@pytest.mark.parametrize("prefix", ["/o=Elsewhere/cn=", PREFIX[:1] + "x" * 300, ""])
def test_a_prefix_that_does_not_fit_is_not_used(prefix):
    recipient = exchange_recipient(PREFIX + "user002", "Bob Brown", prefix, ROW)
    assert recipient.address_prefix_used == 0
    assert recipient.x500_dn == PREFIX + "user002"
    assert recipient.legacy_dn(prefix) == PREFIX + "user002"


def test_a_row_has_no_more_columns_than_the_rop():
    with pytest.raises(WireError, match="3 of 2 columns"):
        RecipientRow.read(Reader(bytes.fromhex("0000 0300 00") + bytes(12)), COLUMNS)


TEXT = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0"), max_size=20)


@given(TEXT, TEXT, TEXT)
def test_any_recipient_comes_back(address, name, prefix):
    for recipient in (
        smtp_recipient(address, name, ROW),
        exchange_recipient(prefix + address, name, prefix, ROW, display_type=1),
    ):
        assert RecipientRow.read(Reader(bytes_of(recipient)), COLUMNS) == recipient
