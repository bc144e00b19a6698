"""The posts of a public folder: its view, reading a post, and writing one ([MS-OXOPOST] 3.1.4)."""

from collections.abc import Sequence
from typing import Final

from loadgen.client.account import Account
from loadgen.client.composing import check_properties, check_written
from loadgen.client.content import CODE_PAGE, HTML_IS_BEST, Content
from loadgen.client.rows import find_row
from loadgen.client.store_session import StoreSession
from loadgen.client.streams import StreamReader
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import PropertyRow, PropertyValue
from loadgen.wire.rop import oxcfold, oxcmsg, oxcprpt, oxctabl

POST_SIZE: Final = 2_000
"""Bytes of a post: a body of HTML, no attachment."""
SCREEN: Final = 50
"""Rows that are read at once."""

_COLUMNS: Final = (
    p.PidTagFolderId,
    p.PidTagMid,
    p.PidTagInstID,
    p.PidTagInstanceNum,
    p.PidTagMessageClass,
    p.PidTagMessageFlags,
    p.PidTagMessageSize,
    p.PidTagMessageDeliveryTime,
    p.PidTagHasAttachments,
    p.PidTagSentRepresentingName,
    p.PidTagNormalizedSubject,
)
_NEWEST_FIRST: Final = (oxctabl.SortOrder(p.PidTagMessageDeliveryTime, oxctabl.DESCENDING),)
_POST_PROPERTIES: Final = (
    p.PidTagMessageClass,
    p.PidTagMessageFlags,
    p.PidTagMessageDeliveryTime,
    p.PidTagNormalizedSubject,
    p.PidTagConversationTopic,
    p.PidTagSenderName,
    p.PidTagSentRepresentingName,
    p.PidTagNativeBodyInfo,
)
_BODIES: Final = {1: p.PidTagBody, 2: p.PidTagRtfCompressed, 3: p.PidTagHtml}
"""The property that holds the best form of a body, by PidTagNativeBodyInfo."""
_READ: Final = 1
_POST_ICON: Final = 1


class FolderPosts:
    """One public folder that ``account`` looks at, newest posts first, while it is open.

    All methods raise :class:`~loadgen.errors.PeerError`. ``count`` is how many posts it held when opened.
    """

    __slots__ = ("_account", "_folder_id", "_logon", "_rows", "_store", "count")

    def __init__(
        self, account: Account, store: StoreSession, logon: ServerObjectHandle, folder_id: int
    ) -> None:
        self._account = account
        self._store = store
        self._logon = logon
        self._folder_id = folder_id
        self._rows: Sequence[PropertyRow] = ()
        self.count = 0

    async def open(self) -> ServerObjectHandle:
        """Shows the first screen; returns the view, which is to be released. The server tells of changes."""
        batch = RopBatch()
        logon, folder, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, folder, self._folder_id))
        batch.add(oxcfold.RopGetContentsTableRequest(0, folder, table, 0))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _COLUMNS))
        batch.add(oxctabl.RopSortTableRequest(0, table, 0, _NEWEST_FIRST))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, SCREEN))
        batch.release(folder)
        results = await self._store.run(batch)
        self.count = results.one(oxcfold.RopGetContentsTableResponse).row_count
        self._rows = results.one(oxctabl.RopQueryRowsResponse).rows
        return results.handles[table]

    def check(self) -> None:
        """Raises :class:`WrongAnswer` unless the view shows as many rows as the folder has posts."""
        shown = len(self._rows)
        if shown != min(self.count, SCREEN):
            raise WrongAnswer(f"a public folder holds {self.count} posts but its view shows {shown} rows")

    async def read_newest(self, streams: StreamReader) -> None:
        """Opens and reads the first post, if there is one; what this generator wrote must be unchanged."""
        if not self._rows:
            return
        newest = self._rows[0]
        listed = newest.get(p.PidTagNormalizedSubject, "")
        batch = RopBatch()
        logon, post = batch.use(self._logon), batch.reserve()
        batch.add(
            oxcmsg.RopOpenMessageRequest(
                0,
                logon,
                post,
                oxcmsg.LOGON_CODE_PAGE,
                self._folder_id,
                oxcmsg.READ_ONLY,
                newest.get(p.PidTagMid, 0),
            )
        )
        batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, post, 0, 1, _POST_PROPERTIES))
        results = await self._store.run(batch)
        row = results.one(oxcprpt.RopGetPropertiesSpecificResponse).row
        handle = results.handles[post]
        async with self._store.lent(handle):
            subject = row.get(p.PidTagNormalizedSubject, "")
            if subject != listed:
                raise WrongAnswer(f"post {listed!r} is {subject!r} when it is opened")
            body_tag = _BODIES.get(row.get(p.PidTagNativeBodyInfo, 0))
            body = b"" if body_tag is None else await streams.read(self._store, handle, body_tag)
            content = Content.from_subject(subject)
            if content is not None and body != content.html:
                raise WrongAnswer(f"{len(body)} bytes of post {content.key} are not what was posted")

    async def post(self, key: str, view: ServerObjectHandle, now: int) -> None:
        """Writes the post ``key`` and looks for it in ``view``; ``now`` is a FILETIME."""
        content = Content(key, POST_SIZE)
        batch = RopBatch()
        logon, post, stream = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(oxcmsg.RopCreateMessageRequest(0, logon, post, oxcmsg.LOGON_CODE_PAGE, self._folder_id))
        batch.add(oxcprpt.RopSetPropertiesRequest(0, post, self._properties(content, now)))
        batch.add(oxcprpt.RopOpenStreamRequest(0, post, stream, p.PidTagHtml, oxcprpt.STREAM_CREATE))
        batch.add(oxcprpt.RopWriteStreamRequest(0, stream, content.html))
        batch.add(oxcprpt.RopCommitStreamRequest(0, stream))
        batch.release(stream)
        batch.add(oxcmsg.RopSaveChangesMessageRequest(0, post, post, oxcmsg.KEEP_OPEN_READ_WRITE))
        batch.release(post)
        results = await self._store.run(batch)
        check_written(results, len(content.html))
        check_properties(results)
        saved = results.one(oxcmsg.RopSaveChangesMessageResponse).message_id
        row = await find_row(self._store, view, PropertyValue(p.PidTagNormalizedSubject, content.subject))
        if row is None or row.get(p.PidTagMid) != saved:
            raise WrongAnswer(f"post {key} has been saved but its folder does not show it")

    def _properties(self, content: Content, now: int) -> tuple[PropertyValue, ...]:
        account = self._account
        entry_id = AddressBookEntryId(account.legacy_dn).encode()
        values = (
            (p.PidTagMessageClass, "IPM.Post"),
            (p.PidTagMessageFlags, _READ),
            (p.PidTagImportance, 1),
            (p.PidTagPriority, 0),
            (p.PidTagSensitivity, 0),
            (p.PidTagIconIndex, _POST_ICON),
            (p.PidTagSubjectPrefix, ""),
            (p.PidTagNormalizedSubject, content.subject),
            (p.PidTagConversationTopic, content.subject),
            (p.PidTagClientSubmitTime, now),
            (p.PidTagMessageDeliveryTime, now),
            (p.PidTagSenderEntryId, entry_id),
            (p.PidTagSenderName, account.display_name),
            (p.PidTagSenderAddressType, "EX"),
            (p.PidTagSenderEmailAddress, account.legacy_dn),
            (p.PidTagSentRepresentingEntryId, entry_id),
            (p.PidTagSentRepresentingName, account.display_name),
            (p.PidTagSentRepresentingAddressType, "EX"),
            (p.PidTagSentRepresentingEmailAddress, account.legacy_dn),
            (p.PidTagMessageCodepage, CODE_PAGE),
            (p.PidTagInternetCodepage, CODE_PAGE),
            (p.PidTagNativeBodyInfo, HTML_IS_BEST),
        )
        return tuple(PropertyValue(tag, value) for tag, value in values)
