"""The public folders of one server: the hierarchy that every organisation has, and a few folders with posts.

Free/busy data has a folder for each administrative group, with a message for each user who has published
([MS-OXOPFFB] 2.2.1). Posts count as read by everybody: read states of single users are not kept.
"""

from collections.abc import Iterator
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from loadgen.wire.identifiers import PUBLIC_PROVIDER
from loadgen.wire.properties import (
    PidTagClientSubmitTime,
    PidTagConversationTopic,
    PidTagHtml,
    PidTagMessageClass,
    PidTagNativeBodyInfo,
    PidTagNormalizedSubject,
    PidTagSenderName,
    PidTagSentRepresentingName,
    PidTagSubject,
    PidTagSubjectPrefix,
)
from mock_server.directory import Organisation
from mock_server.mailboxes.folder import Folder, folder_properties
from mock_server.mailboxes.message import READ, MessageContent
from mock_server.mailboxes.object_store import Clock, ObjectStore
from mock_server.mailboxes.store_identity import StoreIdentity, object_id

_ROOT: Final = 1
_IPM_SUBTREE: Final = 2
_NON_IPM_SUBTREE: Final = 3
_EFORMS: Final = 4
_FREE_BUSY: Final = 5
_OFFLINE_ADDRESS_BOOK: Final = 6
_SITE_FREE_BUSY: Final = 7
_SITE_OFFLINE_ADDRESS_BOOK: Final = 8
_ANNOUNCEMENTS: Final = 0x10
_PROJECTS: Final = 0x11
_SUPPLIERS: Final = 0x12
_NOTICE_BOARD: Final = 0x13
_OLD_PROJECTS: Final = 0x14

# counter, counter of the parent, name, posts from the start
_SHARED_FOLDERS: Final = (
    (_ANNOUNCEMENTS, _IPM_SUBTREE, "Announcements", 8),
    (_PROJECTS, _IPM_SUBTREE, "Projects", 12),
    (_SUPPLIERS, _IPM_SUBTREE, "Suppliers", 3),
    (_NOTICE_BOARD, _IPM_SUBTREE, "Notice Board", 0),
    (_OLD_PROJECTS, _PROJECTS, "Finished Projects", 2),
)
_POST: Final = "IPM.Post"
_HTML_IS_BEST: Final = 3
_AUTHOR: Final = "Administrator"
_PARAGRAPH: Final = (
    "<p>Please read this, and tell those who work with you. Questions go to the office.</p>\r\n"
)
_PARAGRAPHS: Final = 12
_BETWEEN_POSTS: Final = 3600 * 10_000_000
"""An hour, in the units of a FILETIME."""


class PublicStore(ObjectStore):
    """The public folders of one server. ``logon_folder_ids`` are the 13 that a public logon returns."""

    def __init__(self, server_dn: str, organisation: Organisation, clock: Clock) -> None:
        replica = uuid5(NAMESPACE_OID, server_dn + "/cn=Microsoft Public MDB").bytes_le
        super().__init__(StoreIdentity(replica, PUBLIC_PROVIDER), clock)
        for counter, parent, name in _system_folders(organisation):
            above = self.folders[object_id(parent)] if parent else None
            self._add_folder(counter, above, folder_properties(name))
        for counter, parent, name, posts in _SHARED_FOLDERS:
            above = self.folders[object_id(parent)]
            folder = self._add_folder(counter, above, folder_properties(name, "IPF.Note"))
            self._fill(folder, posts)
        self.root = self.folders[object_id(_ROOT)]
        self.logon_folder_ids = (
            *(object_id(counter) for counter in range(_ROOT, _OFFLINE_ADDRESS_BOOK + 1)),
            0,
            object_id(_SITE_FREE_BUSY),
            object_id(_SITE_OFFLINE_ADDRESS_BOOK),
            0,
            0,
            0,
            0,
        )

    def _fill(self, folder: Folder, posts: int) -> None:
        """Posts of the last hours, the newest an hour old."""
        for number in range(posts):
            created = self.clock() - (posts - number) * _BETWEEN_POSTS
            message = self.new_message(folder, _post(f"{folder.display_name}, notice {number + 1}", created))
            message.flags = READ
            message.created = created
            self.add_message(message)


def _system_folders(organisation: Organisation) -> Iterator[tuple[int, int, str]]:
    """Counter, counter of the parent and name of what every organisation has."""
    yield _ROOT, 0, "Public Root"
    yield _IPM_SUBTREE, _ROOT, "IPM_SUBTREE"
    yield _NON_IPM_SUBTREE, _ROOT, "NON_IPM_SUBTREE"
    yield _EFORMS, _NON_IPM_SUBTREE, "EFORMS REGISTRY"
    yield _FREE_BUSY, _NON_IPM_SUBTREE, "SCHEDULE+ FREE BUSY"
    yield _OFFLINE_ADDRESS_BOOK, _NON_IPM_SUBTREE, "OFFLINE ADDRESS BOOK"
    yield _SITE_FREE_BUSY, _FREE_BUSY, f"EX:{organisation.dn}"
    address_list = f"/o={organisation.organisation}/cn=addrlists/cn=oabs/cn=Default Offline Address List"
    yield _SITE_OFFLINE_ADDRESS_BOOK, _OFFLINE_ADDRESS_BOOK, address_list


def _post(subject: str, created: int) -> MessageContent:
    html = (
        f"<html><head><title>{subject}</title></head><body>\r\n{_PARAGRAPH * _PARAGRAPHS}</body></html>\r\n"
    )
    return MessageContent.of(
        {
            PidTagMessageClass: _POST,
            PidTagSubject: subject,
            PidTagSubjectPrefix: "",
            PidTagNormalizedSubject: subject,
            PidTagConversationTopic: subject,
            PidTagClientSubmitTime: created,
            PidTagSenderName: _AUTHOR,
            PidTagSentRepresentingName: _AUTHOR,
            PidTagNativeBodyInfo: _HTML_IS_BEST,
            PidTagHtml: html.encode("ascii"),
        }
    )
