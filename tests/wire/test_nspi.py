"""Every NSPI method against stubs that others wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import nspi
from loadgen.wire.nspi import constants, tags
from loadgen.wire.nspi.restriction import PropertyRestriction
from loadgen.wire.properties import PropertyValue
from loadgen.wire.restrictions import EQUAL

HANDLE = bytes.fromhex("0000000003eeffc0341278569abcdef012345678")
GUID = bytes.fromhex("33221100554477668899aabbccddeeff")
DN = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn="
RESOLVE_TAGS = (
    0x0FFF0102,
    0x39000003,
    0x3001001F,
    0x3003001F,
    0x3002001F,
    0x39FE001F,
    0x0FFE0003,
    0x3A00001F,
)


def row(*values: tuple[int, Any]) -> nspi.Row:
    return tuple(PropertyValue(tag, value) for tag, value in values)


def user_002(entry_id: bytes) -> nspi.Row:
    return row(
        (0x0FFF0102, entry_id),
        (0x39000003, 0),
        (0x3001001F, "User 002"),
        (0x3003001F, DN + "user002"),
        (0x3002001F, "EX"),
        (0x39FE001F, "user002@contoso.test"),
        (0x0FFE0003, 6),
        (0x3A00001F, "user002"),
    )


PERMANENT_001 = nspi.PermanentEntryId(constants.DT_MAILUSER, DN + "user001").encode()
PERMANENT_002 = nspi.PermanentEntryId(constants.DT_MAILUSER, DN + "user002").encode()
EPHEMERAL_002 = nspi.EphemeralEntryId(GUID, constants.DT_MAILUSER, 0x1002).encode()
GAL_ID = nspi.PermanentEntryId(constants.DT_CONTAINER, "/").encode()
ALL_USERS_ID = nspi.PermanentEntryId(
    constants.DT_CONTAINER, "/guid=11111111222233334444555555555555"
).encode()

MESSAGES: dict[str, Any] = {
    "bind_request": nspi.NspiBindRequest(nspi.Stat(), server_guid=bytes(16)),
    "bind_response": nspi.NspiBindResponse(GUID, HANDLE),
    "unbind_request": nspi.NspiUnbindRequest(HANDLE),
    "unbind_response": nspi.NspiUnbindResponse(),
    "update_stat_request": nspi.NspiUpdateStatRequest(
        HANDLE, nspi.Stat(current_rec=constants.CURRENT, num_pos=500, total_recs=1000), delta=0
    ),
    "update_stat_response": nspi.NspiUpdateStatResponse(
        nspi.Stat(current_rec=0x1234, num_pos=2100, total_recs=4200), delta=0
    ),
    "query_rows_request": nspi.NspiQueryRowsRequest(
        HANDLE, nspi.Stat(), 1, (0x3001001F, 0x39FE001F, 0x0FFF0102), explicit_table=(0x1001,)
    ),
    "query_rows_response": nspi.NspiQueryRowsResponse(
        nspi.Stat(),
        (row((0x3001001F, "User 001"), (0x39FE001F, "user001@contoso.test"), (0x0FFF0102, PERMANENT_001)),),
    ),
    "seek_entries_request": nspi.NspiSeekEntriesRequest(
        HANDLE, nspi.Stat(), PropertyValue(0x3001001F, "Bro"), prop_tags=(0x3001001F,)
    ),
    "seek_entries_response": nspi.NspiSeekEntriesResponse(
        nspi.Stat(current_rec=0x1002, num_pos=310, total_recs=4200), (row((0x3001001F, "Brown, Bob")),)
    ),
    "get_matches_request": nspi.NspiGetMatchesRequest(
        HANDLE,
        nspi.Stat(),
        PropertyRestriction(EQUAL, 0x360C001F, PropertyValue(0x360C001F, "bob")),
        50,
        RESOLVE_TAGS,
    ),
    "get_matches_response": nspi.NspiGetMatchesResponse(nspi.Stat(), (0x1002,), (user_002(EPHEMERAL_002),)),
    "dn_to_mid_request": nspi.NspiDNToMIdRequest(HANDLE, (DN + "user001",)),
    "dn_to_mid_response": nspi.NspiDNToMIdResponse((0x1001,)),
    "get_props_request": nspi.NspiGetPropsRequest(
        HANDLE, nspi.Stat(current_rec=0x1001), (0x3001001F, 0x39FE001F, 0x800F101E, 0x3A08001F)
    ),
    "get_props_response": nspi.NspiGetPropsResponse(
        row(
            (0x3001001F, "Alice Adams"),
            (0x39FE001F, "alice.adams@contoso.test"),
            (0x800F101E, ("SMTP:alice.adams@contoso.test", "smtp:aadams@contoso.test")),
            (0x3A08000A, constants.NOT_FOUND),
        ),
        constants.ERRORS_RETURNED,
    ),
    "get_special_table_request": nspi.NspiGetSpecialTableRequest(HANDLE, nspi.Stat()),
    "get_special_table_response": nspi.NspiGetSpecialTableResponse(
        1,
        (
            row(
                (0x0FFF0102, GAL_ID),
                (tags.PidTagContainerFlags, 9),
                (tags.PidTagDepth, 0),
                (tags.PidTagAddressBookContainerId, 0),
                (0x3001001F, "Global Address List"),
                (tags.PidTagAddressBookIsMaster, False),
            ),
            row(
                (0x0FFF0102, ALL_USERS_ID),
                (tags.PidTagContainerFlags, 9),
                (tags.PidTagDepth, 1),
                (tags.PidTagAddressBookContainerId, 16),
                (0x3001001F, "All Users"),
                (tags.PidTagAddressBookIsMaster, False),
                (tags.PidTagAddressBookParentEntryId, GAL_ID),
            ),
        ),
    ),
    "query_columns_request": nspi.NspiQueryColumnsRequest(HANDLE),
    "query_columns_response": nspi.NspiQueryColumnsResponse((0x0FFF0102, 0x3001001F, 0x39FE001F, 0x800F101F)),
    "resort_restriction_request": nspi.NspiResortRestrictionRequest(HANDLE, nspi.Stat(), (0x1002, 0x1001)),
    "resort_restriction_response": nspi.NspiResortRestrictionResponse(
        nspi.Stat(total_recs=2), (0x1001, 0x1002)
    ),
    "get_prop_list_request": nspi.NspiGetPropListRequest(HANDLE, 0x1001),
    "get_prop_list_response": nspi.NspiGetPropListResponse((0x0FFF0102, 0x3001001E, 0x39FE001E, 0x800F101E)),
    "compare_mids_request": nspi.NspiCompareMIdsRequest(HANDLE, nspi.Stat(), 0x1001, 0x1002),
    "compare_mids_response": nspi.NspiCompareMIdsResponse(-1),
    "get_template_info_request": nspi.NspiGetTemplateInfoRequest(HANDLE, constants.DT_MAILUSER),
    "get_template_info_response": nspi.NspiGetTemplateInfoResponse(row((tags.PidTagTemplateData, bytes(16)))),
    "mod_link_att_request": nspi.NspiModLinkAttRequest(HANDLE, 0x8009000D, 0x2001, (EPHEMERAL_002,)),
    "mod_link_att_response": nspi.NspiModLinkAttResponse(),
    "resolve_names_request": nspi.NspiResolveNamesRequest(HANDLE, nspi.Stat(), ("bob",), RESOLVE_TAGS),
    "resolve_names_response": nspi.NspiResolveNamesResponse((2,), (user_002(PERMANENT_002),)),
    "resolve_names_w_request": nspi.NspiResolveNamesWRequest(
        HANDLE, nspi.Stat(), ("bob", "nobody"), RESOLVE_TAGS
    ),
    "resolve_names_w_response": nspi.NspiResolveNamesResponse((2, 0), (user_002(PERMANENT_002),)),
}
REQUESTS = {
    "bind": nspi.NspiBindRequest,
    "unbind": nspi.NspiUnbindRequest,
    "update_stat": nspi.NspiUpdateStatRequest,
    "query_rows": nspi.NspiQueryRowsRequest,
    "seek_entries": nspi.NspiSeekEntriesRequest,
    "get_matches": nspi.NspiGetMatchesRequest,
    "resort_restriction": nspi.NspiResortRestrictionRequest,
    "dn_to_mid": nspi.NspiDNToMIdRequest,
    "get_prop_list": nspi.NspiGetPropListRequest,
    "get_props": nspi.NspiGetPropsRequest,
    "compare_mids": nspi.NspiCompareMIdsRequest,
    "get_special_table": nspi.NspiGetSpecialTableRequest,
    "get_template_info": nspi.NspiGetTemplateInfoRequest,
    "mod_link_att": nspi.NspiModLinkAttRequest,
    "query_columns": nspi.NspiQueryColumnsRequest,
    "resolve_names": nspi.NspiResolveNamesRequest,
    "resolve_names_w": nspi.NspiResolveNamesWRequest,
}
IMPACKET_REQUESTS = ("bind", "update_stat", "query_rows", "resolve_names_w", "unbind")
GROMOX_RESPONSES = ("bind", "get_special_table", "update_stat", "query_rows", "resolve_names_w", "unbind")


@pytest.mark.parametrize("name", MESSAGES)
def test_stubs_of_the_reference_both_ways(name: str, vector):
    wire, message = vector(f"nspi/{name}.hex"), MESSAGES[name]
    assert type(message).decode(wire) == message
    assert message.encode() == wire


@pytest.mark.parametrize("name", MESSAGES)
def test_truncated_stubs_are_wire_errors(name: str, vector):
    wire = vector(f"nspi/{name}.hex")
    for size in range(len(wire)):
        with pytest.raises(WireError):
            type(MESSAGES[name]).decode(wire[:size])


@pytest.mark.parametrize("name", MESSAGES)
def test_nothing_may_follow_the_last_parameter(name: str, vector):
    with pytest.raises(WireError, match="left over"):
        type(MESSAGES[name]).decode(vector(f"nspi/{name}.hex") + bytes(4))


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_read_their_responses(name: str, vector):
    request = REQUESTS[name]
    response = request.decode_response(vector(f"nspi/{name}_response.hex"))
    assert response == MESSAGES[f"{name}_response"]
    assert type(response) is request.response
    assert request.interface == nspi.INTERFACE


def test_opnums_are_those_of_the_interface():
    opnums = [request.opnum for request in REQUESTS.values()]
    assert opnums == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 16, 19, 20]
    assert nspi.NspiModPropsRequest.opnum == 11


@pytest.mark.parametrize("name", IMPACKET_REQUESTS)
def test_requests_of_another_client(name: str, vector):
    wire, request = vector(f"nspi/impacket_{name}_request.hex"), REQUESTS[name]
    message = request.decode(wire)
    assert len(message.encode()) == len(wire)
    assert request.decode(message.encode()) == message


@pytest.mark.parametrize("name", GROMOX_RESPONSES)
def test_responses_of_a_real_server(name: str, vector):
    wire, request = vector(f"nspi/gromox_{name}_response.hex"), REQUESTS[name]
    message = request.decode_response(wire)
    assert len(message.encode()) == len(wire)
    assert request.decode_response(message.encode()) == message


def test_what_a_real_server_says(vector):
    rows = nspi.NspiQueryRowsResponse.decode(vector("nspi/gromox_query_rows_response.hex")).rows
    names = [next(value.value for value in row if value.tag == 0x3001001F) for row in rows]
    assert names == [f"Test User u{number:03d}" for number in range(1, 51)]
    table = nspi.NspiGetSpecialTableResponse.decode(vector("nspi/gromox_get_special_table_response.hex"))
    assert table.rows[0][4] == PropertyValue(0x3001001F, None)
    resolved = nspi.NspiResolveNamesResponse.decode(vector("nspi/gromox_resolve_names_w_response.hex"))
    assert resolved.mids == (constants.RESOLVED, constants.AMBIGUOUS)


@pytest.mark.parametrize(
    "message",
    [
        nspi.NspiBindRequest(nspi.Stat()),
        nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.LOGON_FAILED),
        nspi.NspiUpdateStatRequest(HANDLE, nspi.Stat(delta=-3)),
        nspi.NspiUpdateStatResponse(nspi.Stat(), None, constants.INVALID_BOOKMARK),
        nspi.NspiQueryRowsRequest(HANDLE, nspi.Stat(), 50),
        nspi.NspiQueryRowsResponse(nspi.Stat(), None, constants.GENERAL_FAILURE),
        nspi.NspiQueryRowsResponse(nspi.Stat(), ()),
        nspi.NspiQueryRowsResponse(nspi.Stat(), ((),)),
        nspi.NspiSeekEntriesRequest(HANDLE, nspi.Stat(), PropertyValue(0x3001001E, "B"), (1, 2)),
        nspi.NspiGetMatchesRequest(
            HANDLE, nspi.Stat(), None, 1, None, nspi.PropertyName(GUID, -1, 7), 1, (0x1001,), 2
        ),
        nspi.NspiGetMatchesRequest(HANDLE, nspi.Stat(), None, 1, None, nspi.PropertyName(None, 1)),
        nspi.NspiGetMatchesResponse(nspi.Stat(), None, None, constants.TABLE_TOO_BIG),
        nspi.NspiDNToMIdRequest(HANDLE, (None, "/o=x")),
        nspi.NspiDNToMIdResponse(None, constants.GENERAL_FAILURE),
        nspi.NspiGetPropsResponse(None, constants.GENERAL_FAILURE),
        nspi.NspiResortRestrictionRequest(HANDLE, nspi.Stat(), (), (1,), 7),
        nspi.NspiResortRestrictionResponse(nspi.Stat(), None, constants.GENERAL_FAILURE),
        nspi.NspiGetPropListResponse(None, constants.NOT_FOUND),
        nspi.NspiGetTemplateInfoRequest(HANDLE, 0, constants.TI_SCRIPT, "/cn=x"),
        nspi.NspiGetTemplateInfoResponse(None, constants.NOT_FOUND),
        nspi.NspiModLinkAttRequest(HANDLE, 0x8009000D, 1, None, constants.DELETE_LINKS),
        nspi.NspiModLinkAttRequest(HANDLE, 0x8009000D, 1, (None, b"", b"xyz")),
        nspi.NspiModPropsRequest(HANDLE, nspi.Stat(), (), (0x3A701102,), 7),
        nspi.NspiModPropsResponse(constants.ACCESS_DENIED),
        nspi.NspiResolveNamesWRequest(HANDLE, nspi.Stat(), (None, "", "bob")),
    ],
)
def test_null_pointers_both_ways(message):
    assert type(message).decode(message.encode()) == message


# By the layout in the reference, which prints no dump: STAT, tags to remove, a row with one binary.
MOD_PROPS_TAIL = bytes.fromhex(
    "00000200 02000000 01000000 00000000 01000000 0211703a"
    "00000000 01000000 04000200 01000000"
    "0211703a 00000000 02110000 01000000 08000200"
    "01000000 03000000 0c000200 03000000 010203"
)


def test_mod_props_both_ways(vector):
    request = nspi.NspiModPropsRequest(
        HANDLE, nspi.Stat(), row((0x3A701102, (b"\x01\x02\x03",))), (0x3A701102,)
    )
    wire = vector("nspi/compare_mids_request.hex")[:0x3C] + MOD_PROPS_TAIL
    assert request.encode() == wire
    assert nspi.NspiModPropsRequest.decode(wire) == request
    for size in range(len(wire)):
        with pytest.raises(WireError):
            nspi.NspiModPropsRequest.decode(wire[:size])
    assert nspi.NspiModPropsRequest.decode_response(bytes(4)) == nspi.NspiModPropsResponse()


u32 = st.integers(0, 0xFFFFFFFF)
stats = st.builds(nspi.Stat, u32, u32, u32, st.integers(-(2**31), 2**31 - 1), u32, u32, u32, u32, u32)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
latin = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20)
tag_arrays = st.none() | st.lists(u32, max_size=6).map(tuple)
handles = st.binary(min_size=20, max_size=20)


@given(
    st.builds(nspi.NspiBindRequest, stats, u32, st.none() | st.binary(min_size=16, max_size=16))
    | st.builds(nspi.NspiUpdateStatRequest, handles, stats, st.none() | st.integers(-(2**31), 2**31 - 1), u32)
    | st.builds(nspi.NspiQueryRowsRequest, handles, stats, u32, tag_arrays, tag_arrays, u32)
    | st.builds(nspi.NspiDNToMIdRequest, handles, st.lists(st.none() | latin, max_size=4).map(tuple), u32)
    | st.builds(
        nspi.NspiResolveNamesRequest, handles, stats, st.lists(latin, max_size=4).map(tuple), tag_arrays, u32
    )
    | st.builds(
        nspi.NspiResolveNamesWRequest, handles, stats, st.lists(text, max_size=4).map(tuple), tag_arrays, u32
    )
    | st.builds(nspi.NspiGetPropsRequest, handles, stats, tag_arrays, u32)
    | st.builds(nspi.NspiGetSpecialTableRequest, handles, stats, u32, u32)
    | st.builds(nspi.NspiQueryColumnsRequest, handles, u32, u32)
    | st.builds(nspi.NspiUnbindRequest, handles, u32)
    | st.builds(
        nspi.NspiResortRestrictionRequest,
        handles,
        stats,
        st.lists(u32, max_size=6).map(tuple),
        tag_arrays,
        u32,
    )
    | st.builds(nspi.NspiCompareMIdsRequest, handles, stats, u32, u32, u32)
    | st.builds(nspi.NspiGetPropListRequest, handles, u32, u32, u32)
    | st.builds(nspi.NspiGetTemplateInfoRequest, handles, u32, u32, st.none() | latin, u32, u32)
    | st.builds(
        nspi.NspiModLinkAttRequest,
        handles,
        u32,
        u32,
        st.none() | st.lists(st.none() | st.binary(max_size=9), max_size=4).map(tuple),
        u32,
    )
)
def test_round_trip(message):
    assert type(message).decode(message.encode()) == message


@pytest.mark.parametrize(
    ("offset", "value", "field"),
    [
        (0x3C, b"\x02\0\0\0", "lpETable"),  # dwETableCount is not the array's size
        (0x3C, b"\xa1\x86\x01\0", "dwETableCount"),  # 100,001
        (0x40, b"\0\0\0\0", "dwETableCount"),  # one MId at a null pointer
        (0x54, b"\x02\0\0\0", "pPropTags"),  # max_count below the number of tags
        (0x58, b"\x02\0\0\0", "pPropTags"),  # cValues is not actual_count
        (0x5C, b"\x01\0\0\0", "pPropTags"),  # offset
    ],
)
def test_counts_that_disagree(offset: int, value: bytes, field: str, vector):
    wire = bytearray(vector("nspi/query_rows_request.hex"))
    wire[offset : offset + 4] = value
    with pytest.raises(WireError) as caught:
        nspi.NspiQueryRowsRequest.decode(bytes(wire))
    assert caught.value.field == field


def test_a_larger_max_count_of_tags_passes(vector):
    wire = bytearray(vector("nspi/query_rows_request.hex"))
    wire[0x54] = 9
    assert nspi.NspiQueryRowsRequest.decode(bytes(wire)) == MESSAGES["query_rows_request"]


def test_names_with_a_wrong_max_count(vector):
    wire = bytearray(vector("nspi/dn_to_mid_request.hex"))
    wire[0x18] = 2
    with pytest.raises(WireError, match="Strings"):
        nspi.NspiDNToMIdRequest.decode(bytes(wire))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (nspi.PermanentEntryId, EPHEMERAL_002),
        (nspi.PermanentEntryId, PERMANENT_001 + b"\0"),
        (nspi.PermanentEntryId, PERMANENT_001[:-1]),
        (nspi.EphemeralEntryId, PERMANENT_001),
        (nspi.EphemeralEntryId, EPHEMERAL_002[:-1]),
        (nspi.EphemeralEntryId, EPHEMERAL_002 + b"\0"),
    ],
)
def test_entry_ids_of_another_kind_or_size(kind, data: bytes):
    with pytest.raises(WireError):
        kind.decode(data)


def test_entry_ids_both_ways():
    # The bytes are those that stand in the rows of query_rows_response and get_matches_response.
    assert nspi.PermanentEntryId.decode(PERMANENT_001) == nspi.PermanentEntryId(0, DN + "user001")
    assert len(PERMANENT_001) == 94
    assert nspi.EphemeralEntryId.decode(EPHEMERAL_002) == nspi.EphemeralEntryId(GUID, 0, 0x1002)
    assert len(EPHEMERAL_002) == 32
