"""The address book interface of the mock: what it answers, and what it refuses and how."""

from typing import Any

import pytest

from loadgen.errors import RpcFault, WireError
from loadgen.wire import nspi
from loadgen.wire.nspi import constants, tags
from loadgen.wire.properties import (
    PidTagAccount,
    PidTagAddressType,
    PidTagDisplayName,
    PidTagDisplayType,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagInstanceKey,
    PidTagObjectType,
    PidTagSmtpAddress,
    PropertyValue,
)
from loadgen.wire.restrictions import EQUAL, GREATER
from mock_server.directory import Directory, Organisation
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.nspi import nspi_interface

USERS = 120
DIRECTORY = Directory(Organisation(servers=("MBX1", "MBX2")), USERS)
INTERFACE = nspi_interface(DIRECTORY)
FIRST = DIRECTORY.users[0]
NAME = PidTagDisplayName
NAME_8 = NAME - 1
ALL_USERS, ALL_GROUPS = 0x21, 0x22
STALE = bytes(4) + bytes(range(16))


class Client:
    """Calls the methods of the interface as one association does."""

    def __init__(self) -> None:
        self.context = CallContext("", AssociationGroup(1), "GC1")
        self.handle = self(nspi.NspiBindRequest(nspi.Stat())).handle

    def __call__(self, request: Any) -> Any:
        return request.decode_response(INTERFACE.methods[request.opnum](self.context, request.encode()))

    def move(self, **stat: int) -> Any:
        return self(nspi.NspiUpdateStatRequest(self.handle, nspi.Stat(**stat), delta=0))

    def rows(self, stat: nspi.Stat, count: int, columns: tuple[int, ...] = (NAME,), **more: Any) -> Any:
        return self(nspi.NspiQueryRowsRequest(self.handle, stat, count, columns, **more))

    def resolve(self, *names: str | None, columns: tuple[int, ...] | None = (NAME,), **stat: int) -> Any:
        return self(nspi.NspiResolveNamesWRequest(self.handle, nspi.Stat(**stat), names, columns))

    def match(self, restriction: Any, requested: int = 50, **stat: int) -> Any:
        columns = (PidTagEntryId, NAME)
        return self(
            nspi.NspiGetMatchesRequest(self.handle, nspi.Stat(**stat), restriction, requested, columns)
        )


@pytest.fixture
def client() -> Client:
    return Client()


def values(row: nspi.Row) -> list[Any]:
    return [value.value for value in row]


def anr(text: str, tag: int = tags.PidTagAnr) -> nspi.PropertyRestriction:
    return nspi.PropertyRestriction(EQUAL, tag, PropertyValue(tag, text))


def test_methods_are_all_but_those_of_no_use():
    assert INTERFACE.interface == nspi.INTERFACE
    assert sorted(INTERFACE.methods) == [*range(15), 16, 19, 20]


def test_bind_and_unbind(client: Client):
    other = client(nspi.NspiBindRequest(nspi.Stat()))
    assert other.server_guid == DIRECTORY.server_guid
    assert other.handle != client.handle
    assert client(nspi.NspiUnbindRequest(other.handle)) == nspi.NspiUnbindResponse()
    with pytest.raises(RpcFault, match="1C00001A"):
        client(nspi.NspiUnbindRequest(other.handle))
    assert list(client.context.association.handles) == [client.handle]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (nspi.NspiBindRequest(nspi.Stat(code_page=constants.CP_WINUNICODE)), constants.INVALID_CODEPAGE),
        (nspi.NspiBindRequest(nspi.Stat(code_page=4711)), constants.INVALID_CODEPAGE),
        (nspi.NspiBindRequest(nspi.Stat(), constants.ANONYMOUS_LOGIN), constants.LOGON_FAILED),
    ],
)
def test_a_refused_bind_has_no_handle(client: Client, request_, code: int):
    assert client(request_) == nspi.NspiBindResponse(None, nspi.NO_HANDLE, code)
    assert list(client.context.association.handles) == [client.handle]


@pytest.mark.parametrize(
    "request_",
    [
        nspi.NspiUnbindRequest(STALE),
        nspi.NspiUpdateStatRequest(STALE, nspi.Stat()),
        nspi.NspiQueryRowsRequest(STALE, nspi.Stat(), 1),
        nspi.NspiSeekEntriesRequest(STALE, nspi.Stat(), PropertyValue(NAME, "B")),
        nspi.NspiGetMatchesRequest(STALE, nspi.Stat(), None, 1),
        nspi.NspiResortRestrictionRequest(STALE, nspi.Stat(), ()),
        nspi.NspiDNToMIdRequest(STALE, ()),
        nspi.NspiGetPropListRequest(STALE, FIRST.mid),
        nspi.NspiGetPropsRequest(STALE, nspi.Stat()),
        nspi.NspiCompareMIdsRequest(STALE, nspi.Stat(), 1, 2),
        nspi.NspiModPropsRequest(STALE, nspi.Stat(), ()),
        nspi.NspiGetSpecialTableRequest(STALE, nspi.Stat()),
        nspi.NspiGetTemplateInfoRequest(STALE, constants.DT_MAILUSER),
        nspi.NspiModLinkAttRequest(STALE, 0x8009000D, FIRST.mid, ()),
        nspi.NspiQueryColumnsRequest(STALE),
        nspi.NspiResolveNamesRequest(STALE, nspi.Stat(), ()),
        nspi.NspiResolveNamesWRequest(STALE, nspi.Stat(), ()),
    ],
)
def test_a_stale_handle_and_a_bad_stub(client: Client, request_):
    with pytest.raises(RpcFault) as caught:
        client(request_)
    assert caught.value.status == 0x1C00001A
    client.context.association.handles[STALE] = "another interface's"
    with pytest.raises(RpcFault):
        client(request_)
    with pytest.raises(WireError):
        INTERFACE.methods[request_.opnum](client.context, request_.encode()[:-1])


@pytest.mark.parametrize(
    ("stat", "current_rec", "num_pos", "moved"),
    [
        ({}, FIRST.mid, 0, 0),
        ({"delta": 7}, FIRST.mid + 7, 7, 7),
        ({"delta": -7}, FIRST.mid, 0, 0),
        ({"delta": USERS}, constants.END_OF_TABLE, USERS, USERS),
        ({"delta": 1000}, constants.END_OF_TABLE, USERS, USERS),
        ({"current_rec": constants.END_OF_TABLE}, constants.END_OF_TABLE, USERS, 0),
        ({"current_rec": constants.END_OF_TABLE, "delta": -1}, FIRST.mid + USERS - 1, USERS - 1, -1),
        ({"current_rec": FIRST.mid + 9, "delta": -20}, FIRST.mid, 0, -9),
        ({"current_rec": constants.CURRENT, "num_pos": 500, "total_recs": 1000}, FIRST.mid + 60, 60, 0),
        ({"current_rec": constants.CURRENT, "num_pos": 1, "total_recs": 1}, constants.END_OF_TABLE, USERS, 0),
        ({"container_id": ALL_USERS}, FIRST.mid, 0, 0),
    ],
)
def test_update_stat(client: Client, stat: dict[str, int], current_rec: int, num_pos: int, moved: int):
    response = client.move(**stat)
    assert response.return_value == 0
    assert response.stat == nspi.Stat(
        container_id=stat.get("container_id", 0), current_rec=current_rec, num_pos=num_pos, total_recs=USERS
    )
    assert response.delta == moved


def test_update_stat_of_an_empty_list(client: Client):
    assert client.move(container_id=ALL_GROUPS).stat == nspi.Stat(
        container_id=ALL_GROUPS, current_rec=constants.END_OF_TABLE
    )


REFUSED_POSITIONS = [
    ({"container_id": 16}, constants.INVALID_BOOKMARK),
    ({"code_page": constants.CP_WINUNICODE}, constants.INVALID_CODEPAGE),
    ({"current_rec": 0x1000 + USERS}, constants.NOT_FOUND),
    ({"current_rec": FIRST.mid, "container_id": ALL_GROUPS}, constants.NOT_FOUND),
    ({"sort_type": constants.SORT_PHONETIC_DISPLAY_NAME}, constants.GENERAL_FAILURE),
]


@pytest.mark.parametrize(("stat", "code"), REFUSED_POSITIONS)
def test_refused_positions_change_nothing(client: Client, stat: dict[str, int], code: int):
    here = nspi.Stat(**stat)
    assert client.move(**stat) == nspi.NspiUpdateStatResponse(here, 0, code)
    assert client.rows(here, 50) == nspi.NspiQueryRowsResponse(here, None, code)


def test_paging_through_the_whole_list(client: Client):
    stat, names = nspi.Stat(), []
    while stat.current_rec != constants.END_OF_TABLE:
        page = client.rows(stat, 50)
        names += [value for row in page.rows for value in values(row)]
        stat = page.stat
    assert names == [user.display_name for user in DIRECTORY.users]
    assert stat == nspi.Stat(current_rec=constants.END_OF_TABLE, num_pos=USERS, total_recs=USERS)
    assert client.rows(stat, 50) == nspi.NspiQueryRowsResponse(stat, ())


def test_rows_begin_where_the_delta_leads(client: Client):
    page = client.rows(nspi.Stat(current_rec=FIRST.mid + 10, delta=-3), 2)
    assert [values(row) for row in page.rows] == [["User 00007"], ["User 00008"]]
    assert page.stat == nspi.Stat(current_rec=FIRST.mid + 9, num_pos=9, total_recs=USERS)
    assert client.rows(nspi.Stat(), 0).return_value == constants.INVALID_PARAMETER


def test_explicit_tables(client: Client):
    stat = nspi.Stat(container_id=16, current_rec=FIRST.mid, num_pos=5, total_recs=9)
    mids = (FIRST.mid + 1, 0x100000, FIRST.mid)
    page = client.rows(stat, 50, (NAME, PidTagSmtpAddress), explicit_table=mids)
    assert page.stat == stat
    assert page.rows == (
        (PropertyValue(NAME, "User 00001"), PropertyValue(PidTagSmtpAddress, "user00001@contoso.test")),
        (PropertyValue(0x3001000A, constants.NOT_FOUND), PropertyValue(0x39FE000A, constants.NOT_FOUND)),
        (PropertyValue(NAME, "User 00000"), PropertyValue(PidTagSmtpAddress, "user00000@contoso.test")),
    )
    assert client.rows(stat, 2, explicit_table=mids).rows == tuple(row[:1] for row in page.rows[:2])


def test_default_columns(client: Client):
    row = client(nspi.NspiQueryRowsRequest(client.handle, nspi.Stat(), 1)).rows[0]
    assert [value.tag for value in row] == [
        0xFFFD0003, 0x0FFE0003, 0x39000003, 0x3001001E, 0x3A1A000A, 0x3A18000A, 0x3A19000A
    ]  # fmt: skip
    assert values(row)[:4] == [FIRST.mid, constants.OBJECT_TYPE_MAILUSER, constants.DT_MAILUSER, "User 00000"]


def test_seek(client: Client):
    def seek(target: PropertyValue, **more: Any) -> Any:
        return client(nspi.NspiSeekEntriesRequest(client.handle, nspi.Stat(), target, **more))

    there = nspi.Stat(current_rec=FIRST.mid + 50, num_pos=50, total_recs=USERS)
    assert seek(PropertyValue(NAME, "uSER 0005")) == nspi.NspiSeekEntriesResponse(there)
    response = seek(PropertyValue(NAME_8, "User 00049a"), prop_tags=(NAME, PidTagEntryId))
    ephemeral = nspi.EphemeralEntryId(DIRECTORY.server_guid, constants.DT_MAILUSER, FIRST.mid + 50)
    assert response.stat == there
    assert [values(row) for row in response.rows] == [["User 00050", ephemeral.encode()]]

    table = (FIRST.mid + 3, 0x100000, FIRST.mid + 1, FIRST.mid + 2)
    response = seek(PropertyValue(NAME, "User 00002"), explicit_table=table, prop_tags=(NAME,))
    assert response.stat == nspi.Stat(current_rec=FIRST.mid + 2, num_pos=1, total_recs=3)
    assert [values(row) for row in response.rows] == [["User 00002"], ["User 00003"]]

    for wrong, code in (
        (seek(PropertyValue(NAME, "V")), constants.NOT_FOUND),
        (seek(PropertyValue(PidTagAccount, "a")), constants.GENERAL_FAILURE),
        (seek(PropertyValue(NAME, "U"), reserved=1), constants.INVALID_PARAMETER),
    ):
        assert wrong == nspi.NspiSeekEntriesResponse(nspi.Stat(), None, code)


def test_get_matches(client: Client):
    response = client.match(anr("User 0001"))
    assert [values(row)[1] for row in response.rows] == [f"User {index:05d}" for index in range(10, 20)]
    assert response.mids == tuple(FIRST.mid + index for index in range(10, 20))
    entry_id = nspi.EphemeralEntryId.decode(values(response.rows[0])[0])
    assert entry_id == nspi.EphemeralEntryId(DIRECTORY.server_guid, constants.DT_MAILUSER, FIRST.mid + 10)
    assert response.stat == nspi.Stat()
    assert client.match(anr("nobody")) == nspi.NspiGetMatchesResponse(nspi.Stat(), (), ())
    assert client.match(anr("user00007", tags.PidTagAnr - 1)).mids == (FIRST.mid + 7,)
    assert len(client.match(anr("User 0001"), requested=10).mids) == 10


def test_get_matches_without_filter_follows_links(client: Client):
    members = {"container_id": 0x8009000D, "current_rec": FIRST.mid, "sort_type": 1000}
    response = client.match(None, **members)
    assert response == nspi.NspiGetMatchesResponse(
        nspi.Stat(container_id=FIRST.mid, current_rec=FIRST.mid, sort_type=1000), (), ()
    )


@pytest.mark.parametrize(
    ("restriction", "more", "code"),
    [
        (anr("user"), {}, constants.TABLE_TOO_BIG),
        (anr("user"), {"requested": 0}, constants.TABLE_TOO_BIG),
        (anr("user"), {"container_id": 16}, constants.INVALID_BOOKMARK),
        (anr("user"), {"code_page": 1200}, constants.INVALID_CODEPAGE),
        (nspi.ComparePropsRestriction(EQUAL, NAME, PidTagAccount), {}, constants.TOO_COMPLEX),
        (
            nspi.PropertyRestriction(GREATER, tags.PidTagAnr, PropertyValue(tags.PidTagAnr, "u")),
            {},
            constants.TOO_COMPLEX,
        ),
        (
            nspi.PropertyRestriction(EQUAL, tags.PidTagAnr, PropertyValue(PidTagObjectType, 6)),
            {},
            constants.TOO_COMPLEX,
        ),
        (None, {"container_id": 0x8009000D, "current_rec": FIRST.mid}, constants.GENERAL_FAILURE),
        (None, {"container_id": 0, "current_rec": FIRST.mid, "sort_type": 1001}, constants.NOT_SUPPORTED),
        (None, {"container_id": 0x8009000D, "current_rec": 9, "sort_type": 1000}, constants.NOT_FOUND),
    ],
)
def test_refused_matches_have_no_rows(client: Client, restriction, more: dict[str, int], code: int):
    response = client.match(restriction, **more)
    stat = nspi.Stat(**{key: value for key, value in more.items() if key != "requested"})
    assert response == nspi.NspiGetMatchesResponse(stat, None, None, code)


def test_reserved_parameters_must_be_zero(client: Client):
    handle, stat = client.handle, nspi.Stat()
    name = nspi.PropertyName(None, 1)
    requests = (
        nspi.NspiUpdateStatRequest(handle, stat, reserved=1),
        nspi.NspiDNToMIdRequest(handle, (), 1),
        nspi.NspiResortRestrictionRequest(handle, stat, (), reserved=1),
        nspi.NspiCompareMIdsRequest(handle, stat, FIRST.mid, FIRST.mid, reserved=1),
        nspi.NspiModPropsRequest(handle, nspi.Stat(current_rec=FIRST.mid), (), reserved=1),
        nspi.NspiQueryColumnsRequest(handle, reserved=1),
        nspi.NspiGetMatchesRequest(handle, stat, anr("a"), 1, reserved1=1),
        nspi.NspiGetMatchesRequest(handle, stat, anr("a"), 1, reserved2=1),
        nspi.NspiGetMatchesRequest(handle, stat, anr("a"), 1, reserved=(1,)),
        nspi.NspiGetMatchesRequest(handle, stat, anr("a"), 1, prop_name=name),
    )
    assert {client(request).return_value for request in requests} == {constants.INVALID_PARAMETER}
    # Outlook 2010 and later send 0x80000000 there.
    outlook_2010 = nspi.NspiResolveNamesWRequest(handle, stat, ("x",), (NAME,), 0x80000000)
    assert client(outlook_2010).return_value == constants.SUCCESS


@pytest.mark.parametrize(
    ("current_rec", "answered", "num_pos"),
    [
        (FIRST.mid + 5, FIRST.mid + 5, 1),
        (FIRST.mid + 7, constants.BEGINNING_OF_TABLE, 0),
        (constants.END_OF_TABLE, constants.BEGINNING_OF_TABLE, 0),
    ],
)
def test_resort_restriction(client: Client, current_rec: int, answered: int, num_pos: int):
    mids = (FIRST.mid + 9, 0x100000, FIRST.mid + 1, 0, FIRST.mid + 5)
    request = nspi.NspiResortRestrictionRequest(
        client.handle, nspi.Stat(container_id=16, current_rec=current_rec), mids
    )
    stat = nspi.Stat(container_id=16, current_rec=answered, num_pos=num_pos, total_recs=3)
    in_order = (FIRST.mid + 1, FIRST.mid + 5, FIRST.mid + 9)
    assert client(request) == nspi.NspiResortRestrictionResponse(stat, in_order)


@pytest.mark.parametrize(
    ("stat", "code"),
    [
        (nspi.Stat(code_page=constants.CP_WINUNICODE), constants.INVALID_CODEPAGE),
        (nspi.Stat(sort_type=constants.SORT_PHONETIC_DISPLAY_NAME), constants.GENERAL_FAILURE),
    ],
)
def test_what_is_not_sorted_stays_as_it_is(client: Client, stat: nspi.Stat, code: int):
    request = nspi.NspiResortRestrictionRequest(client.handle, stat, (FIRST.mid,))
    assert client(request) == nspi.NspiResortRestrictionResponse(stat, None, code)


@pytest.mark.parametrize(
    ("first", "second", "container", "result", "code"),
    [
        (3, 4, 0, -1, constants.SUCCESS),
        (4, 4, ALL_USERS, 0, constants.SUCCESS),
        (5, 4, 0, 1, constants.SUCCESS),
        (3, USERS, 0, 0, constants.NOT_FOUND),
        (3, 4, ALL_GROUPS, 0, constants.NOT_FOUND),
        (3, 4, 16, 0, constants.INVALID_BOOKMARK),
    ],
)
def test_compare_mids(client: Client, first: int, second: int, container: int, result: int, code: int):
    stat = nspi.Stat(container_id=container)
    request = nspi.NspiCompareMIdsRequest(client.handle, stat, FIRST.mid + first, FIRST.mid + second)
    assert client(request) == nspi.NspiCompareMIdsResponse(result, code)


def test_properties_that_an_object_has(client: Client):
    def prop_list(mid: int, code_page: int = 1252) -> nspi.NspiGetPropListResponse:
        request = nspi.NspiGetPropListRequest(client.handle, mid, constants.SKIP_OBJECTS, code_page)
        response: nspi.NspiGetPropListResponse = client(request)
        return response

    prop_tags = prop_list(FIRST.mid).prop_tags
    assert prop_tags is not None
    assert prop_tags == tuple(value.tag for value in props(client, FIRST.mid).row)
    assert props(client, FIRST.mid, *prop_tags).return_value == constants.SUCCESS
    assert prop_list(0x100000) == nspi.NspiGetPropListResponse(None, constants.NOT_FOUND)
    assert prop_list(FIRST.mid, 1200) == nspi.NspiGetPropListResponse(None, constants.INVALID_CODEPAGE)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, constants.SUCCESS),
        ({"flags": 0x61}, constants.SUCCESS),
        ({"flags": constants.TI_SCRIPT}, constants.NOT_FOUND),
        ({"display_type": constants.DT_DISTLIST}, constants.NOT_FOUND),
        ({"dn": "/cn=template"}, constants.NOT_FOUND),
        ({"code_page": constants.CP_WINUNICODE}, constants.INVALID_CODEPAGE),
        ({"code_page": 4711}, constants.INVALID_CODEPAGE),
    ],
)
def test_templates(client: Client, arguments: dict[str, Any], code: int):
    arguments = {"handle": client.handle, "display_type": constants.DT_MAILUSER} | arguments
    response = client(nspi.NspiGetTemplateInfoRequest(**arguments))
    assert response.return_value == code
    template = PropertyValue(tags.PidTagTemplateData, b"\1\0\0\0\0\0\0\0")
    assert response.row == (None if code else (template,))


@pytest.mark.parametrize(
    ("stat", "code"),
    [
        ({"current_rec": FIRST.mid}, constants.ACCESS_DENIED),
        ({"current_rec": 0x100000}, constants.INVALID_PARAMETER),
        ({"current_rec": FIRST.mid, "code_page": constants.CP_WINUNICODE}, constants.INVALID_CODEPAGE),
    ],
)
def test_nobody_is_changed(client: Client, stat: dict[str, int], code: int):
    before = props(client, FIRST.mid)
    row = (PropertyValue(NAME, "Mallory"),)
    request = nspi.NspiModPropsRequest(client.handle, nspi.Stat(**stat), row, (PidTagSmtpAddress,))
    assert client(request) == nspi.NspiModPropsResponse(code)
    assert props(client, FIRST.mid) == before


@pytest.mark.parametrize(
    ("tag", "mid", "code"),
    [
        (0x8015000D, FIRST.mid, constants.ACCESS_DENIED),
        (0x8009000D, 0x100000, constants.INVALID_PARAMETER),
        (NAME, FIRST.mid, constants.NOT_FOUND),
    ],
)
def test_nobody_is_linked(client: Client, tag: int, mid: int, code: int):
    entry_id = nspi.EphemeralEntryId(DIRECTORY.server_guid, constants.DT_MAILUSER, FIRST.mid + 1).encode()
    for flags in (0, constants.DELETE_LINKS):
        request = nspi.NspiModLinkAttRequest(client.handle, tag, mid, (entry_id,), flags)
        assert client(request) == nspi.NspiModLinkAttResponse(code)


def test_dn_to_mid(client: Client):
    server = DIRECTORY.servers[0]
    names = (FIRST.dn, FIRST.dn.upper(), "/o=nobody", None, server.dn, FIRST.dn + "x")
    response = client(nspi.NspiDNToMIdRequest(client.handle, names))
    assert response.mids == (FIRST.mid, FIRST.mid, 0, 0, server.mid, 0)


def props(client: Client, mid: int, *columns: int, code_page: int = 1252, flags: int = 0) -> Any:
    stat = nspi.Stat(current_rec=mid, code_page=code_page)
    return client(nspi.NspiGetPropsRequest(client.handle, stat, columns or None, flags))


def test_start_up_of_outlook_finds_the_home_server(client: Client):
    response = props(
        client,
        FIRST.mid + 1,
        NAME,
        PidTagEmailAddress,
        PidTagDisplayType,
        tags.PidTagAddressBookHomeMessageDatabase - 1,
        tags.PidTagAddressBookProxyAddresses - 1,
    )
    assert response.return_value == constants.SUCCESS
    name, dn, display_type, home_mdb, addresses = values(response.row)
    assert (name, dn, display_type) == ("User 00001", DIRECTORY.users[1].dn, 0)
    assert addresses == ("SMTP:user00001@contoso.test",)
    server_dn, _, last = home_mdb.rpartition("/")
    assert last == "cn=Microsoft Private MDB"
    mids = client(nspi.NspiDNToMIdRequest(client.handle, (server_dn,))).mids
    response = props(client, mids[0], tags.PidTagAddressBookNetworkAddress)
    assert values(response.row) == [
        ("ncacn_ip_tcp:mbx2.contoso.test", "ncacn_http:mbx2.contoso.test", "netbios:MBX2")
    ]


def test_values_that_are_missing_or_of_another_type(client: Client):
    response = props(client, FIRST.mid, NAME, 0x3A08001F, 0x30010003, 0x30010000)
    assert response == nspi.NspiGetPropsResponse(
        (
            PropertyValue(NAME, "User 00000"),
            PropertyValue(0x3A08000A, constants.NOT_FOUND),
            PropertyValue(0x3001000A, constants.NOT_FOUND),
            PropertyValue(NAME, "User 00000"),
        ),
        constants.ERRORS_RETURNED,
    )
    response = props(client, 0x100000, NAME)
    assert response.row == (PropertyValue(0x3001000A, constants.NOT_FOUND),)
    assert response.return_value == constants.ERRORS_RETURNED


def test_entry_ids(client: Client):
    columns = (PidTagEntryId, PidTagInstanceKey, PidTagAddressType)
    permanent = nspi.PermanentEntryId(constants.DT_MAILUSER, FIRST.dn).encode()
    ephemeral = nspi.EphemeralEntryId(DIRECTORY.server_guid, constants.DT_MAILUSER, FIRST.mid).encode()
    key = FIRST.mid.to_bytes(4, "little")
    assert values(props(client, FIRST.mid, *columns).row) == [permanent, key, "EX"]
    with_flag = props(client, FIRST.mid, *columns, flags=constants.EPHEMERAL_IDS)
    assert values(with_flag.row) == [ephemeral, key, "EX"]


def test_all_properties_of_an_object(client: Client):
    for mid in (FIRST.mid, DIRECTORY.servers[0].mid, ALL_USERS):
        eight_bit, unicode = props(client, mid), props(client, mid, code_page=constants.CP_WINUNICODE)
        assert eight_bit.return_value == unicode.return_value == constants.SUCCESS
        assert PropertyValue(NAME_8, values(props(client, mid, NAME).row)[0]) in eight_bit.row
        assert values(eight_bit.row) == values(unicode.row)
        assert not any(value.tag & 0xEFFF == 0x1E for value in unicode.row)
    assert props(client, 0x100000) == nspi.NspiGetPropsResponse(())


@pytest.mark.parametrize(("code_page", "tag"), [(constants.CP_WINUNICODE, NAME_8), (4711, NAME)])
def test_code_pages_of_properties(client: Client, code_page: int, tag: int):
    refused = props(client, FIRST.mid, tag, code_page=code_page)
    assert refused == nspi.NspiGetPropsResponse(None, constants.INVALID_CODEPAGE)
    assert props(client, FIRST.mid, NAME, code_page=constants.CP_WINUNICODE).return_value == constants.SUCCESS


def test_eight_bit_strings_are_in_the_code_page():
    interface = nspi_interface(Directory(Organisation(display_name="Ж{index}"), 1))
    client = Client()

    def call(request: Any) -> Any:
        return request.decode_response(interface.methods[request.opnum](client.context, request.encode()))

    for code_page, raw in ((1251, b"\xc60"), (1252, b"?0"), (65001, "Ж0".encode())):
        request = nspi.NspiQueryRowsRequest(client.handle, nspi.Stat(code_page=code_page), 1, (NAME_8,))
        assert values(call(request).rows[0]) == [raw.decode("latin-1")]
        names = ("\xc60", "Ж0".encode().decode("latin-1"))
        request = nspi.NspiResolveNamesRequest(client.handle, nspi.Stat(code_page=code_page), names, (NAME,))
        assert call(request).mids == {1251: (2, 0), 1252: (0, 0), 65001: (0, 2)}[code_page]


def special_table(client: Client, **more: int) -> Any:
    stat = nspi.Stat(code_page=more.pop("code_page", 1252))
    return client(nspi.NspiGetSpecialTableRequest(client.handle, stat, **more))


def test_hierarchy(client: Client):
    response = special_table(client, version=1)
    names = ["Global Address List", "All Address Lists", "All Users", "All Groups"]
    hierarchy_tags = (PidTagEntryId, 0x36000003, 0x30050003, 0xFFFD0003, NAME, 0xFFFB000B, 0xFFFC0102)
    assert [values(row)[4] for row in response.rows] == names
    assert [values(row)[3] for row in response.rows] == [0, 0x20, ALL_USERS, ALL_GROUPS]
    assert [len(row) for row in response.rows] == [6, 6, 7, 7]
    assert all(tuple(value.tag for value in row) == hierarchy_tags[: len(row)] for row in response.rows)
    lists, users = response.rows[1:3]
    assert values(users)[6] == values(lists)[0]
    assert nspi.PermanentEntryId.decode(values(response.rows[0])[0]) == nspi.PermanentEntryId(0x100, "/")

    eight_bit = special_table(client, flags=0)
    assert [row[4] for row in eight_bit.rows] == [PropertyValue(NAME_8, name) for name in names]
    templates = special_table(client, flags=constants.ADDRESS_CREATION_TEMPLATES)
    assert (templates.rows, templates.return_value) == ((), constants.SUCCESS)
    refused = special_table(client, flags=0, code_page=constants.CP_WINUNICODE)
    assert refused == nspi.NspiGetSpecialTableResponse(0, None, constants.INVALID_CODEPAGE)
    assert special_table(client, code_page=constants.CP_WINUNICODE).rows == response.rows


def test_columns(client: Client):
    unicode = client(nspi.NspiQueryColumnsRequest(client.handle)).columns
    eight_bit = client(nspi.NspiQueryColumnsRequest(client.handle, 0)).columns
    assert NAME in unicode
    assert NAME_8 in eight_bit
    assert {tag >> 16 for tag in unicode} == {tag >> 16 for tag in eight_bit}
    row = props(client, FIRST.mid, code_page=constants.CP_WINUNICODE).row
    assert {value.tag for value in row} < set(unicode)


def test_resolve_names(client: Client):
    names = ("User 00007", "user", None, "nobody", "", "user00009@contoso.test", FIRST.dn)
    response = client.resolve(*names)
    assert response.mids == (2, 1, 0, 0, 0, 2, 2)
    assert [values(row)[0] for row in response.rows] == ["User 00007", "User 00009", "User 00000"]
    assert client.resolve("User 00007", columns=None).rows[0][3] == PropertyValue(NAME_8, "User 00007")
    assert client.resolve("User 00007", container_id=ALL_GROUPS).mids == (0,)
    entry_id = values(client.resolve("User 00000", columns=(PidTagEntryId,)).rows[0])[0]
    assert entry_id == nspi.PermanentEntryId(constants.DT_MAILUSER, FIRST.dn).encode()
    refused = nspi.NspiResolveNamesResponse(None, None, constants.INVALID_BOOKMARK)
    assert client.resolve("User 00007", container_id=16) == refused
    assert client.resolve("x", code_page=1200).return_value == constants.INVALID_CODEPAGE


def test_impackets_special_table_has_four_bytes_too_many(client: Client, vector):
    stub = client.handle + vector("nspi/impacket_get_special_table_request.hex")[20:]
    response = INTERFACE.methods[12](client.context, stub)
    assert nspi.NspiGetSpecialTableResponse.decode(response) == special_table(client)
