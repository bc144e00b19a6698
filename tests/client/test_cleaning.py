"""Removing what a run has left in a mailbox, and leaving alone what is somebody else's."""

import pytest

from loadgen.client.cleaning import CLEANED, remove_mail
from loadgen.client.logon import log_on_mailbox
from loadgen.errors import MapiError, WrongAnswer
from loadgen.wire import properties as p
from loadgen.wire.identifiers import object_id
from loadgen.wire.restrictions import PREFIX, RestrictContent
from loadgen.wire.rop import oxcfold, oxcstor, oxctabl

from .scripted import make_account
from .scripted_store import FOLDER_IDS, Item, ScriptedStore, Table, open_session

ACCOUNT = make_account(0)
RUN = "a1b2c3d4."


class Mailbox(ScriptedStore):
    """One whose folders can all be looked into, restricted and emptied."""

    def __init__(self):
        super().__init__(ACCOUNT.display_name)
        self.understands = self.deletes = True
        self.rops |= {
            oxcfold.RopGetContentsTableRequest: self._look_into,
            oxctabl.RopRestrictRequest: self._restrict,
            oxcfold.RopDeleteMessagesRequest: self._delete,
        }

    def put(self, place, *subjects):
        folder = self.folders[place]
        for subject in subjects:
            self._last_message += 1
            message_id = object_id(1, self._last_message)
            folder.items.append(Item({p.PidTagMid: message_id, p.PidTagNormalizedSubject: subject}))

    def subjects(self, place):
        return [item.values[p.PidTagNormalizedSubject] for item in self.folders[place].items]

    def _look_into(self, rop, table):
        folder = self.objects[table[rop.input_handle_index]]
        self.open(Table(lambda: folder.items), rop.output_handle_index, table)
        return oxcfold.RopGetContentsTableResponse(rop.output_handle_index, len(folder.items))

    def _restrict(self, rop, table):
        shown, wanted = self.objects[table[rop.input_handle_index]], rop.restriction
        assert isinstance(wanted, RestrictContent)
        assert (wanted.fuzzy_level_low, wanted.tag) == (PREFIX, p.PidTagNormalizedSubject)
        rows = shown.source()
        if self.understands:
            begins = wanted.value.value
            rows = [item for item in rows if item.values[p.PidTagNormalizedSubject].startswith(begins)]
        shown.source = lambda: rows
        return oxctabl.RopRestrictResponse(rop.input_handle_index)

    def _delete(self, rop, table):
        folder = self.objects[table[rop.input_handle_index]]
        if self.deletes:
            gone = set(rop.message_ids)
            folder.items = [item for item in folder.items if item.values[p.PidTagMid] not in gone]
        return oxcfold.RopDeleteMessagesResponse(rop.input_handle_index, False)


@pytest.fixture
def mailbox():
    return Mailbox()


async def clean(mailbox):
    store = await open_session(mailbox, waits=False)
    logon = await log_on_mailbox(store, ACCOUNT)
    return await remove_mail(store, logon.handle, FOLDER_IDS, RUN)


async def test_the_runs_mail_goes_from_every_folder_and_other_mail_stays(mailbox):
    others = ["Minutes", f"Re: {RUN}1", RUN[:-1], ""]
    for place in CLEANED:
        mailbox.put(place, *others, *(f"{RUN}{number} (5000 bytes)" for number in range(60)))
    assert await clean(mailbox) == 180
    assert [mailbox.subjects(place) for place in CLEANED] == [others] * 3
    assert len(mailbox.objects) == 1  # the logon; folders and tables are given back


async def test_nothing_is_deleted_where_nothing_is_the_runs(mailbox):
    mailbox.put(oxcstor.INBOX, "Minutes")
    mailbox.rops[oxcfold.RopDeleteMessagesRequest] = None
    assert await clean(mailbox) == 0
    assert mailbox.subjects(oxcstor.INBOX) == ["Minutes"]


async def test_a_server_that_ignores_the_restriction_costs_nobody_his_mail(mailbox):
    mailbox.understands = False
    mailbox.put(oxcstor.INBOX, "Minutes", f"{RUN}1", "Lunch", f"{RUN}2")
    assert await clean(mailbox) == 2
    assert mailbox.subjects(oxcstor.INBOX) == ["Minutes", "Lunch"]


async def test_a_server_that_deletes_nothing_is_not_asked_for_ever(mailbox):
    mailbox.deletes = False
    mailbox.put(oxcstor.INBOX, f"{RUN}1")
    with pytest.raises(WrongAnswer, match="still has messages that were deleted"):
        await clean(mailbox)


async def test_a_server_that_keeps_some_is_told_of(mailbox):
    mailbox.put(oxcstor.INBOX, f"{RUN}1")
    mailbox.alter(oxcfold.RopDeleteMessagesRequest, partial_completion=True)
    with pytest.raises(WrongAnswer, match="kept some of the run's messages"):
        await clean(mailbox)


@pytest.mark.parametrize("rop", [oxcfold.RopOpenFolderRequest, oxctabl.RopRestrictRequest])
async def test_refusals(mailbox, rop):
    mailbox.refuse(rop, 0x80070005)
    with pytest.raises(MapiError):
        await clean(mailbox)
