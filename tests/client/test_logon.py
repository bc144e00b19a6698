"""Opening a mailbox: what the server says of it, and whether it is the right one."""

import pytest

from loadgen.client.logon import PrivateLogon, log_on_mailbox
from loadgen.client.replica import Replica
from loadgen.errors import MapiError, WrongAnswer
from loadgen.wire import properties as p
from loadgen.wire.rop import oxcstor

from .scripted import make_account
from .scripted_store import FOLDER_IDS, ScriptedStore, open_session

ACCOUNT = make_account(0)


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


async def test_what_is_known_of_it(store):
    logon = await log_on_mailbox(await open_session(store, waits=False), ACCOUNT)
    (handle,) = store.objects
    assert logon == PrivateLogon(handle, FOLDER_IDS, b"M" * 16, Replica(1, b"R" * 16))
    assert [call.names for call in store.calls] == [
        ["Logon"],
        ["GetReceiveFolder", "GetPropertiesSpecific"],
    ]
    assert store.calls[0].rops[0].essdn == ACCOUNT.legacy_dn


async def test_a_refusal_names_the_mailbox(store):
    store.refuse(oxcstor.RopLogonRequest, 0x80040111)
    with pytest.raises(MapiError) as refusal:
        await log_on_mailbox(await open_session(store, waits=False), ACCOUNT)
    assert (refusal.value.call, refusal.value.code) == (f"RopLogon to {ACCOUNT.legacy_dn}", 0x80040111)


async def test_mail_that_arrives_elsewhere(store):
    elsewhere = FOLDER_IDS[oxcstor.OUTBOX]
    store.alter(oxcstor.RopGetReceiveFolderRequest, folder_id=elsewhere)
    with pytest.raises(WrongAnswer, match=f"0x{elsewhere:016X}, which is not the Inbox"):
        await log_on_mailbox(await open_session(store, waits=False), ACCOUNT)


@pytest.mark.parametrize("owner", ["User 00001", None])
async def test_the_mailbox_of_another(store, owner):
    store.root.values[p.PidTagMailboxOwnerName] = owner
    with pytest.raises(WrongAnswer, match="the mailbox of User 00000 belongs to"):
        await log_on_mailbox(await open_session(store, waits=False), ACCOUNT)
