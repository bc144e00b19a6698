"""Tables that are open ([MS-OXCTABL] 3.2.1), and news of their changes ([MS-OXCNOTIF] 3.1.4.3)."""

from collections.abc import Callable, Iterable

from loadgen.wire.buffer import Writer
from loadgen.wire.properties import PidTagFolderId, PidTagMid
from loadgen.wire.rop import oxcfold as folders
from loadgen.wire.rop.oxcnotif import TABLE_CHANGED, RopNotifyResponse, TableEvent, TableRowId
from mock_server.mailboxes.folder import Folder, StoreEvent
from mock_server.mailboxes.message import Message
from mock_server.mailboxes.object_store import COPIED, CREATED, DELETED, MODIFIED, MOVED
from mock_server.mailboxes.session import MOST_ROW_NOTIFICATIONS, ServerObject, Session
from mock_server.mailboxes.table_view import ROW_DELETED, Row, RowChange, TableView
from mock_server.rops.messages import MessageObject
from mock_server.rops.objects import FolderObject


class TableObject(ServerObject):
    """A view of a table; subclasses keep it up to date and say what its rows are called."""

    def __init__(self, session: Session, source: Callable[[], Iterable[Row]], flags: int) -> None:
        super().__init__()
        self.session = session
        self.view = TableView(source)
        self._is_silent = bool(flags & folders.NO_NOTIFICATIONS)
        self._hides_own = bool(flags & folders.SUPPRESS_OWN_NOTIFICATIONS)

    def row_id(self, row: Row) -> TableRowId:
        """What a notification calls a row."""
        raise NotImplementedError

    def announce(self, change: RowChange | None, *, of_messages: bool) -> None:
        """Tell the client, if it has set columns and wants to know."""
        if change is None or self._is_silent or not self.view.columns:
            return
        if self._hides_own and self.session.is_executing:
            return
        queue = self.session.notifications
        if queue.count_of(self.handle) >= MOST_ROW_NOTIFICATIONS:
            queue.drop(self.handle)
            queue.put(
                self.handle, self._encode(TableEvent(TABLE_CHANGED, of_messages)), replaces=TABLE_CHANGED
            )
            return
        row_data = b""
        if change.kind != ROW_DELETED:
            writer = Writer()
            self.view.property_row(change.row).write(writer)
            row_data = writer.getvalue()
        after = TableRowId() if change.after is None else self.row_id(change.after)
        event = TableEvent(change.kind, of_messages, self.row_id(change.row), after, row_data)
        queue.put(self.handle, self._encode(event))

    def _encode(self, event: TableEvent) -> bytes:
        writer = Writer()
        RopNotifyResponse(self.handle, self.logon_id, event).write(writer)
        return writer.getvalue()


class ContentsTable(TableObject):
    """The messages of a folder, or its associated ones."""

    def __init__(self, session: Session, opened: FolderObject, flags: int) -> None:
        self._folder = opened.folder
        self._associated = bool(flags & folders.ASSOCIATED)
        super().__init__(session, self._messages().values, flags)
        self._folder.listeners.append(self._follow)

    def _messages(self) -> dict[int, Message]:
        return self._folder.associated if self._associated else self._folder.messages

    def row_id(self, row: Row) -> TableRowId:
        """Folder and message."""
        return TableRowId(self._folder.folder_id, row.get(PidTagMid))

    def release(self) -> None:
        """No longer follow the folder."""
        self._folder.listeners.remove(self._follow)

    def _follow(self, event: StoreEvent) -> None:
        message = event.message
        if not self.view.is_live or message is None or message.associated != self._associated:
            return
        if event.kind == MOVED and event.old_folder is self._folder and event.old_message is not None:
            self.announce(self.view.remove(event.old_message), of_messages=True)
        if event.folder is not self._folder:
            return
        if event.kind in (CREATED, MOVED, COPIED):
            self.announce(self.view.add(message), of_messages=True)
        elif event.kind == DELETED:
            self.announce(self.view.remove(message), of_messages=True)
        elif event.kind == MODIFIED:
            self.announce(self.view.update(message), of_messages=True)


class HierarchyTable(TableObject):
    """The subfolders of a folder, with flag DEPTH all that are below."""

    def __init__(self, session: Session, opened: FolderObject, flags: int) -> None:
        self._folder = opened.folder
        self._deep = bool(flags & folders.DEPTH)
        self._listeners = opened.logon.store.listeners
        super().__init__(session, self._folder.descendants if self._deep else self._children, flags)
        self._listeners.append(self._follow)

    def _children(self) -> Iterable[Folder]:
        return self._folder.subfolders.values()

    def row_id(self, row: Row) -> TableRowId:
        """The folder."""
        return TableRowId(row.get(PidTagFolderId))

    def release(self) -> None:
        """No longer follow the store."""
        self._listeners.remove(self._follow)

    def _follow(self, event: StoreEvent) -> None:
        if not self.view.is_live or event.message is not None or not self._holds(event.folder):
            return
        if event.kind == CREATED:
            self.announce(self.view.add(event.folder), of_messages=False)
        elif event.kind == DELETED:
            self.announce(self.view.remove(event.folder), of_messages=False)
        elif event.kind == MODIFIED:
            self.announce(self.view.update(event.folder), of_messages=False)

    def _holds(self, folder: Folder) -> bool:
        above = folder.parent
        while self._deep and above is not None and above is not self._folder:
            above = above.parent
        return above is self._folder


class AttachmentTable(TableObject):
    """The attachments of a message, as they were when the rows were first asked for."""

    def __init__(self, session: Session, opened: MessageObject, flags: int) -> None:
        super().__init__(session, opened.attachments, flags | folders.NO_NOTIFICATIONS)
