"""Messages and attachments that are open ([MS-OXCMSG] 3.2.5): changed in private, saved as a whole."""

from collections.abc import Iterable, Mapping

from loadgen.wire.properties import PidTagMessageFlags, PropertyTag, Value
from mock_server.mailboxes.change_history import ClientChange
from mock_server.mailboxes.draft import Draft
from mock_server.mailboxes.message import (
    ATTACHMENT_COMPUTED,
    FROM_ME,
    MESSAGE_COMPUTED,
    READ,
    UNMODIFIED,
    UNSENT,
    Attachment,
    Message,
    MessageContent,
)
from mock_server.mailboxes.property_bag import stored_tag
from mock_server.rops.call import (
    ACCESS_DENIED,
    COMPUTED,
    NOT_FOUND,
    OBJECT_DELETED,
    OBJECT_MODIFIED,
    RopError,
)
from mock_server.rops.objects import Logon, PropertyHolder

_CLIENT_FLAGS = READ | UNMODIFIED | UNSENT | FROM_ME
"""MessageFlags that a client may set before it saves for the first time."""


class MessageObject(PropertyHolder):
    """A message and, as soon as the client changes it, a draft; ``is_new`` until it is in its folder.

    ``origin`` is set if the client brings a change that it made while it was not connected.
    """

    def __init__(self, logon: Logon, message: Message, *, is_new: bool, writable: bool) -> None:
        super().__init__()
        self.logon = logon
        self.message = message
        self.is_new = is_new
        self.writable = writable
        self.origin: ClientChange | None = None
        self.draft: Draft | None = Draft(message.content) if is_new else None
        self._opened_version = message.change_counter

    @property
    def content(self) -> MessageContent:
        """Recipients and attachments as the client sees them."""
        return self.message.content if self.draft is None else self.draft.freeze()

    def get(self, tag: PropertyTag) -> Value:
        """What was saved, or what the client has set since."""
        if self.draft is None or tag in MESSAGE_COMPUTED:
            return self.message.get(tag)
        return self.draft.properties.get(tag)

    def tags(self) -> Iterable[PropertyTag]:
        """Tags of what is computed and of what was saved or set."""
        if self.draft is None:
            return self.message.tags()
        return dict.fromkeys((*self.draft.properties, *self.message.tags()))

    def change(self, values: Mapping[PropertyTag, Value], deleted: Iterable[PropertyTag]) -> None:
        """Takes effect with the next save."""
        draft = self.edit()
        for tag, value in values.items():
            if tag == PidTagMessageFlags:
                self.message.flags = value & _CLIENT_FLAGS
            else:
                draft.set(tag, value)
        for tag in deleted:
            draft.delete(tag)

    def refusal(self, tag: PropertyTag) -> int:
        """Ids, sizes and the like are computed; flags belong to the client until the first save."""
        if tag == PidTagMessageFlags and self.is_new:
            return 0
        return COMPUTED if stored_tag(tag) in MESSAGE_COMPUTED else 0

    def edit(self) -> Draft:
        """The draft; raises :class:`RopError` if the message may not be changed."""
        if self.message.deleted:
            raise RopError(OBJECT_DELETED)
        if not self.writable:
            raise RopError(ACCESS_DENIED)
        if self.draft is None:
            self.draft = Draft(self.message.content)
        return self.draft

    def save(self, *, force: bool) -> None:
        """Let others see the draft; raises :class:`RopError` if they were faster and ``force`` isn't set."""
        draft, store = self.edit(), self.logon.store
        if self.is_new:
            if self.message.folder_id not in store.folders:
                raise RopError(OBJECT_DELETED)
            self.message.content = draft.freeze()
            self.is_new = False
            store.add_message(self.message, origin=self.origin)
        else:
            if self.message.change_counter != self._opened_version and not force:
                raise RopError(OBJECT_MODIFIED)
            store.replace_content(self.message, draft.freeze(), origin=self.origin)
        self.draft = self.origin = None
        self._opened_version = self.message.change_counter

    def attachments(self) -> Iterable[Attachment]:
        """In the order of their numbers."""
        return self.content.attachments

    def attachment(self, number: int) -> Attachment:
        """The attachment with this number; raises :class:`RopError`."""
        for attachment in self.attachments():
            if attachment.number == number:
                return attachment
        raise RopError(NOT_FOUND)


class AttachmentObject(PropertyHolder):
    """An attachment; :meth:`save` puts it into the message, whose own save lets others see it."""

    def __init__(self, parent: MessageObject, attachment: Attachment, *, writable: bool) -> None:
        super().__init__()
        self.parent = parent
        self.attachment = attachment
        self.writable = writable

    def get(self, tag: PropertyTag) -> Value:
        """A property of the attachment."""
        return self.attachment.get(tag)

    def tags(self) -> Iterable[PropertyTag]:
        """Tags of the attachment."""
        return self.attachment.tags()

    def change(self, values: Mapping[PropertyTag, Value], deleted: Iterable[PropertyTag]) -> None:
        """Takes effect with the next save."""
        if not self.writable:
            raise RopError(ACCESS_DENIED)
        gone = {stored_tag(tag) for tag in deleted}
        properties = {tag: value for tag, value in self.attachment.properties.items() if tag not in gone}
        properties.update((stored_tag(tag), value) for tag, value in values.items())
        self.attachment = Attachment(self.attachment.number, properties)

    def refusal(self, tag: PropertyTag) -> int:
        """Number and size are computed."""
        return COMPUTED if tag in ATTACHMENT_COMPUTED else 0

    def save(self) -> None:
        """Put the attachment into its message's draft; raises :class:`RopError`."""
        if not self.writable:
            raise RopError(ACCESS_DENIED)
        self.parent.edit().attachments[self.attachment.number] = self.attachment
