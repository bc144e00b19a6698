"""The client's address book session against scripted answers."""

from collections.abc import Callable

import msgspec
import pytest

from loadgen.errors import LocalProtocolError, MapiError, WrongAnswer
from loadgen.protocol.nspi_session import AddressList, NspiSession, ResolvedName, value_of
from loadgen.wire import nspi
from loadgen.wire.nspi import constants, tags
from loadgen.wire.properties import PidTagDisplayName, PidTagSmtpAddress, PropertyValue

HANDLE = b"\0\0\0\0" + bytes(range(16))
GUID = bytes(range(16, 32))
COLUMNS = (PidTagDisplayName, PidTagSmtpAddress)
replace = msgspec.structs.replace


def row(name: str) -> nspi.Row:
    return (
        PropertyValue(PidTagDisplayName, name),
        PropertyValue(PidTagSmtpAddress, f"{name.lower()}@contoso.test"),
    )


@pytest.fixture
def session() -> NspiSession:
    session = NspiSession()
    session.take_bound(nspi.NspiBindResponse(GUID, HANDLE))
    return session


def test_bind_and_unbind():
    session = NspiSession(code_page=1251, locale=0x419)
    request = session.bind()
    assert (request.stat.code_page, request.stat.sort_locale, request.stat.template_locale) == (
        1251,
        0x419,
        0x419,
    )
    assert not session.bound
    session.take_bound(nspi.NspiBindResponse(GUID, HANDLE))
    assert session.bound
    assert session.server_guid == GUID
    with pytest.raises(LocalProtocolError):
        session.bind()
    assert session.unbind() == nspi.NspiUnbindRequest(HANDLE)
    assert not session.bound
    session.take_unbound(nspi.NspiUnbindResponse())
    assert session.bind().server_guid == bytes(16)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.LOGON_FAILED), MapiError),
        (nspi.NspiBindResponse(GUID, nspi.NO_HANDLE), WrongAnswer),
        (nspi.NspiBindResponse(None, HANDLE), WrongAnswer),
    ],
)
def test_a_bind_that_fails_leaves_the_session_unbound(response, error):
    session = NspiSession()
    with pytest.raises(error):
        session.take_bound(response)
    assert not session.bound


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiUnbindResponse(return_value=constants.UNBIND_FAILURE), MapiError),
        (nspi.NspiUnbindResponse(HANDLE), WrongAnswer),
    ],
)
def test_an_unbind_that_fails(session: NspiSession, response, error):
    session.unbind()
    with pytest.raises(error):
        session.take_unbound(response)


CALLS: dict[str, Callable[[NspiSession], object]] = {
    "unbind": NspiSession.unbind,
    "special_table": NspiSession.special_table,
    "find": lambda session: session.find(["/o=Contoso"]),
    "read": lambda session: session.read(constants.MId(0x1001), COLUMNS),
    "template": NspiSession.template,
    "resolve": lambda session: session.resolve(["Bob"], COLUMNS),
    "match": lambda session: session.match("Bob", 50, COLUMNS),
    "go_to": lambda session: session.go_to(0),
    "scroll": lambda session: session.scroll(20),
    "seek": lambda session: session.seek("B"),
    "query_rows": lambda session: session.query_rows(50, COLUMNS),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_needs_a_bound_session(call, session: NspiSession):
    assert call(session)
    with pytest.raises(LocalProtocolError):
        call(NspiSession())
    session = NspiSession()
    session.take_bound(nspi.NspiBindResponse(GUID, HANDLE))
    session.unbind()
    with pytest.raises(LocalProtocolError):
        call(session)


def test_template(session: NspiSession, vector):
    assert session.template() == nspi.NspiGetTemplateInfoRequest(HANDLE, constants.DT_MAILUSER)
    request = session.template(constants.DT_DISTLIST)
    assert (request.display_type, request.flags) == (constants.DT_DISTLIST, constants.TI_TEMPLATE)
    answer = nspi.NspiGetTemplateInfoResponse.decode(vector("nspi/get_template_info_response.hex"))
    assert session.take_template(answer) == bytes(16)
    assert session.take_template(nspi.NspiGetTemplateInfoResponse(None, constants.NOT_FOUND)) is None


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiGetTemplateInfoResponse(None), WrongAnswer),
        (nspi.NspiGetTemplateInfoResponse((PropertyValue(tags.PidTagScriptData, b""),)), WrongAnswer),
        (nspi.NspiGetTemplateInfoResponse(None, constants.INVALID_CODEPAGE), MapiError),
    ],
)
def test_templates_that_are_none(session: NspiSession, response, error):
    with pytest.raises(error):
        session.take_template(response)


def test_address_lists_of_two_servers(session: NspiSession, vector):
    def lists(name: str) -> tuple[AddressList, ...]:
        return session.take_special_table(nspi.NspiGetSpecialTableResponse.decode(vector(f"nspi/{name}.hex")))

    assert lists("get_special_table_response") == (
        AddressList(0, "Global Address List", 9, 0),
        AddressList(16, "All Users", 9, 1),
    )
    assert lists("gromox_get_special_table_response") == (
        AddressList(0, "", 9, 0),
        AddressList(0x40000011, "example.test", 11, 0),
    )


@pytest.mark.parametrize("rows", [None, (), (row("List"),), ((PropertyValue(0xFFFD0003, 16),),)])
def test_a_hierarchy_must_have_a_global_list(session: NspiSession, rows):
    with pytest.raises(WrongAnswer):
        session.take_special_table(nspi.NspiGetSpecialTableResponse(1, rows))
    with pytest.raises(MapiError):
        session.take_special_table(nspi.NspiGetSpecialTableResponse(1, None, constants.GENERAL_FAILURE))


def test_find_and_read(session: NspiSession):
    find = session.find(["/o=x/cn=a", "/o=x/cn=b"])
    assert session.take_found(find, nspi.NspiDNToMIdResponse((0x1001, 0))) == (0x1001, 0)
    for mids in (None, (), (1,), (1, 2, 3)):
        with pytest.raises(WrongAnswer):
            session.take_found(find, nspi.NspiDNToMIdResponse(mids))
    with pytest.raises(MapiError):
        session.take_found(find, nspi.NspiDNToMIdResponse(None, constants.GENERAL_FAILURE))

    read = session.read(constants.MId(0x1001), COLUMNS)
    assert read.stat == nspi.Stat(current_rec=0x1001)
    alice = row("Alice")
    known = {PidTagDisplayName: "Alice"}
    assert session.take_read(read, nspi.NspiGetPropsResponse(alice), known) == alice
    without_address = (alice[0], PropertyValue(0x39FE000A, constants.NOT_FOUND))
    response = nspi.NspiGetPropsResponse(without_address, constants.ERRORS_RETURNED)
    assert session.take_read(read, response, known) == without_address
    assert value_of(without_address, PidTagSmtpAddress) is None


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiGetPropsResponse(None, constants.GENERAL_FAILURE), MapiError),
        (nspi.NspiGetPropsResponse(None), WrongAnswer),
        (nspi.NspiGetPropsResponse(row("Alice")[:1]), WrongAnswer),
        (nspi.NspiGetPropsResponse(row("Alice")[::-1]), WrongAnswer),
        (nspi.NspiGetPropsResponse(row("Bob")), WrongAnswer),
    ],
)
def test_reads_that_go_wrong(session: NspiSession, response, error):
    read = session.read(constants.MId(0x1001), COLUMNS)
    with pytest.raises(error):
        session.take_read(read, response, {PidTagDisplayName: "Alice"})


def test_resolve_names(session: NspiSession):
    session.stat = nspi.Stat(current_rec=0x1005, num_pos=5, total_recs=9)
    request = session.resolve(["Alice", "Bob", "nobody"], COLUMNS)
    assert request.stat == nspi.Stat()
    response = nspi.NspiResolveNamesResponse((2, 1, 0), (row("Alice"),))
    known = ({PidTagSmtpAddress: "alice@contoso.test"}, {PidTagSmtpAddress: "bob@contoso.test"})
    assert session.take_resolved(request, response, known) == (
        ResolvedName("Alice", constants.RESOLVED, row("Alice")),
        ResolvedName("Bob", constants.AMBIGUOUS),
        ResolvedName("nobody", constants.UNRESOLVED),
    )
    nothing = nspi.NspiResolveNamesResponse((0, 0, 0), None)
    assert [name.outcome for name in session.take_resolved(request, nothing)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("mids", "rows", "return_value", "error"),
    [
        (None, None, constants.INVALID_BOOKMARK, MapiError),
        (None, None, constants.SUCCESS, WrongAnswer),
        ((2,), (row("Alice"),), constants.SUCCESS, WrongAnswer),
        ((2, 3), (row("Alice"),), constants.SUCCESS, WrongAnswer),
        ((2, 0), (), constants.SUCCESS, WrongAnswer),
        ((2, 0), (row("Alice"), row("Bob")), constants.SUCCESS, WrongAnswer),
        ((2, 0), (row("Alice")[:1],), constants.SUCCESS, WrongAnswer),
        ((2, 0), (row("Bob"),), constants.SUCCESS, WrongAnswer),
    ],
)
def test_resolutions_that_go_wrong(session: NspiSession, mids, rows, return_value, error):
    request = session.resolve(["Alice", "Bob"], COLUMNS)
    with pytest.raises(error):
        session.take_resolved(
            request,
            nspi.NspiResolveNamesResponse(mids, rows, return_value),
            ({PidTagDisplayName: "Alice"}, {PidTagDisplayName: "Bob"}),
        )


def test_match_names(session: NspiSession, vector):
    request = session.match("bob", 50, tuple(value.tag for value in row("Bob")))
    filter_of_the_reference = nspi.NspiGetMatchesRequest.decode(vector("nspi/get_matches_request.hex")).filter
    assert request.filter == filter_of_the_reference
    response = nspi.NspiGetMatchesResponse(nspi.Stat(), (1, 2), (row("Bob"), row("Bobby")))
    assert session.take_matched(request, response) == (row("Bob"), row("Bobby"))
    assert session.take_matched(request, nspi.NspiGetMatchesResponse(nspi.Stat(), None, None)) == ()
    for wrong in (replace(response, mids=(1,)), replace(response, rows=(row("Bob"), row("Bobby")[:1]))):
        with pytest.raises(WrongAnswer):
            session.take_matched(request, wrong)
    with pytest.raises(WrongAnswer):
        session.take_matched(replace(request, requested=1), response)
    with pytest.raises(MapiError):
        session.take_matched(
            request, nspi.NspiGetMatchesResponse(nspi.Stat(), return_value=constants.TABLE_TOO_BIG)
        )


def test_moving_in_a_table(session: NspiSession):
    beginning = session.go_to(16)
    assert beginning.stat == nspi.Stat(container_id=16)
    there = nspi.Stat(container_id=16, current_rec=0x1001, total_recs=200)
    assert session.take_moved(beginning, nspi.NspiUpdateStatResponse(there, 0)) == 0
    assert session.stat == there

    middle = session.go_to(16, 1, 2)
    assert middle.stat == replace(there, current_rec=constants.CURRENT, num_pos=1, total_recs=2)
    there = replace(there, current_rec=0x1065, num_pos=100)
    session.take_moved(middle, nspi.NspiUpdateStatResponse(there, 0))

    back = session.scroll(-20)
    assert back.stat == replace(there, delta=-20)
    there = replace(there, current_rec=0x1051, num_pos=80)
    assert session.take_moved(back, nspi.NspiUpdateStatResponse(there, -20)) == -20
    assert session.stat == there
    assert not session.at_end

    on = session.scroll(1000)
    end = replace(there, current_rec=constants.END_OF_TABLE, num_pos=200)
    assert session.take_moved(on, nspi.NspiUpdateStatResponse(end, 120)) == 120
    assert session.at_end


HERE = nspi.Stat(current_rec=0x1001, num_pos=0, total_recs=200)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiUpdateStatResponse(HERE, 0, constants.INVALID_BOOKMARK), MapiError),
        (nspi.NspiUpdateStatResponse(HERE, None), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, delta=1), 0), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, num_pos=201), 0), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, current_rec=constants.CURRENT), 0), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, container_id=16), 0), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, sort_type=3), 0), WrongAnswer),
        (nspi.NspiUpdateStatResponse(replace(HERE, code_page=20261), 0), WrongAnswer),
    ],
)
def test_moves_that_go_wrong(session: NspiSession, response, error):
    before = session.stat
    with pytest.raises(error):
        session.take_moved(session.go_to(0), response)
    assert session.stat == before


def test_seek(session: NspiSession):
    request = session.seek("Bro")
    assert request.prop_tags is None
    there = nspi.Stat(current_rec=0x1002, num_pos=310, total_recs=4200)
    assert session.take_sought(request, nspi.NspiSeekEntriesResponse(there)) == ()
    assert session.stat == there
    request = session.seek("Bro", COLUMNS)
    assert session.take_sought(request, nspi.NspiSeekEntriesResponse(there, (row("Brown"),))) == (
        row("Brown"),
    )
    with pytest.raises(WrongAnswer):
        session.take_sought(request, nspi.NspiSeekEntriesResponse(there, (row("Brown")[:1],)))
    with pytest.raises(MapiError):
        session.take_sought(request, nspi.NspiSeekEntriesResponse(there, return_value=constants.NOT_FOUND))


def test_pages_of_a_real_server(session: NspiSession, vector):
    session.stat = nspi.Stat(current_rec=17, total_recs=200)
    columns = nspi.NspiQueryRowsRequest.decode(vector("nspi/impacket_query_rows_request.hex")).prop_tags
    request = session.query_rows(50, columns)
    rows = session.take_rows(
        request, nspi.NspiQueryRowsResponse.decode(vector("nspi/gromox_query_rows_response.hex"))
    )
    assert [value_of(row, PidTagSmtpAddress) for row in rows] == [
        f"u{i:03d}@example.test" for i in range(1, 51)
    ]
    assert session.stat == nspi.Stat(current_rec=67, num_pos=50, total_recs=200)


def test_the_last_page(session: NspiSession):
    session.stat = replace(HERE, num_pos=198)
    end = replace(HERE, current_rec=constants.END_OF_TABLE, num_pos=200)
    rows = (row("Yves"), row("Zoe"))
    assert session.take_rows(session.query_rows(50, COLUMNS), nspi.NspiQueryRowsResponse(end, rows)) == rows
    assert session.at_end
    assert session.take_rows(session.query_rows(50, COLUMNS), nspi.NspiQueryRowsResponse(end, None)) == ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (nspi.NspiQueryRowsResponse(HERE, None, constants.INVALID_BOOKMARK), MapiError),
        (nspi.NspiQueryRowsResponse(replace(HERE, current_rec=0x1004), 3 * (row("A"),)), WrongAnswer),
        (nspi.NspiQueryRowsResponse(replace(HERE, current_rec=0x1002), ()), WrongAnswer),
        (nspi.NspiQueryRowsResponse(HERE, (row("A"),)), WrongAnswer),
        (nspi.NspiQueryRowsResponse(replace(HERE, current_rec=0x1002), (row("A")[:1],)), WrongAnswer),
        (
            nspi.NspiQueryRowsResponse(replace(HERE, current_rec=0x1002, sort_locale=0), (row("A"),)),
            WrongAnswer,
        ),
    ],
)
def test_pages_that_go_wrong(session: NspiSession, response, error):
    session.stat = HERE
    with pytest.raises(error):
        session.take_rows(session.query_rows(2, COLUMNS), response)


def test_rows_of_a_server_that_chose_the_columns(session: NspiSession):
    request = replace(session.query_rows(2, COLUMNS), prop_tags=None)
    there = replace(HERE, current_rec=0x1002)
    assert session.take_rows(request, nspi.NspiQueryRowsResponse(there, (row("A"),))) == (row("A"),)
