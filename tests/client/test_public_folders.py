"""The public folder connection: log on, look at the hierarchy, browse, post, hear of news, log off."""

import asyncio

import pytest

from loadgen.client.content import Content
from loadgen.client.identity import about_client
from loadgen.client.public_folders import PublicFolders
from loadgen.client.streams import StreamReader
from loadgen.errors import MapiError, RemoteProtocolError, WrongAnswer
from loadgen.wire import emsmdb
from loadgen.wire import properties as p
from loadgen.wire.properties import PidTagContentCount, PidTagDisplayName, PidTagFolderId, PidTagSubfolders
from loadgen.wire.rop import oxcfold, oxcmsg, oxcprpt, oxcstor, oxctabl

from .scripted import make_account
from .scripted_public_store import ScriptedPublicStore
from .scripted_store import FOLDER_IDS, Item, ScriptedStore, new_session, settle

NOW = 1_183_200_000.0
SUBJECT = "1.0.post.0 (2000 bytes)"
COLUMNS = (PidTagFolderId, PidTagDisplayName, PidTagContentCount, PidTagSubfolders)

pytestmark = pytest.mark.usefixtures("no_complaints")


def make_public_folders(store: ScriptedStore) -> PublicFolders:
    return PublicFolders(make_account(0), new_session(store), StreamReader(chained=True), lambda: NOW)


class Visitor:
    """Somebody before a store that tells of so many public folders, and shows so many rows."""

    def __init__(self, told: int = 13, come: int = 13) -> None:
        self.store = ScriptedStore(public=True)
        self.store.alter(oxcfold.RopGetHierarchyTableRequest, row_count=told)
        self.store.alter(oxctabl.RopQueryRowsRequest, rows=(Item().row(COLUMNS),) * come)
        self.public_folders = make_public_folders(self.store)

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


class Reader:
    """Somebody who has logged on to a store with two shared folders."""

    def __init__(self) -> None:
        self.store = ScriptedPublicStore()
        self.first, self.second = self.store.shared
        self.public_folders = make_public_folders(self.store)
        self.news: list[str] = []
        self.public_folders.on_news = lambda: self.news.append("news")

    async def log_on(self) -> "Reader":
        await self.public_folders.log_on(*about_client(make_account(0)))
        self.store.calls.clear()
        return self

    def assert_nothing_is_left_open(self) -> None:
        assert list(self.store.objects.values()) == [self.store.root]


async def test_browsing_opens_the_folders_in_turn_and_reads_the_newest_post():
    reader = await Reader().log_on()
    store = reader.store
    store.post(reader.first, "An older one", b"<p>older</p>")
    store.post(reader.first, SUBJECT, Content("1.0.post.0", 2000).html)
    await reader.public_folders.browse()
    assert [call.names for call in store.calls] == [
        ["OpenFolder", "GetContentsTable", "SetColumns", "SortTable", "QueryRows", "Release"],
        ["OpenMessage", "GetPropertiesSpecific"],
        ["OpenStream", "ReadStream"],
        ["Release"],
        ["Release"],
        ["Release"],
    ]
    assert store.calls[0].rops[1].table_flags & oxcfold.NO_NOTIFICATIONS == 0
    newest = reader.first.items[-1].values[p.PidTagMid]
    assert store.calls[1].rops[0].message_id == newest
    reader.assert_nothing_is_left_open()
    store.calls.clear()
    await reader.public_folders.browse()
    assert store.calls[0].rops[0].folder_id == reader.second.values[p.PidTagFolderId]
    assert [call.names for call in store.calls][1:] == [["Release"]]
    await reader.public_folders.browse()
    reader.assert_nothing_is_left_open()


@pytest.mark.parametrize(("native", "tag"), [(1, p.PidTagBody), (2, p.PidTagRtfCompressed), (0, None)])
async def test_the_body_is_read_in_its_best_form(native, tag):
    reader = await Reader().log_on()
    reader.store.add(
        reader.first,
        PidTagNormalizedSubject="By somebody else",
        PidTagNativeBodyInfo=native,
        PidTagBody=b"text",
        PidTagRtfCompressed=b"rtf",
    )
    await reader.public_folders.browse()
    opened = [rop.property_tag for call in reader.store.calls for rop in call.rops if rop.rop_id == 0x2B]
    assert opened == ([] if tag is None else [tag])


@pytest.mark.parametrize("told", [1, 3])
async def test_a_view_that_does_not_show_what_the_folder_holds(told):
    reader = await Reader().log_on()
    for _ in range(2):
        reader.store.post(reader.first, "Two", b"")
    reader.store.alter(oxcfold.RopGetContentsTableRequest, row_count=told)
    with pytest.raises(WrongAnswer, match=f"a public folder holds {told} posts but its view shows 2 rows"):
        await reader.public_folders.browse()
    reader.assert_nothing_is_left_open()


async def test_a_post_that_is_another_when_it_is_opened():
    reader = await Reader().log_on()
    post = reader.store.post(reader.first, "As listed", b"")
    answer = reader.store.rops[oxcmsg.RopOpenMessageRequest]

    def open_another(rop, table):
        post.values[p.PidTagNormalizedSubject] = "As opened"
        return answer(rop, table)

    reader.store.rops[oxcmsg.RopOpenMessageRequest] = open_another
    with pytest.raises(WrongAnswer, match="post 'As listed' is 'As opened' when it is opened"):
        await reader.public_folders.browse()
    reader.assert_nothing_is_left_open()


async def test_a_post_of_ours_with_a_foreign_body():
    reader = await Reader().log_on()
    reader.store.post(reader.first, SUBJECT, b"<p>something else</p>")
    with pytest.raises(WrongAnswer, match=r"21 bytes of post 1\.0\.post\.0 are not what was posted"):
        await reader.public_folders.browse()
    reader.assert_nothing_is_left_open()


async def test_posting_writes_a_body_and_sees_the_post_in_its_folder():
    reader = await Reader().log_on()
    store = reader.store
    await reader.public_folders.post("1.0.post.0")
    assert [call.names for call in store.calls] == [
        ["OpenFolder", "GetContentsTable", "SetColumns", "SortTable", "QueryRows", "Release"],
        [
            "CreateMessage",
            "SetProperties",
            "OpenStream",
            "WriteStream",
            "CommitStream",
            "Release",
            "SaveChangesMessage",
            "Release",
        ],
        ["FindRow"],
        ["Release"],
    ]
    (post,) = reader.first.items
    assert (post.values[p.PidTagMessageClass], post.values[p.PidTagNormalizedSubject]) == (
        "IPM.Post",
        SUBJECT,
    )
    assert post.values[p.PidTagSentRepresentingName] == "User 00000"
    assert post.values[p.PidTagClientSubmitTime] == p.filetime_from_unix(NOW)
    assert post.values[p.PidTagHtml] == Content("1.0.post.0", 2000).html
    reader.assert_nothing_is_left_open()
    reader.public_folders._visits = 0
    await reader.public_folders.browse()


async def test_a_post_that_its_folder_does_not_show():
    reader = await Reader().log_on()
    reader.store.alter(oxcmsg.RopSaveChangesMessageRequest, message_id=7)
    with pytest.raises(
        WrongAnswer, match=r"post 1\.0\.post\.0 has been saved but its folder does not show it"
    ):
        await reader.public_folders.post("1.0.post.0")
    reader.assert_nothing_is_left_open()
    reader.store.alter(oxctabl.RopFindRowRequest, row=None, return_value=0)
    with pytest.raises(WrongAnswer, match="does not show it"):
        await reader.public_folders.post("1.0.post.1")


async def test_a_property_that_is_refused():
    reader = await Reader().log_on()
    problem = p.PropertyProblem(0, p.PidTagMessageClass, 0x80070005)
    reader.store.alter(oxcprpt.RopSetPropertiesRequest, problems=(problem,))
    with pytest.raises(WrongAnswer, match="property 0x001A001F of a message was refused: 0x80070005"):
        await reader.public_folders.post("1.0.post.0")
    reader.assert_nothing_is_left_open()


async def test_without_public_folders_there_is_nothing_to_look_at():
    reader = Reader()
    reader.store.shared.clear()
    await reader.log_on()
    for work in (reader.public_folders.browse(), reader.public_folders.post("1.0.post.0")):
        with pytest.raises(WrongAnswer, match="there is no public folder to look at"):
            await work


async def test_what_the_server_tells_is_fetched_and_it_is_waited_for_the_next_news():
    reader = await Reader().log_on()
    await reader.public_folders.store.wait_for_news()
    for heard in (1, 2):
        reader.store.announce()
        await settle()
        assert len(reader.news) == heard
        assert not reader.store.is_waited_for
        await reader.public_folders.fetch_news()
        assert reader.store.calls[-1].rops == []
        assert reader.store.events == []
        assert reader.store.is_waited_for
    assert reader.public_folders.store.take_kept() == []


async def test_news_during_work_comes_along_with_its_answers():
    reader = await Reader().log_on()
    await reader.public_folders.store.wait_for_news()
    store = reader.store
    held: list[emsmdb.EcDoRpcExt2Request] = []
    store.answers[emsmdb.EcDoRpcExt2Request] = held.append
    browsing = asyncio.create_task(reader.public_folders.browse())
    await settle()
    store.announce()
    await settle()
    assert not store.is_waited_for
    store.answers[emsmdb.EcDoRpcExt2Request] = store.execute
    store.connection.reply(store.execute(held[0]))
    await browsing
    assert reader.news == []
    assert reader.store.is_waited_for
    assert reader.public_folders.store.take_kept() == []


async def test_a_search_that_fails_for_another_reason_than_that_there_is_nothing():
    reader = await Reader().log_on()
    reader.store.refuse(oxctabl.RopFindRowRequest, 0x80040117)
    with pytest.raises(MapiError) as refusal:
        await reader.public_folders.post("1.0.post.0")
    assert refusal.value.code == 0x80040117
    reader.assert_nothing_is_left_open()
