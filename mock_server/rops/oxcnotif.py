"""Subscriptions to what happens in a store ([MS-OXCNOTIF] 3.1.5)."""

from collections.abc import Mapping
from typing import Final

from loadgen.wire.buffer import Writer
from loadgen.wire.rop import oxcnotif as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.folder import Folder, Listener, StoreEvent
from mock_server.mailboxes.message import Message
from mock_server.mailboxes.object_store import NEW_MAIL
from mock_server.mailboxes.session import ServerObject, Session
from mock_server.rops.call import INVALID_PARAMETER, NOT_FOUND, Handler, RopCall, RopError
from mock_server.rops.objects import find_logon

_KNOWN_TYPES: Final = 0x05FE


class Subscription(ServerObject):
    """What RopRegisterNotification made: events of some types, of a store, a folder or a message."""

    def __init__(self, session: Session, types: int) -> None:
        super().__init__()
        self._session = session
        self._types = types
        self._listeners: list[Listener] | None = None
        self._message_id = 0

    def follow(self, listeners: list[Listener], message_id: int = 0) -> None:
        """Hear of what these listeners hear; with an id, of that message alone."""
        self._listeners = listeners
        self._message_id = message_id
        listeners.append(self.tell)

    def release(self) -> None:
        """No more events."""
        if self._listeners is not None:
            self._listeners.remove(self.tell)

    def tell(self, event: StoreEvent) -> None:
        """Queue the event for the client, if it asked for its kind."""
        if not event.kind & self._types or not self._concerns(event):
            return
        notification = wire.RopNotifyResponse(self.handle, self.logon_id, _object_event(event))
        writer = Writer()
        notification.write(writer)
        # Only the latest counts of a folder matter, however often they changed since they were fetched.
        replaces = None if event.counts is None else event.folder.folder_id
        self._session.notifications.put(self.handle, writer.getvalue(), replaces=replaces)

    def _concerns(self, event: StoreEvent) -> bool:
        if not self._message_id:
            return True
        messages = (event.message, event.old_message)
        return any(m is not None and m.message_id == self._message_id for m in messages)


def register_notification(call: RopCall, request: wire.RopRegisterNotificationRequest) -> RopResponse:
    """RopRegisterNotification ([MS-OXCNOTIF] 3.1.5.2)."""
    logon = find_logon(call, request.input_handle_index)
    if not request.notification_types & _KNOWN_TYPES:
        raise RopError(INVALID_PARAMETER)
    subscription = Subscription(call.session, request.notification_types)
    if request.want_whole_store:
        listeners, message_id = logon.store.listeners, 0
    else:
        folder = logon.folder(request.folder_id)
        if request.message_id and folder.message(request.message_id) is None:
            raise RopError(NOT_FOUND)
        listeners, message_id = folder.listeners, request.message_id
    call.open(request.output_handle_index, subscription)
    subscription.follow(listeners, message_id)
    return wire.RopRegisterNotificationResponse(request.output_handle_index)


def _object_event(event: StoreEvent) -> wire.ObjectEvent:
    total, unread = event.counts or (None, None)
    if event.message is None:
        return wire.ObjectEvent(
            event.kind,
            event.folder.folder_id,
            parent_folder_id=_parent_id(event.folder),
            total_count=total,
            unread_count=unread,
        )
    return _message_event(event, event.message)


def _message_event(event: StoreEvent, message: Message) -> wire.ObjectEvent:
    is_new = event.kind == NEW_MAIL
    old_message, old_folder = event.old_message, event.old_folder
    return wire.ObjectEvent(
        event.kind,
        event.folder.folder_id,
        message.message_id,
        old_folder_id=0 if old_folder is None else old_folder.folder_id,
        old_message_id=0 if old_message is None else old_message.message_id,
        message_flags=message.flags if is_new else 0,
        message_class=message.message_class if is_new else "",
    )


def _parent_id(folder: Folder) -> int:
    return 0 if folder.parent is None else folder.parent.folder_id


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopRegisterNotificationRequest: register_notification
}
