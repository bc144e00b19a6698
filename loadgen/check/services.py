"""The steps behind a bound connection: referral, directory, mailbox, Inbox."""

from contextlib import suppress
from time import time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from loadgen.client.account import Account
from loadgen.client.client_type import ClientType
from loadgen.client.identity import about_client
from loadgen.client.public_folders import PublicFolders
from loadgen.client.referral import refer
from loadgen.client.store_session import StoreSession
from loadgen.client.streams import StreamReader
from loadgen.client.transport import RpcConnection
from loadgen.errors import MapiError, PeerError, WrongAnswer
from loadgen.protocol.emsmdb_session import EmsmdbSession, RopBatch, ServerObjectHandle
from loadgen.protocol.nspi_session import NspiSession, value_of
from loadgen.wire import properties as p
from loadgen.wire.emsmdb import version_from_words
from loadgen.wire.nspi import constants
from loadgen.wire.rop import oxcfold, oxcprpt, oxcstor

_OWN: Final = (p.PidTagDisplayName, p.PidTagEmailAddress, p.PidTagSmtpAddress)
_OPEN_FLAGS: Final = (
    oxcstor.HOME_LOGON | oxcstor.TAKE_OWNERSHIP | oxcstor.NO_MAIL | oxcstor.USE_PER_MDB_REPLICA_IDS
)


class WrongServer(MapiError):
    """RopLogon sent us elsewhere; ``server`` is where to ([MS-OXCSTOR] 3.2.5.1)."""

    def __init__(self, asked: str, server: str) -> None:
        super().__init__("RopLogon", oxcstor.WRONG_SERVER)
        self.args = (f"{asked} does not have the mailbox; it says: {server}",)
        self.server = server


class OpenMailbox(Struct, frozen=True):
    """A mailbox that is logged on to."""

    store: StoreSession
    handle: ServerObjectHandle
    inbox: int


async def ask_referral(connection: RpcConnection, account: Account) -> tuple[str, str]:
    """The server of the directory."""
    server = await refer(connection, account)
    return server, f"directory calls go to {server}"


async def look_in_directory(connection: RpcConnection, account: Account) -> tuple[Account, str]:
    """The account with its own entry's names, found by DN, or by address if that is not known."""
    session, call = NspiSession(), connection.call
    session.take_bound(await call(session.bind()))
    session.take_special_table(await call(session.special_table()))
    own = constants.MId(0)
    if account.legacy_dn:
        find = session.find((account.legacy_dn,))
        (own,) = session.take_found(find, await call(find))
    if own:
        read = session.read(own, _OWN)
        row = session.take_read(read, await call(read))
    else:
        resolve = session.resolve((account.smtp,), _OWN)
        (name,) = session.take_resolved(resolve, await call(resolve))
        if name.outcome != constants.RESOLVED:
            unknown = account.legacy_dn or account.smtp
            raise WrongAnswer(f"the directory does not know {unknown}")
        row = name.row
    session.take_unbound(await call(session.unbind()))
    dn, display_name = value_of(row, p.PidTagEmailAddress), value_of(row, p.PidTagDisplayName)
    if not own and account.legacy_dn:
        raise WrongAnswer(
            f"the directory has no {account.legacy_dn}; it knows {account.smtp}, but knows it as {dn}"
        )
    completed = replace(account, legacy_dn=account.legacy_dn or dn, display_name=display_name)
    return completed, f"{display_name}, {dn}"


async def connect_store(
    connection: RpcConnection, account: Account, client: ClientType
) -> tuple[StoreSession, str]:
    """A session with a store, and the version that it tells."""
    session = EmsmdbSession(account.legacy_dn, client.version_words)
    response = await connection.call(session.connect(*about_client(account, client.mode)))
    session.take_connected(response)
    version = ".".join(map(str, version_from_words(response.server_version)))
    return StoreSession(connection, session), version


async def log_on(store: StoreSession, account: Account, server: str) -> OpenMailbox:
    """Logs on to the mailbox; raises :class:`WrongServer` if it is elsewhere."""
    batch = RopBatch()
    batch.add(
        oxcstor.RopLogonRequest(0, batch.reserve(), oxcstor.PRIVATE, _OPEN_FLAGS, essdn=account.legacy_dn)
    )
    results = await store.run(batch, tolerated=(oxcstor.WRONG_SERVER,))
    for redirect in results.all_of(oxcstor.RopLogonRedirectResponse):
        raise WrongServer(server, server_name(redirect.server_name))
    response = results.one(oxcstor.RopLogonPrivateResponse)
    return OpenMailbox(store, results.handles[0], response.folder_ids[oxcstor.INBOX])


async def count_inbox(mailbox: OpenMailbox) -> tuple[int, str]:
    """How many messages the Inbox holds."""
    batch = RopBatch()
    logon, inbox = batch.use(mailbox.handle), batch.reserve()
    batch.add(oxcfold.RopOpenFolderRequest(0, logon, inbox, mailbox.inbox))
    wanted = (p.PidTagContentCount, p.PidTagContentUnreadCount)
    batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, inbox, 0, 1, wanted))
    batch.release(inbox)
    row = (await mailbox.store.run(batch)).one(oxcprpt.RopGetPropertiesSpecificResponse).row
    count: int = row.get(p.PidTagContentCount, 0)
    return count, f"{count:,} messages, {row.get(p.PidTagContentUnreadCount, 0):,} unread"


async def leave(mailbox: OpenMailbox) -> None:
    """Logs off, as far as the server still lets us."""
    with suppress(PeerError):
        await mailbox.store.release(mailbox.handle)
        await mailbox.store.disconnect()


async def open_public_folders(
    connection: RpcConnection, account: Account, client: ClientType
) -> tuple[str, str]:
    """Logs on to the public folder store and lists what is at its top."""
    store = StoreSession(connection, EmsmdbSession(account.legacy_dn, client.version_words))
    folders = PublicFolders(account, store, StreamReader(chained=False), time)
    await folders.log_on(*about_client(account, client.mode))
    await store.disconnect()
    return account.public_server, f"the public folders of {account.public_server}"


def server_name(name: str) -> str:
    """A server's name; of its distinguished name, if it is that, the last part."""
    return name.rpartition("=")[2] if name.startswith("/") else name
