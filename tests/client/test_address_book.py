"""The address book, seen by one user: what he asks, and which answers he does not believe."""

import msgspec
import pytest

from loadgen.client.account import Account
from loadgen.client.address_book import AddressBook
from loadgen.errors import LocalProtocolError, MapiError, RpcFault, WrongAnswer
from loadgen.wire import nspi
from loadgen.wire.nspi import constants
from loadgen.wire.properties import (
    PidTagAddressBookDisplayNamePrintable,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagSmtpAddress,
    PropertyValue,
)

from .scripted import ScriptedConnection, ScriptedDirectory, make_account

OWN_COLUMNS = (
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagSmtpAddress,
    PidTagAddressBookDisplayNamePrintable,
)
EVERYBODY = [make_account(index) for index in range(200)]


class Reader:
    """A user, 75th of 200 unless told otherwise, with a directory of his own."""

    def __init__(self, index: int = 74, accounts: list[Account] = EVERYBODY) -> None:
        self.account = make_account(index)
        self.directory = ScriptedDirectory(accounts)
        self.connection = ScriptedConnection(self.directory, (nspi.INTERFACE,))
        self.address_book = AddressBook(self.connection, self.account)

    @property
    def calls(self) -> list[str]:
        return [type(request).__name__.removesuffix("Request") for request in self.connection.requests]


@pytest.fixture
async def reader() -> Reader:
    reader = Reader()
    await reader.address_book.bind()
    return reader


async def test_binding(reader):
    assert reader.calls == ["NspiBind", "NspiGetSpecialTable", "NspiDNToMId", "NspiGetProps"]
    _, _, find, read = reader.connection.requests
    assert find.names == (reader.account.legacy_dn,)
    assert read.stat.current_rec == 0x10 + 74
    await reader.address_book.unbind()
    assert reader.calls[-1] == "NspiUnbind"
    with pytest.raises(LocalProtocolError):
        await reader.address_book.browse()


async def test_a_user_whom_the_directory_does_not_know():
    stranger = Reader(500)
    with pytest.raises(WrongAnswer, match=f"the directory does not know {stranger.account.legacy_dn}"):
        await stranger.address_book.bind()


@pytest.mark.parametrize("tag", [PidTagDisplayName, PidTagEmailAddress, PidTagSmtpAddress])
async def test_ones_own_entry_is_that_of_somebody_else(tag):
    reader = Reader()
    columns = (
        PidTagDisplayName,
        PidTagEmailAddress,
        PidTagSmtpAddress,
        PidTagAddressBookDisplayNamePrintable,
    )
    row = reader.directory.entries[74].row(columns)
    row = [PropertyValue(tag, "somebody else") if value.tag == tag else value for value in row]
    reader.directory.change(nspi.NspiGetPropsRequest, row=tuple(row))
    with pytest.raises(WrongAnswer, match=f"NspiGetProps: 0x{tag:08X} is 'somebody else'"):
        await reader.address_book.bind()


REFUSALS = {
    nspi.NspiBindRequest: "NspiBind",
    nspi.NspiGetSpecialTableRequest: "NspiGetSpecialTable",
    nspi.NspiDNToMIdRequest: "NspiDNToMId",
    nspi.NspiGetPropsRequest: "NspiGetProps",
    nspi.NspiResolveNamesWRequest: "NspiResolveNamesW",
    nspi.NspiUpdateStatRequest: "NspiUpdateStat",
    nspi.NspiSeekEntriesRequest: "NspiSeekEntries",
    nspi.NspiQueryRowsRequest: "NspiQueryRows",
    nspi.NspiUnbindRequest: "NspiUnbind",
}


async def use_all(reader: Reader) -> None:
    await reader.address_book.bind()
    await reader.address_book.resolve((make_account(1),))
    await reader.address_book.browse()
    await reader.address_book.unbind()


@pytest.mark.parametrize("kind", REFUSALS, ids=REFUSALS.values())
async def test_refusals_carry_the_name_of_the_call(kind):
    reader = Reader()
    reader.directory.change(kind, return_value=constants.GENERAL_FAILURE)
    with pytest.raises(MapiError) as refusal:
        await use_all(reader)
    assert (refusal.value.call, refusal.value.code) == (REFUSALS[kind], constants.GENERAL_FAILURE)
    faulty = Reader()
    faulty.directory.fail(kind)
    with pytest.raises(RpcFault):
        await use_all(faulty)


class TestResolving:
    async def test_recipients(self, reader):
        await reader.address_book.resolve([make_account(index) for index in (3, 1, 4, 15)])
        request = reader.connection.requests[-1]
        assert request.names == ("user00003", "user00001", "user00004", "user00015")
        assert request.stat.container_id == 0

    @pytest.mark.parametrize("outcome", [constants.UNRESOLVED, constants.AMBIGUOUS])
    async def test_a_name_that_is_not_resolved(self, reader, outcome):
        resolved = reader.directory.answers[nspi.NspiResolveNamesWRequest]

        def all_but_the_second(request):
            response = resolved(request)
            first, _, third = response.rows
            mids = (constants.RESOLVED, outcome, constants.RESOLVED)
            return msgspec.structs.replace(response, mids=mids, rows=(first, third))

        reader.directory.answers[nspi.NspiResolveNamesWRequest] = all_but_the_second
        with pytest.raises(WrongAnswer, match=f"does not resolve user00002: outcome {outcome}"):
            await reader.address_book.resolve([make_account(index) for index in (1, 2, 3)])

    async def test_somebody_who_is_not_there(self, reader):
        with pytest.raises(WrongAnswer, match="does not resolve user00500: outcome 0"):
            await reader.address_book.resolve((make_account(500),))

    async def test_a_name_that_is_resolved_to_somebody_else(self, reader):
        resolved = reader.directory.answers[nspi.NspiResolveNamesWRequest]

        def swapped(request):
            response = resolved(request)
            return msgspec.structs.replace(response, rows=response.rows[::-1])

        reader.directory.answers[nspi.NspiResolveNamesWRequest] = swapped
        with pytest.raises(WrongAnswer, match="NspiResolveNamesW: 0x3001001F is 'User 00002'"):
            await reader.address_book.resolve((make_account(1), make_account(2)))

    async def test_nobody(self, reader):
        await reader.address_book.resolve(())
        assert reader.connection.requests[-1].names == ()


class TestBrowsing:
    @pytest.mark.parametrize(
        ("index", "rows"), [(0, [50, 50]), (74, [50, 50]), (110, [50, 40]), (150, [50]), (199, [1])]
    )
    async def test_from_ones_own_place_on(self, index, rows):
        reader = Reader(index)
        await reader.address_book.bind()
        shown = []
        query = reader.directory.answers[nspi.NspiQueryRowsRequest]

        def counted(request):
            response = query(request)
            shown.append(len(response.rows))
            return response

        reader.directory.answers[nspi.NspiQueryRowsRequest] = counted
        await reader.address_book.browse()
        assert shown == rows
        assert reader.calls[4:] == ["NspiUpdateStat", "NspiSeekEntries", *["NspiQueryRows"] * len(rows)]
        seek = reader.connection.requests[5]
        assert seek.target == PropertyValue(PidTagDisplayName, reader.account.display_name)
        await reader.address_book.browse()
        assert shown == rows * 2

    async def test_a_page_that_begins_with_somebody_else(self, reader):
        query = reader.directory.answers[nspi.NspiQueryRowsRequest]

        def shifted(request):
            response = query(request)
            return msgspec.structs.replace(response, rows=response.rows[1:] + response.rows[:1])

        reader.directory.answers[nspi.NspiQueryRowsRequest] = shifted
        with pytest.raises(WrongAnswer, match=r"shows \['User 00075'\] where User 00074 should stand"):
            await reader.address_book.browse()

    @pytest.mark.parametrize("page", [0, 1])
    async def test_a_page_that_is_short(self, reader, page):
        query = reader.directory.answers[nspi.NspiQueryRowsRequest]
        cut = iter([0] * page + [1])

        def short(request):
            response = query(request)
            return msgspec.structs.replace(response, rows=response.rows[: len(response.rows) - next(cut, 0)])

        reader.directory.answers[nspi.NspiQueryRowsRequest] = short
        left = 200 - 74 - 50 * page
        with pytest.raises(WrongAnswer, match=f"the address list shows 49 rows, {left} are left"):
            await reader.address_book.browse()

    async def test_an_empty_page(self, reader):
        reader.directory.change(nspi.NspiQueryRowsRequest, rows=())
        with pytest.raises(WrongAnswer, match="NspiQueryRows: 0 rows, and no way on"):
            await reader.address_book.browse()

    async def test_a_name_behind_all_others(self):
        reader = Reader(74)
        await reader.address_book.bind()
        del reader.directory.entries[74:]
        with pytest.raises(MapiError, match="NspiSeekEntries returned 0x8004010F"):
            await reader.address_book.browse()
