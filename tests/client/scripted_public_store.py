"""A public store that lives in the test: shared folders with posts, and free/busy messages."""

from typing import Any

from loadgen.wire import properties as p
from loadgen.wire.identifiers import object_id
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl
from loadgen.wire.rop.base import RopErrorResponse
from loadgen.wire.typed_string import TypedString

from .scripted_store import FOLDER_IDS, NOT_FOUND, Item, ScriptedStore, Table

GROUP = "EX:/o=Contoso/ou=First Administrative Group"


class ScriptedPublicStore(ScriptedStore):
    """Posts and free/busy messages are kept in the order of their arrival."""

    def __init__(self) -> None:
        super().__init__(public=True)
        self._last_id = 0x500
        self.shared = [self.folder("Announcements"), self.folder("Projects")]
        self.groups = [self.folder("EX:/o=Contoso/ou=Elsewhere"), self.folder(GROUP.upper())]
        self.below = {
            FOLDER_IDS[oxcstor.PUBLIC_IPM_SUBTREE]: self.shared,
            FOLDER_IDS[oxcstor.PUBLIC_FREE_BUSY]: self.groups,
        }
        self.rops |= {
            oxcfold.RopOpenFolderRequest: self._open_folder,
            oxcfold.RopGetHierarchyTableRequest: self._subfolders,
            oxcfold.RopGetContentsTableRequest: self._posts,
            oxctabl.RopFindRowRequest: self._find_row,
            oxcmsg.RopOpenMessageRequest: self._open_post,
            oxcmsg.RopSaveChangesMessageRequest: self._save,
            oxcprpt.RopDeletePropertiesRequest: self._delete_properties,
        }

    def folder(self, name: str) -> Item:
        return Item({p.PidTagFolderId: self._new_id(), p.PidTagDisplayName: name})

    def add(self, folder: Item, **values: Any) -> Item:
        """A message with such properties (by name) comes into a folder."""
        message = Item({p.PidTagMid: self._new_id()} | {getattr(p, tag): v for tag, v in values.items()})
        folder.items.append(message)
        return message

    def post(self, folder: Item, subject: str, html: bytes) -> Item:
        return self.add(folder, PidTagNormalizedSubject=subject, PidTagHtml=html, PidTagNativeBodyInfo=3)

    def announce(self) -> None:
        """There is something to fetch."""
        self.tell(oxcnotif.RopNotifyResponse(0x99, 0, oxcnotif.ObjectEvent(oxcnotif.OBJECT_CREATED, 1)))

    def _new_id(self) -> int:
        self._last_id += 1
        return object_id(1, self._last_id)

    def _item(self, folder_id: int) -> Item:
        known = [*self.shared, *self.groups, *self.folders]
        return next(folder for folder in known if folder.values[p.PidTagFolderId] == folder_id)

    def _open_folder(self, rop: oxcfold.RopOpenFolderRequest, table: list[int]) -> Any:
        self.open(self._item(rop.folder_id), rop.output_handle_index, table)
        return oxcfold.RopOpenFolderResponse(rop.output_handle_index)

    def _subfolders(self, rop: oxcfold.RopGetHierarchyTableRequest, table: list[int]) -> Any:
        below = self.below[self.objects[table[rop.input_handle_index]].values[p.PidTagFolderId]]
        self.open(Table(lambda: below), rop.output_handle_index, table)
        return oxcfold.RopGetHierarchyTableResponse(rop.output_handle_index, len(below))

    def _posts(self, rop: oxcfold.RopGetContentsTableRequest, table: list[int]) -> Any:
        folder = self.objects[table[rop.input_handle_index]]
        self.open(Table(lambda: folder.items[::-1]), rop.output_handle_index, table)
        return oxcfold.RopGetContentsTableResponse(rop.output_handle_index, len(folder.items))

    def _find_row(self, rop: oxctabl.RopFindRowRequest, table: list[int]) -> Any:
        shown = self.objects[table[rop.input_handle_index]]
        wanted = rop.restriction.value
        for item in shown.source():
            if item.values.get(wanted.tag) == wanted.value:
                return oxctabl.RopFindRowResponse(rop.input_handle_index, False, item.row(shown.columns))
        return RopErrorResponse(rop.rop_id, rop.input_handle_index, NOT_FOUND)

    def _open_post(self, rop: oxcmsg.RopOpenMessageRequest, table: list[int]) -> Any:
        items = self._item(rop.folder_id).items
        message = next(item for item in items if item.values[p.PidTagMid] == rop.message_id)
        self.open(message, rop.output_handle_index, table)
        none = TypedString.of("")
        return oxcmsg.RopOpenMessageResponse(rop.output_handle_index, False, none, none, 0, (), ())

    def _save(self, rop: oxcmsg.RopSaveChangesMessageRequest, table: list[int]) -> Any:
        message = self.objects[table[rop.input_handle_index]]
        if p.PidTagMid not in message.values:
            message.values[p.PidTagMid] = self._new_id()
            self._item(message.values[p.PidTagFolderId]).items.append(message)
        return oxcmsg.RopSaveChangesMessageResponse(
            rop.response_handle_index, rop.input_handle_index, message.values[p.PidTagMid]
        )

    def _delete_properties(self, rop: oxcprpt.RopDeletePropertiesRequest, table: list[int]) -> Any:
        item = self.objects[table[rop.input_handle_index]]
        for tag in rop.property_tags:
            item.values.pop(tag, None)
        return oxcprpt.RopDeletePropertiesResponse(rop.input_handle_index)
