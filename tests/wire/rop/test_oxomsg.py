"""ROPs that send mail, written out from their layouts; the vector of a whole submission is in test_oxcmsg."""

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rop.oxomsg import (
    RopAbortSubmitRequest,
    RopAbortSubmitResponse,
    RopGetAddressTypesRequest,
    RopGetAddressTypesResponse,
    RopGetTransportFolderRequest,
    RopGetTransportFolderResponse,
    RopSetSpoolerRequest,
    RopSetSpoolerResponse,
    RopSubmitMessageRequest,
    RopSubmitMessageResponse,
    RopTransportSendRequest,
    RopTransportSendResponse,
)

EXCHANGES = [
    ("32 00 01 02", RopSubmitMessageRequest(0, 1, 2), "32 01 00000000", RopSubmitMessageResponse(1)),
    (
        "34 00 01 0100000000000106 0100000000002100",
        RopAbortSubmitRequest(0, 1, object_id(1, 0x106), object_id(1, 0x2100)),
        "34 01 00000000",
        RopAbortSubmitResponse(1),
    ),
    (
        "49 00 01",
        RopGetAddressTypesRequest(0, 1),
        "49 01 00000000 0200 0800 455800 534d545000",
        RopGetAddressTypesResponse(1, ("EX", "SMTP")),
    ),
    (
        "4a 00 01",
        RopTransportSendRequest(0, 1),
        "4a 01 00000000 00 0100 0b00010e 01",
        RopTransportSendResponse(1, False, (PropertyValue(0x0E01000B, True),)),
    ),
    ("47 00 01", RopSetSpoolerRequest(0, 1), "47 01 00000000", RopSetSpoolerResponse(1)),
    (
        "6d 00 01",
        RopGetTransportFolderRequest(0, 1),
        "6d 01 00000000 0100000000000106",
        RopGetTransportFolderResponse(1, object_id(1, 0x106)),
    ),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: type(exchange[1]).__name__)
def test_rops_follow_their_layout(check_exchange, exchange):
    check_exchange(*exchange)


def test_a_sent_message_is_answered_as_a_foreign_server_does(check_conversation):
    check_conversation(
        "transport-send-request",
        "transport-send-response",
        [RopTransportSendRequest(0, 0)],
        [0x40],
        [RopTransportSendResponse(0, True)],
        [0x40],
    )
