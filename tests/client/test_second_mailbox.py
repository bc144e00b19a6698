"""Another user's mailbox beside one's own: a connection more, a look at its Inbox, a farewell."""

import pytest

from loadgen.client.account_source import AccountList, elsewhere
from loadgen.errors import MapiError
from loadgen.wire import emsmdb
from loadgen.wire.rop.oxcstor import RopLogonRequest

from .scripted import make_account
from .scripted_network import SECOND, client_type
from .scripted_store import refusal

pytestmark = pytest.mark.usefixtures("no_complaints")

KIND = "outlook2007-online-anywhere"
LOGON_FAILED = 0x80040111


async def test_a_second_mailbox_is_one_more_connection_to_its_server(person_of):
    person = person_of(client_type(KIND, second_mailbox=1), startup=False)
    await person.client.log_on()
    assert person.virtual_connections == {"directory": 1, "mail": 2, "public_folder": 1}
    assert ("MBX7", 6001, (emsmdb.INTERFACE, emsmdb.ASYNC_INTERFACE)) in person.network.opened
    logons = [rop for call in person.network.second.calls for rop in call.rops if hasattr(rop, "essdn")]
    assert [rop.essdn for rop in logons] == [SECOND.legacy_dn]
    await person.client.log_off()
    assert set(person.network.ended) == {"closed"}
    assert person.network.second.objects == {}
    person.assert_totals()


async def test_without_one_nothing_is_opened_there(person_of):
    person = person_of(client_type(KIND), startup=False)
    await person.client.log_on()
    assert person.virtual_connections == {"directory": 1, "mail": 1, "public_folder": 1}
    await person.client.log_off()


async def test_a_mailbox_that_may_not_be_opened_fails_the_log_on(person_of):
    person = person_of(client_type(KIND, second_mailbox=1), startup=False)
    person.network.second.rops[RopLogonRequest] = lambda rop, _: refusal(rop, LOGON_FAILED)
    with pytest.raises(MapiError) as caught:
        await person.client.log_on()
    assert (caught.value.call, caught.value.code) == (f"RopLogon to {SECOND.legacy_dn}", LOGON_FAILED)
    person.client.abort()
    assert set(person.network.ended) == {"aborted"}


@pytest.mark.parametrize(
    ("servers", "found"), [(["A", "A", "B", "A"], 2), (["A"], None), (["A", "A"], None), (["A", "B"], 1)]
)
def test_the_next_account_on_another_server(servers, found):
    accounts = AccountList(tuple(make_account(index, server) for index, server in enumerate(servers)))
    other = elsewhere(accounts, accounts.account(0))
    assert (None if other is None else other.index) == found
