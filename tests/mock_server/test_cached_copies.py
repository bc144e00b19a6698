"""A cached client and a mailbox in any order of events: the copies come out true."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from loadgen.wire.fasttransfer.changes import ReadStateChanges
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import IdSetByReplId
from loadgen.wire.rop import oxcfxics_upload as upload
from mock_server.mailboxes.message import Message
from tests.mock_server.cached_client import (
    Copy,
    Replica,
    change_key,
    change_values,
    note,
    reserve,
    source_key,
    truth,
)
from tests.mock_server.store_client import DELETED_ITEMS, INBOX, NEW_YEAR, Stores, online

LONG_AGO = NEW_YEAR - 1
FAR_FUTURE = NEW_YEAR * 2
MESSAGES = st.integers(0, 1 << 20)


class CachedCopies(RuleBasedStateMachine):
    """Whatever happens, and wherever it is interrupted: the next whole synchronisation makes copies true."""

    @initialize()
    def start(self) -> None:
        stores = Stores(users=1)
        self.client = online(stores, 0)
        self.mailbox = stores.stores["MBX1"].mailbox(stores.directory.users[0])
        self.replicas = {folder: Replica(self.client, folder) for folder in (INBOX, DELETED_ITEMS)}
        self.next_id = reserve(self.client, 1000)
        self.changes = 0

    def folder(self, which: bool) -> Any:
        return self.mailbox.deleted_items if which else self.mailbox.inbox

    def pick(self, which: bool, number: int) -> list[Message]:
        folder = self.folder(which)
        found = [*folder.messages.values(), *folder.associated.values()]
        return [found[number % len(found)]] if found else []

    @rule(subject=st.text("ab", max_size=3), size=st.integers(0, 3000))
    def deliver(self, subject: str, size: int) -> None:
        self.mailbox.deliver(note(subject or "-", size))

    @rule(which=st.booleans())
    def hide(self, which: bool) -> None:
        folder = self.folder(which)
        self.mailbox.add_message(self.mailbox.new_message(folder, note("view"), associated=True))

    @rule(which=st.booleans(), number=MESSAGES, read=st.booleans())
    def mark(self, which: bool, number: int, read: bool) -> None:
        self.mailbox.set_read([m for m in self.pick(which, number) if not m.associated], read=read)

    @rule(which=st.booleans(), number=MESSAGES)
    def change(self, which: bool, number: int) -> None:
        for message in self.pick(which, number):
            self.mailbox.replace_content(message, note(f"changed {number}"))

    @rule(which=st.booleans(), number=MESSAGES)
    def delete(self, which: bool, number: int) -> None:
        self.mailbox.delete_messages(self.folder(which), self.pick(which, number))

    @rule(which=st.booleans(), number=MESSAGES)
    def move(self, which: bool, number: int) -> None:
        self.mailbox.move_messages(self.folder(which), self.folder(not which), self.pick(which, number))

    @rule(which=st.booleans(), size=st.sampled_from([64, 500, 5000, 0]))
    def synchronise(self, which: bool, size: int) -> None:
        folder = self.folder(which).folder_id
        assert self.replicas[folder].download(size)
        assert self.replicas[folder].messages == truth(self.mailbox, folder)

    @rule(which=st.booleans(), size=st.integers(40, 4000), most=st.integers(0, 5), resume=st.booleans())
    def be_interrupted(self, which: bool, size: int, most: int, resume: bool) -> None:
        self.replicas[self.folder(which).folder_id].download(size, most=most, resume=resume)

    def known(self, which: bool, number: int) -> tuple[Replica, int | None]:
        replica = self.replicas[self.folder(which).folder_id]
        normal = [m for m, copy in replica.messages.items() if not copy.associated]
        return replica, normal[number % len(normal)] if normal else None

    @rule(which=st.booleans(), number=MESSAGES, read=st.booleans())
    def upload_mark(self, which: bool, number: int, read: bool) -> None:
        replica, known = self.known(which, number)
        if known is not None:
            state = upload.MessageReadState(source_key(self.mailbox, known), read)
            assert replica.upload(upload.RopSynchronizationImportReadStateChangesRequest(0, 0, (state,))) == [
                0
            ]
            replica._mark(
                ReadStateChanges(**{"read_ids" if read else "unread_ids": IdSetByReplId.of([known])})
            )

    @rule(which=st.booleans(), number=MESSAGES)
    def upload_deletion(self, which: bool, number: int) -> None:
        replica, known = self.known(which, number)
        if known is not None:
            keys = (source_key(self.mailbox, known),)
            assert replica.upload(upload.RopSynchronizationImportDeletesRequest(0, 0, 0, keys)) == [0]
            del replica.messages[known]

    def new_id(self) -> int:
        self.next_id += 1
        return object_id(1, self.next_id)

    @rule(which=st.booleans(), number=MESSAGES)
    def upload_move(self, which: bool, number: int) -> None:
        source, known = self.known(which, number)
        if known is None:
            return
        target, there = self.replicas[self.folder(not which).folder_id], self.new_id()
        self.changes += 1
        (code,) = target.upload(
            upload.RopSynchronizationImportMessageMoveRequest(
                0,
                0,
                source_key(self.mailbox, source.folder_id),
                source_key(self.mailbox, known),
                source.predecessors[known],
                source_key(self.mailbox, there),
                change_key(self.changes),
            )
        )
        assert code in (0, upload.NEWER_CLIENT_CHANGE, 0x80040800)
        copy = source.messages.pop(known)
        moved = self.mailbox.folders[target.folder_id].message(there)
        if moved is not None and moved.history.change_key == change_key(self.changes):
            target.messages[there] = copy
            target.predecessors[there] = moved.history.predecessor_change_list

    @rule(which=st.booleans(), saved=st.booleans())
    def upload_new(self, which: bool, saved: bool) -> None:
        replica, there = self.replicas[self.folder(which).folder_id], self.new_id()
        self.changes += 1
        values = change_values(source_key(self.mailbox, there), self.changes, NEW_YEAR)
        copy = Copy("mine", (b"data",), True, False)
        assert replica.write(values, copy, save=saved) == 0
        if saved:
            replica.messages[there], replica.predecessors[there] = copy, values[-1].value

    @rule(which=st.booleans(), number=MESSAGES, modified=st.sampled_from([LONG_AGO, FAR_FUTURE]))
    def upload_change(self, which: bool, number: int, modified: int) -> None:
        replica, known = self.known(which, number)
        if known is None:
            return
        self.changes += 1
        key = source_key(self.mailbox, known)
        values = change_values(key, self.changes, modified, replica.predecessors[known])
        copy = replace(replica.messages[known], subject="mine again")
        code = replica.write(values, copy)
        assert code in (0, 0x80040800)
        if not code:
            replica.messages[known], replica.predecessors[known] = copy, values[-1].value

    def teardown(self) -> None:
        for folder, replica in getattr(self, "replicas", {}).items():
            replica.download()
            assert replica.messages == truth(self.mailbox, folder)


CachedCopies.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestCachedCopies = CachedCopies.TestCase
