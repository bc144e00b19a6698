"""The public folder connection: a logon, a look at the hierarchy, and a goodbye."""

import pytest

from loadgen.client.identity import about_client
from loadgen.client.public_folders import PublicFolders
from loadgen.errors import MapiError, RemoteProtocolError, WrongAnswer
from loadgen.wire import emsmdb
from loadgen.wire.properties import PidTagContentCount, PidTagDisplayName, PidTagFolderId, PidTagSubfolders
from loadgen.wire.rop import oxcfold, oxcstor, oxctabl

from .scripted import make_account
from .scripted_store import FOLDER_IDS, Item, ScriptedStore, new_session

COLUMNS = (PidTagFolderId, PidTagDisplayName, PidTagContentCount, PidTagSubfolders)

pytestmark = pytest.mark.usefixtures("no_complaints")


class Visitor:
    """Somebody before a store that tells of so many public folders, and shows so many rows."""

    def __init__(self, told: int = 13, come: int = 13) -> None:
        self.store = ScriptedStore(public=True)
        self.store.alter(oxcfold.RopGetHierarchyTableRequest, row_count=told)
        self.store.alter(oxctabl.RopQueryRowsRequest, rows=(Item().row(COLUMNS),) * come)
        self.public_folders = PublicFolders(new_session(self.store))

    async def log_on(self) -> None:
        await self.public_folders.log_on(*about_client(make_account(0)))


@pytest.mark.parametrize("folders", [0, 2, 13, 50, 51, 2_000])
async def test_logging_on_and_off(folders):
    visitor = Visitor(folders, min(folders, 50))
    await visitor.log_on()
    store = visitor.store
    assert [call.names for call in store.calls] == [
        ["Logon"],
        ["OpenFolder", "GetHierarchyTable", "SetColumns", "QueryRows"],
        ["Release", "Release"],
    ]
    logon, opened = store.calls[0].rops[0], store.calls[1].rops[0]
    assert logon.logon_flags & oxcstor.PRIVATE == 0
    assert (logon.open_flags & oxcstor.PUBLIC, logon.essdn) == (oxcstor.PUBLIC, "")
    assert store.calls[1].rops[2].property_tags == COLUMNS
    assert opened.folder_id == FOLDER_IDS[oxcstor.PUBLIC_IPM_SUBTREE]
    assert list(store.objects.values()) == [store.root]
    await visitor.public_folders.log_off()
    assert store.objects == {}
    assert isinstance(store.connection.requests[-1], emsmdb.EcDoDisconnectRequest)


@pytest.mark.parametrize(("told", "come"), [(14, 13), (12, 13), (60, 13), (0, 13)])
async def test_rows_that_do_not_fit_the_count(told, come):
    visitor = Visitor(told, come)
    with pytest.raises(WrongAnswer, match=f"the public hierarchy has {told} folders but {come} rows came"):
        await visitor.log_on()


@pytest.mark.parametrize("code", [oxcstor.WRONG_SERVER, 0x80040111])
async def test_a_logon_that_is_refused(code):
    visitor = Visitor()
    visitor.store.refuse(oxcstor.RopLogonRequest, code)
    if code == oxcstor.WRONG_SERVER:
        redirect = oxcstor.RopLogonRedirectResponse(0, 0, "/o=Contoso/cn=PF2", return_value=code)
        visitor.store.rops[oxcstor.RopLogonRequest] = lambda _rop, _table: redirect
    with pytest.raises(MapiError) as refusal:
        await visitor.log_on()
    assert (refusal.value.call, refusal.value.code) == ("RopLogon to the public folders", code)


async def test_a_logon_without_an_answer():
    visitor = Visitor()
    visitor.store.rops[oxcstor.RopLogonRequest] = lambda _rop, _table: None
    with pytest.raises(RemoteProtocolError, match="0 answers of kind RopLogonPublicResponse"):
        await visitor.log_on()
