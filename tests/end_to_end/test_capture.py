"""What goes over the wire when clients of every type work, judged by Wireshark and Samba."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on
from tests.oracle import samba
from tests.oracle.dumpcap import capturing, needs_dumpcap
from tests.oracle.fold import fold, read_capture
from tests.oracle.tshark import descriptions, judge, needs_tshark

pytestmark = [pytest.mark.judge, needs_tshark, needs_dumpcap, samba.needs_samba]

SIZE = 200_000
"""Of the message that everybody gets: enough for acknowledgements in both directions."""
VIRTUAL_CONNECTIONS = {
    "http": 21,
    "MBX1:store": 4,
    "MBX2:store": 4,
    "PF1:store": 4,
    "MBX1:referral": 2,
    "MBX2:referral": 2,
    "MBX1:directory": 2,
    "MBX2:directory": 3,
    "GC1:directory": 5,
}
"""By hop: one of each LoadGen type, four of each Outlook but the cached 2007, which has six."""

RTS_PDUS = {
    "CONN/A1",
    "CONN/A2",
    "CONN/A3",
    "CONN/B1",
    "CONN/B2",
    "CONN/B3",
    "CONN/C1,CONN/C2",
    "FlowControlAck",
    "FlowControlAckWithDestination",
}
CALLS = {"RfrGetNewDSA", "NspiBind", "NspiGetProps", "NspiQueryRows", "NspiUnbind", "EcDoDisconnect"}
"""Those that Wireshark knows by name, of the calls that must be there."""


@pytest.fixture(params=["plain", "chunked"])
def mock(request, tmp_path) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path, "--set", f"http.framing={request.param}") as started:
        yield started


async def spend_a_day(mock: MockOrganisation) -> None:
    """Clients of all types log on, write, read, delete, look names up and log off."""
    types = [each for each in CLIENT_TYPES.values() if each.transport == "http" and "2013" not in each.name]
    people = [Person(mock, index, client_type) for index, client_type in enumerate(types)]
    async with logged_on(*people):
        for person in people:
            await person.client.end_startup()
        await people[0].send("to all", *people, size=SIZE)
        await people[1].send("to all again", *people)
        for person in people:
            arrived = [*await person.news()]
            while len(arrived) < 2:
                arrived += await person.news()
            for message in arrived:
                await person.client.read_message(message.message_id, message.key)
                await person.client.delete_message(message.message_id)
            await person.client.browse_address_book()
        for person in people:
            await person.client.log_off()
            assert person.lost == []


async def test_nothing_on_the_wire_is_wrong(mock, tmp_path):
    capture = tmp_path / "run.pcapng"
    with capturing(capture, mock.network, mock.host):
        await spend_a_day(mock)
        mock.wait_until_idle()
    servers = mock.organisation.servers
    names = {
        f"{server.address}:{port}": f"{name}:{service}"
        for name, server in servers.items()
        for service, port in server.ports.items()
    }
    conversations = fold(read_capture(capture, (mock.port, 6001, 6002, 6004)))
    assert Counter(names.get(each.hop, each.hop) for each in conversations) == VIRTUAL_CONNECTIONS
    assert judge(conversations) == []
    assert samba.complaints({pdu.data for each in conversations for pdu in each.pdus}) == []
    said = {text for each in conversations for text in descriptions(each)}
    names_said = {text.partition(" request")[0] for text in said}
    assert names_said >= RTS_PDUS | CALLS
