"""Opening a mailbox, in whatever mode ([MS-OXCSTOR] 3.2.4)."""

from typing import Final

import msgspec

from loadgen.client.account import Account
from loadgen.client.replica import Replica
from loadgen.client.store_session import StoreSession
from loadgen.errors import MapiError, WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire.properties import PidTagMailboxOwnerEntryId, PidTagMailboxOwnerName, PidTagStoreSupportMask
from loadgen.wire.rop import oxcstor
from loadgen.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopGetPropertiesSpecificResponse

_OPEN_FLAGS: Final = (
    oxcstor.HOME_LOGON | oxcstor.TAKE_OWNERSHIP | oxcstor.NO_MAIL | oxcstor.USE_PER_MDB_REPLICA_IDS
)
_STORE_PROPERTIES: Final = (PidTagMailboxOwnerName, PidTagMailboxOwnerEntryId, PidTagStoreSupportMask)


class PrivateLogon(msgspec.Struct, frozen=True):
    """A mailbox that is open; ``folder_ids`` stand in the order of :mod:`loadgen.wire.rop.oxcstor`."""

    handle: ServerObjectHandle
    folder_ids: tuple[int, ...]
    mailbox_guid: bytes
    replica: Replica


async def log_on_mailbox(store: StoreSession, account: Account) -> PrivateLogon:
    """Logs on to the mailbox of ``account`` and checks that it is his."""
    batch = RopBatch()
    batch.add(
        oxcstor.RopLogonRequest(0, batch.reserve(), oxcstor.PRIVATE, _OPEN_FLAGS, essdn=account.legacy_dn)
    )
    try:
        results = await store.run(batch)
    except MapiError as error:
        raise MapiError(f"RopLogon to {account.legacy_dn}", error.code) from error
    response = results.one(oxcstor.RopLogonPrivateResponse)
    logon = PrivateLogon(
        results.handles[0],
        response.folder_ids,
        response.mailbox_guid,
        Replica(response.replica_id, response.replica_guid),
    )
    await _check(store, logon, account)
    return logon


async def _check(store: StoreSession, logon: PrivateLogon, account: Account) -> None:
    batch = RopBatch()
    index = batch.use(logon.handle)
    batch.add(oxcstor.RopGetReceiveFolderRequest(0, index, "IPM.Note"))
    batch.add(RopGetPropertiesSpecificRequest(0, index, 0, 1, _STORE_PROPERTIES))
    results = await store.run(batch)
    arrival = results.one(oxcstor.RopGetReceiveFolderResponse).folder_id
    if arrival != logon.folder_ids[oxcstor.INBOX]:
        raise WrongAnswer(f"mail arrives in folder 0x{arrival:016X}, which is not the Inbox")
    owner = results.one(RopGetPropertiesSpecificResponse).row.get(PidTagMailboxOwnerName)
    if owner != account.display_name:
        raise WrongAnswer(f"the mailbox of {account.display_name} belongs to {owner}")
