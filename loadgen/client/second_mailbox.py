"""Another user's mailbox on another server, which a user has open beside his own."""

from loadgen.client.account import Account
from loadgen.client.inbox_view import InboxView
from loadgen.client.logon import log_on_mailbox
from loadgen.client.store_session import StoreSession
from loadgen.protocol.emsmdb_session import UNSET, RopBatch
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.rop import oxcfold, oxcstor


class SecondMailbox:
    """The mailbox of ``owner``, over a connection of its own: one for each server, whatever is opened there.

    All methods raise :class:`~loadgen.errors.PeerError`.
    """

    __slots__ = ("_logon", "_owner", "_store")

    def __init__(self, owner: Account, store: StoreSession) -> None:
        self._owner = owner
        self._store = store
        self._logon = UNSET

    async def log_on(self, *about: AuxiliaryBlock) -> None:
        """Opens the session and the mailbox, and looks at its Inbox once."""
        await self._store.connect(*about)
        logon = await log_on_mailbox(self._store, self._owner)
        self._logon = logon.handle
        batch = RopBatch()
        mailbox, inbox = batch.use(self._logon), batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, mailbox, inbox, logon.folder_ids[oxcstor.INBOX]))
        handle = (await self._store.run(batch)).handles[inbox]
        view = InboxView(self._store)
        await view.open(handle)
        # An open table would gather notifications that nobody fetches.
        await self._store.release(view.table, handle)

    async def log_off(self) -> None:
        """Gives the mailbox back and ends the session."""
        await self._store.release(self._logon)
        await self._store.disconnect()
