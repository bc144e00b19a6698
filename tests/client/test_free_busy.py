"""What a free/busy message says, and publishing it."""

from datetime import UTC, datetime

import pytest

from loadgen.client.free_busy import COLUMNS, FreeBusy, absent
from loadgen.client.identity import about_client
from loadgen.client.public_folders import PublicFolders
from loadgen.client.streams import StreamReader
from loadgen.errors import MapiError, WrongAnswer
from loadgen.wire import properties as p
from loadgen.wire.properties import PropertyError, PropertyRow
from loadgen.wire.rop import oxcmsg, oxcprpt, oxctabl

from .scripted import make_account
from .scripted_public_store import ScriptedPublicStore
from .scripted_store import NOT_FOUND, Item, new_session

JUNE = datetime(2007, 6, 30, 23, 59, tzinfo=UTC)
DECEMBER = datetime(2007, 12, 1, tzinfo=UTC)
OWNER = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user00000"
SUBJECT = "USER-/CN=RECIPIENTS/CN=USER00000"
DAY = 24 * 60

pytestmark = pytest.mark.usefixtures("no_complaints")


def row_of(values: dict[int, object]) -> PropertyRow:
    return PropertyRow.of(COLUMNS, [values.get(tag, PropertyError(NOT_FOUND)) for tag in COLUMNS])


def days_since_1601(*date: int) -> int:
    return (datetime(*date, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)).days


@pytest.mark.parametrize(
    ("now", "start", "end"), [(JUNE, (2007, 6, 1), (2007, 8, 1)), (DECEMBER, (2007, 12, 1), (2008, 2, 1))]
)
def test_this_month_and_the_next_are_published(now, start, end):
    calendar = FreeBusy.of_month(now)
    assert calendar.start == days_since_1601(*start) * DAY
    assert calendar.end == days_since_1601(*end) * DAY
    assert calendar.busy == {}


def test_the_figures_of_the_specification():
    """Months are year << 4 | month, times pairs of 16 bits, in minutes from the first of the month."""
    calendar = FreeBusy.of_month(JUNE).with_appointment(JUNE)
    values = {value.tag: value.value for value in calendar.properties(OWNER, 99)}
    assert values == {
        0x68470003: days_since_1601(2007, 6, 1) * DAY,
        0x68480003: days_since_1601(2007, 8, 1) * DAY,
        0x68680040: 99,
        0x6849001F: OWNER,
        0x684F1003: (0x7D76,),
        0x68501102: (bytes.fromhex("e0011c02"),),
        0x68531003: (0x7D76,),
        0x68541102: (bytes.fromhex("e0011c02"),),
    }
    assert absent(calendar.properties(OWNER, 99)) == (0x68511003, 0x68521102, 0x68551003, 0x68561102)


def test_appointments_fill_the_days_then_the_hours_and_those_that_touch_are_one():
    calendar = FreeBusy.of_month(JUNE)
    for _ in range(29):
        calendar = calendar.with_appointment(JUNE)
    spans = calendar.busy[2007 << 4 | 6]
    assert len(spans) == 28
    assert spans[0] == (8 * 60, 10 * 60)
    assert spans[-1] == (27 * DAY + 8 * 60, 27 * DAY + 9 * 60)
    for _ in range(28 * 10):
        calendar = calendar.with_appointment(JUNE)
    assert calendar.busy[2007 << 4 | 6] == tuple((day * DAY + 480, day * DAY + 1080) for day in range(28))


def test_what_has_been_published_is_read_back_the_same():
    calendar = FreeBusy.of_month(DECEMBER).with_appointment(DECEMBER)
    values = {value.tag: value.value for value in calendar.properties(OWNER, 1)}
    assert FreeBusy.from_row(row_of(values), OWNER.upper()) == calendar


def test_the_past_is_not_published():
    calendar = FreeBusy.of_month(JUNE).with_appointment(JUNE)
    july = datetime(2007, 7, 2, tzinfo=UTC)
    calendar = calendar.with_appointment(july).moved_to(july)
    assert list(calendar.busy) == [2007 << 4 | 7]
    assert calendar.start == FreeBusy.of_month(july).start


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({p.PidTagFreeBusyMessageEmailAddress: "/o=Contoso/cn=x"}, "is that of /o=Contoso/cn=x"),
        ({p.PidTagFreeBusyMessageEmailAddress: ""}, "is that of nobody"),
        ({p.PidTagScheduleInfoMonthsBusy: (1, 2)}, "data of 2 months has 1 lists"),
        ({p.PidTagScheduleInfoFreeBusyBusy: (b"123",)}, "a list of busy times has 3 bytes"),
    ],
)
def test_a_message_that_makes_no_sense(changes, complaint):
    calendar = FreeBusy.of_month(JUNE).with_appointment(JUNE)
    values = {value.tag: value.value for value in calendar.properties(OWNER, 1)}
    with pytest.raises(WrongAnswer, match=complaint):
        FreeBusy.from_row(row_of(values | changes), OWNER)


class Publisher:
    """Somebody with an Outlook that publishes; ``now`` is the time of his machine."""

    def __init__(self, store: ScriptedPublicStore | None = None) -> None:
        self.store = store or ScriptedPublicStore()
        self.now = JUNE.timestamp()
        self.public_folders = PublicFolders(
            make_account(0), new_session(self.store), StreamReader(chained=True), lambda: self.now
        )

    async def log_on(self) -> "Publisher":
        await self.public_folders.log_on(*about_client(make_account(0)))
        self.store.calls.clear()
        return self

    async def publish(self) -> list[list[str]]:
        """The calls that it took."""
        self.store.calls.clear()
        await self.public_folders.publish_free_busy()
        assert list(self.store.objects.values()) == [self.store.root]
        return [call.names for call in self.store.calls]

    @property
    def message(self) -> Item:
        (message,) = self.store.groups[1].items
        return message

    @property
    def calendar(self) -> FreeBusy:
        return FreeBusy.from_row(self.message.row(COLUMNS), OWNER)


LOOK = [
    ["OpenFolder", "GetHierarchyTable", "SetColumns", "QueryRows", "Release", "Release"],
    ["OpenFolder", "GetContentsTable", "SetColumns", "SortTable", "Release"],
    ["FindRow"],
    ["Release"],
]
READ = ["OpenMessage", "GetPropertiesSpecific"]
WRITE = ["SetProperties", "DeleteProperties", "SaveChangesMessage", "Release"]


async def test_the_first_publication_makes_the_message_in_the_folder_of_the_administrative_group():
    publisher = await Publisher().log_on()
    assert await publisher.publish() == [*LOOK, ["CreateMessage", *WRITE]]
    assert publisher.store.groups[0].items == []
    assert publisher.message.values[p.PidTagNormalizedSubject] == SUBJECT
    assert publisher.message.values[p.PidTagFreeBusyRangeTimestamp] == p.filetime_from_unix(publisher.now)
    assert publisher.calendar == FreeBusy.of_month(JUNE)


async def test_each_later_one_reads_it_and_adds_an_appointment():
    publisher = await Publisher().log_on()
    await publisher.publish()
    for count in (1, 2):
        assert await publisher.publish() == [READ, WRITE]
        assert len(publisher.calendar.busy[2007 << 4 | 6]) == count


async def test_who_comes_back_goes_on_with_what_was_published():
    first = await Publisher().log_on()
    await first.publish()
    await first.publish()
    await first.public_folders.log_off()
    second = await Publisher(first.store).log_on()
    assert await second.publish() == [*LOOK, READ, WRITE]
    assert second.calendar == first.calendar
    assert len(second.calendar.busy) == 1


async def test_tentative_times_and_those_of_last_month_do_not_stay():
    publisher = await Publisher().log_on()
    await publisher.publish()
    await publisher.publish()
    publisher.message.values[p.PidTagScheduleInfoMonthsTentative] = (1,)
    publisher.now = datetime(2007, 8, 15, tzinfo=UTC).timestamp()
    await publisher.publish()
    assert list(publisher.calendar.busy) == [2007 << 4 | 8]
    assert p.PidTagScheduleInfoMonthsTentative not in publisher.message.values


async def test_a_message_that_does_not_say_what_was_published():
    publisher = await Publisher().log_on()
    await publisher.publish()
    publisher.message.values[p.PidTagFreeBusyPublishEnd] += 1
    with pytest.raises(WrongAnswer, match="free/busy data of user00000 is not what was published"):
        await publisher.publish()
    assert list(publisher.store.objects.values()) == [publisher.store.root]


async def test_without_a_folder_for_the_administrative_group():
    publisher = await Publisher().log_on()
    del publisher.store.groups[1]
    with pytest.raises(WrongAnswer, match="there is no free/busy folder EX:/o=Contoso/ou=First"):
        await publisher.publish()


async def test_a_property_that_is_refused():
    publisher = await Publisher().log_on()
    problem = p.PropertyProblem(2, p.PidTagFreeBusyRangeTimestamp, 0x80070005)
    publisher.store.alter(oxcprpt.RopSetPropertiesRequest, problems=(problem,))
    with pytest.raises(WrongAnswer, match="property 0x68680040 of a message was refused"):
        await publisher.publish()
    assert list(publisher.store.objects.values()) == [publisher.store.root]


@pytest.mark.parametrize("rop", [oxctabl.RopFindRowRequest, oxcmsg.RopSaveChangesMessageRequest])
async def test_a_store_that_refuses(rop):
    publisher = await Publisher().log_on()
    publisher.store.refuse(rop, 0x80070005)
    with pytest.raises(MapiError):
        await publisher.publish()
    assert list(publisher.store.objects.values()) == [publisher.store.root]
