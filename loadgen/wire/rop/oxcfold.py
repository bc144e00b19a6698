"""ROPs of folders ([MS-OXCFOLD] 2.2.1)."""

from collections.abc import Container
from typing import Annotated, Final, Self

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.rop.base import InputRequest, OpeningRequest, RopRequest, RopResponse, TalkativeResponse
from loadgen.wire.rop.layout import U8, U32, U64, Bool8, Fixed, ObjectIds, layout_of
from loadgen.wire.rop.replicas import GhostedReplicas, GhostedReplicasForm, ReplicaServers

ASSOCIATED: Final = 0x02
DEPTH: Final = 0x04
DEFERRED_ERRORS: Final = 0x08
NO_NOTIFICATIONS: Final = 0x10
SOFT_DELETES: Final = 0x20
USE_UNICODE: Final = 0x40
SUPPRESS_OWN_NOTIFICATIONS: Final = 0x80
"""TableFlags: ASSOCIATED for contents, DEPTH for hierarchies, the others for both."""

GENERIC_FOLDER: Final = 1
SEARCH_FOLDER: Final = 2
"""FolderType."""

DELETE_MESSAGES: Final = 0x01
DELETE_FOLDERS: Final = 0x04
DELETE_HARD: Final = 0x10
"""DeleteFolderFlags."""

DESTINATION_NULL_OBJECT: Final = 0x00000503
"""The ReturnValue when a ROP's second object is missing."""

_GHOSTED = GhostedReplicasForm()


class RopOpenFolderResponse(RopResponse, frozen=True):
    """``ghosted`` if the content is on other servers only ([MS-OXCROPS] 2.2.4.1)."""

    rop_id = 0x02
    has_rules: Bool8 = False
    ghosted: GhostedReplicas = None


class RopOpenFolderRequest(OpeningRequest, frozen=True, gc=False):
    """Opens a folder; mode 4 one that was deleted softly ([MS-OXCROPS] 2.2.4.1)."""

    rop_id = 0x02
    response = RopOpenFolderResponse
    folder_id: U64
    open_mode_flags: U8 = 0


class ExistingFolder(msgspec.Struct, frozen=True):
    """What RopCreateFolder tells of a folder that was there before."""

    has_rules: bool = False
    ghosted: ReplicaServers | None = None


class _ExistingFolderForm:
    def read(self, reader: Reader, field: str) -> ExistingFolder | None:
        if not reader.u8(field):
            return None
        return ExistingFolder(bool(reader.u8("HasRules")), _GHOSTED.read(reader, "IsGhosted"))

    def write(self, writer: Writer, value: ExistingFolder | None) -> None:
        writer.u8(value is not None)
        if value is not None:
            writer.u8(value.has_rules)
            _GHOSTED.write(writer, value.ghosted)


class RopCreateFolderResponse(RopResponse, frozen=True):
    """``existing`` is None for a folder that is new ([MS-OXCROPS] 2.2.4.2)."""

    rop_id = 0x1C
    folder_id: U64
    existing: Annotated[ExistingFolder | None, _ExistingFolderForm()] = None


class RopCreateFolderRequest(OpeningRequest, frozen=True, gc=False):
    """Makes a folder, or opens the one of that name ([MS-OXCROPS] 2.2.4.2)."""

    rop_id = 0x1C
    response = RopCreateFolderResponse
    folder_type: U8
    use_unicode: Bool8
    open_existing: Annotated[bool, Fixed("?x")]
    display_name: str
    comment: str = ""

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        fixed = tuple(layout_of(cls).read(reader))
        use_unicode = fixed[4]
        read = reader.utf16z if use_unicode else reader.asciiz
        return cls(*[*fixed, read("DisplayName"), read("Comment")])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        write = writer.utf16z if self.use_unicode else writer.asciiz
        write(self.display_name)
        write(self.comment)


class PartialCompletionResponse(TalkativeResponse, frozen=True, gc=False):
    """Whether something was left undone; told on failure, too."""

    first_bytes = (False, True)
    partial_completion: Bool8 = False


class RopDeleteFolderResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.4.3."""

    rop_id = 0x1D


class RopDeleteFolderRequest(InputRequest, frozen=True, gc=False):
    """Deletes a subfolder ([MS-OXCROPS] 2.2.4.3)."""

    rop_id = 0x1D
    response = RopDeleteFolderResponse
    delete_folder_flags: U8
    folder_id: U64


class RopMoveCopyMessagesResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.4.6."""

    rop_id = 0x33


class RopMoveCopyMessagesNullDestinationResponse(RopResponse, frozen=True, gc=False):
    """The destination folder is not open ([MS-OXCROPS] 2.2.4.6.3)."""

    rop_id = 0x33
    fields_present_for = (DESTINATION_NULL_OBJECT,)
    destination_handle_index: U32
    partial_completion: Bool8 = False


class RopMoveCopyMessagesRequest(RopRequest, frozen=True, gc=False):
    """Moves or copies messages between two folders that are open ([MS-OXCROPS] 2.2.4.6)."""

    rop_id = 0x33
    response = RopMoveCopyMessagesResponse
    source_handle_index: U8
    destination_handle_index: U8
    message_ids: ObjectIds
    want_asynchronous: Bool8 = False
    want_copy: Bool8 = False

    def response_type(self, return_value: int) -> type[RopResponse]:
        """A missing destination has an answer of its own."""
        if return_value == DESTINATION_NULL_OBJECT:
            return RopMoveCopyMessagesNullDestinationResponse
        return RopMoveCopyMessagesResponse


class RopEmptyFolderResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.4.9."""

    rop_id = 0x58


class RopEmptyFolderRequest(InputRequest, frozen=True, gc=False):
    """Deletes all that is in a folder ([MS-OXCROPS] 2.2.4.9)."""

    rop_id = 0x58
    response = RopEmptyFolderResponse
    want_asynchronous: Bool8 = False
    want_delete_associated: Bool8 = False


class RopDeleteMessagesResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.4.11."""

    rop_id = 0x1E


class RopDeleteMessagesRequest(InputRequest, frozen=True, gc=False):
    """Deletes messages of a folder; they can be got back ([MS-OXCROPS] 2.2.4.11)."""

    rop_id = 0x1E
    response = RopDeleteMessagesResponse
    want_asynchronous: Bool8
    notify_non_read: Bool8
    message_ids: ObjectIds


class RopHardDeleteMessagesResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.4.12."""

    rop_id = 0x91


class RopHardDeleteMessagesRequest(InputRequest, frozen=True, gc=False):
    """Deletes messages of a folder for good ([MS-OXCROPS] 2.2.4.12)."""

    rop_id = 0x91
    response = RopHardDeleteMessagesResponse
    want_asynchronous: Bool8
    notify_non_read: Bool8
    message_ids: ObjectIds


class RopGetHierarchyTableResponse(RopResponse, frozen=True, gc=False):
    """How many subfolders ([MS-OXCROPS] 2.2.4.13)."""

    rop_id = 0x04
    row_count: U32


class RopGetHierarchyTableRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the table of subfolders ([MS-OXCROPS] 2.2.4.13)."""

    rop_id = 0x04
    response = RopGetHierarchyTableResponse
    table_flags: U8 = 0


class RopGetContentsTableResponse(RopResponse, frozen=True, gc=False):
    """How many messages ([MS-OXCROPS] 2.2.4.14)."""

    rop_id = 0x05
    row_count: U32


class RopGetContentsTableRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the table of messages ([MS-OXCROPS] 2.2.4.14)."""

    rop_id = 0x05
    response = RopGetContentsTableResponse
    table_flags: U8 = 0


REQUESTS = (
    RopOpenFolderRequest,
    RopCreateFolderRequest,
    RopDeleteFolderRequest,
    RopMoveCopyMessagesRequest,
    RopEmptyFolderRequest,
    RopDeleteMessagesRequest,
    RopHardDeleteMessagesRequest,
    RopGetHierarchyTableRequest,
    RopGetContentsTableRequest,
)
