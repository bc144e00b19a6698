"""impacket's address book client, without sockets, against the mock: how it reads, none of us wrote."""

import importlib.util
import ssl
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from impacket.dcerpc.v5 import nspi
from impacket.dcerpc.v5.ndr import NDRCALL
from impacket.dcerpc.v5.rpcrt import DCERPC, DCERPCException

from loadgen.errors import RpcFault
from mock_server.directory import Directory, Organisation
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.nspi import nspi_interface

pytestmark = pytest.mark.judge

USERS = 120
DIRECTORY = Directory(Organisation(), USERS)
INTERFACE = nspi_interface(DIRECTORY)
DISPLAY_NAME = 0x3001001F


class Direct(DCERPC):
    """impacket's RPC client whose calls go straight to the methods of the mock."""

    def __init__(self) -> None:
        super().__init__(None)
        self.context = CallContext("", AssociationGroup(1), "GC1")
        self.answer = b""

    def call(self, function: int, body: Any, uuid: object = None) -> None:
        answer = INTERFACE.methods[function](self.context, body.getData())
        assert isinstance(answer, bytes)
        self.answer = answer

    def recv(self) -> bytes:
        return self.answer


@pytest.fixture
def dce() -> Direct:
    return Direct()


@pytest.fixture
def handle(dce: Direct) -> Any:
    return nspi.hNspiBind(dce)["contextHandle"]


def test_bind_and_unbind(dce: Direct):
    bound = nspi.hNspiBind(dce)
    assert bound["pServerGuid"] == DIRECTORY.server_guid
    assert not bound["contextHandle"].isNull()
    assert nspi.hNspiUnbind(dce, bound["contextHandle"])["ErrorCode"] == 1
    with pytest.raises(RpcFault):
        nspi.hNspiUnbind(dce, bound["contextHandle"])


def test_rows(dce: Direct, handle):
    stat = nspi.hNspiUpdateStat(dce, handle, nspi.hNspiUpdateStat(dce, handle, nspi.STAT())["pStat"])["pStat"]
    assert (stat["CurrentRec"], stat["TotalRecs"]) == (DIRECTORY.users[0].mid, USERS)
    names = []
    while stat["CurrentRec"] != nspi.MID_END_OF_TABLE:
        page = nspi.hNspiQueryRows(dce, handle, pStat=stat, Count=50, pPropTags=[DISPLAY_NAME, 0x39FE001F])
        names += [row[DISPLAY_NAME] for row in nspi.simplifyPropertyRowSet(page["ppRows"])]
        stat = page["pStat"]
    assert names == [user.display_name for user in DIRECTORY.users]


def test_every_property_of_a_user(dce: Direct, handle):
    columns = [tag["Data"] for tag in nspi.hNspiQueryColumns(dce, handle)["ppColumns"]["aulPropTag"]]
    user = DIRECTORY.users[7]
    page = nspi.hNspiQueryRows(dce, handle, pPropTags=columns, lpETable=[user.mid])
    (row,) = nspi.simplifyPropertyRowSet(page["ppRows"])
    assert len(row) == len(columns)
    assert str(row[0x0FFF0102]) == user.dn
    assert row[0x0FF60102] == user.mid
    assert row[0x300B0102] == "EX:" + user.dn.upper()
    assert row[0x3003001F] == user.dn
    assert row[0x3A00001F] == user.alias
    assert row[0x800F101F] == ["SMTP:" + user.smtp]
    assert (row[0x0FFE0003], row[0x39000003], row[0x3A40000B]) == (6, 0, 1)
    assert row[0x30070040].timestamp() == 1_167_609_600
    eight_bit = [tag - 1 if tag & 0xEFFF == 0x1F else tag for tag in columns]
    page = nspi.hNspiQueryRows(dce, handle, pPropTags=eight_bit, lpETable=[user.mid])
    (other,) = nspi.simplifyPropertyRowSet(page["ppRows"])
    assert {tag >> 16: str(value) for tag, value in other.items() if tag & 0xFFFF != 0x0A} == {
        tag >> 16: str(value) for tag, value in row.items() if tag & 0xFFFF != 0x0A
    }


def test_names(dce: Direct, handle):
    user = DIRECTORY.users[7]
    mids = nspi.hNspiDNToMId(dce, handle, [user.dn, "/o=nobody"])["ppOutMIds"]["aulPropTag"]
    assert [mid["Data"] for mid in mids] == [user.mid, 0]
    for resolve in (nspi.hNspiResolveNames, nspi.hNspiResolveNamesW):
        response = resolve(dce, handle, pPropTags=[DISPLAY_NAME], paStr=[user.smtp, "user", "nobody"])
        assert [mid["Data"] for mid in response["ppMIds"]["aulPropTag"]] == [2, 1, 0]
        assert nspi.simplifyPropertyRowSet(response["ppRows"]) == [{DISPLAY_NAME: user.display_name}]


def test_refusals_have_codes_that_impacket_knows(dce: Direct, handle):
    with pytest.raises(DCERPCException, match="0x80040405"):
        nspi.hNspiResolveNamesW(dce, handle, ContainerID=16, paStr=["user"])


class CorrectedGetProps(nspi.NspiGetProps):
    """The layout of the published IDL: pStat is a reference pointer, which leaves no bytes."""

    structure = (
        ("hRpc", nspi.handle_t),
        ("dwFlags", nspi.DWORD),
        ("pStat", nspi.STAT),
        ("pPropTags", nspi.PPropertyTagArray_r),
    )


def test_properties_of_one_object(dce: Direct, handle):
    request = CorrectedGetProps()
    request["hRpc"], request["dwFlags"] = handle, 0
    request["pStat"]["CurrentRec"] = DIRECTORY.users[7].mid
    for tag in (DISPLAY_NAME, 0x3A08001F):
        element = nspi.DWORD()
        element["Data"] = tag
        request["pPropTags"]["aulPropTag"].append(element)
    request["pPropTags"]["cValues"] = 2
    request.fields["pPropTags"].fields["Data"].fields["aulPropTag"].fields["MaximumCount"] = 3
    dce.call(9, request)
    response = nspi.NspiGetPropsResponse(dce.recv())
    assert response["ErrorCode"] == 0x40380
    assert nspi.simplifyPropertyRow(response["ppRows"]) == {
        DISPLAY_NAME: "User 00007",
        0x3A08000A: 0x8004010F,
    }


def test_the_list_of_properties_and_the_order_of_two(dce: Direct, handle):
    first, second = DIRECTORY.users[7].mid, DIRECTORY.users[9].mid
    request = nspi.NspiGetPropList()
    request["hRpc"], request["dwFlags"], request["dwMId"], request["CodePage"] = handle, 0, first, 1252
    dce.call(8, request)
    answer = nspi.NspiGetPropListResponse(dce.recv())
    listed = [tag["Data"] for tag in answer["ppOutMIds"]["aulPropTag"]]
    assert answer["ErrorCode"] == 0
    assert {DISPLAY_NAME - 1, 0x39FE001E} < set(listed)
    for mids, result in (((first, second), -1), ((second, first), 1), ((first, first), 0)):
        request = nspi.NspiCompareMIds()
        request["hRpc"], request["pStat"]["CodePage"] = handle, 1252
        request["MId1"], request["MId2"] = mids
        dce.call(10, request)
        answer = nspi.NspiCompareMIdsResponse(dce.recv())
        assert (answer["plResult"], answer["ErrorCode"]) == (result, 0)


def test_templates_and_changes(dce: Direct, handle):
    request = nspi.NspiGetTemplateInfo()
    request["hRpc"], request["dwFlags"], request["ulType"], request["pDN"] = handle, 1, 0, nspi.NULL
    request["dwCodePage"], request["dwLocaleID"] = 1252, 0x409
    dce.call(13, request)
    answer = nspi.NspiGetTemplateInfoResponse(dce.recv())
    assert (list(nspi.simplifyPropertyRow(answer["ppData"])), answer["ErrorCode"]) == ([0x00010102], 0)

    entry_id = nspi.Binary_r()
    entry_id["lpb"], entry_id["cValues"] = list(b"12"), 2
    change = nspi.NspiModLinkAtt()
    change["hRpc"], change["dwFlags"], change["ulPropTag"] = handle, 0, 0x8009000D
    change["dwMId"] = DIRECTORY.users[7].mid
    change["lpEntryIds"]["cValues"] = 1
    change["lpEntryIds"]["lpbin"] = [entry_id]
    dce.call(14, change)
    assert nspi.NspiModLinkAttResponse(dce.recv())["ErrorCode"] == 0x80070005


class ResortRestriction(NDRCALL):
    """The layout of the published IDL; impacket's own stands there commented out."""

    opnum = 6
    structure = (
        ("hRpc", nspi.handle_t),
        ("Reserved", nspi.DWORD),
        ("pStat", nspi.STAT),
        ("pInMIds", nspi.PropertyTagArray_r),
        ("ppOutMIds", nspi.PPropertyTagArray_r),
    )


class ResortRestrictionResponse(NDRCALL):
    """The [out] parameters of it."""

    structure = (
        ("pStat", nspi.STAT),
        ("ppOutMIds", nspi.PPropertyTagArray_r),
        ("ErrorCode", nspi.ULONG),
    )


def test_a_selection_put_in_order(dce: Direct, handle):
    request = ResortRestriction()
    request["hRpc"], request["pStat"]["CodePage"], request["ppOutMIds"] = handle, 1252, nspi.NULL
    mids = [DIRECTORY.users[index].mid for index in (9, 3, 7)]
    for mid in mids:
        element = nspi.DWORD()
        element["Data"] = mid
        request["pInMIds"]["aulPropTag"].append(element)
    request["pInMIds"]["cValues"] = 3
    request.fields["pInMIds"].fields["aulPropTag"].fields["MaximumCount"] = 4
    dce.call(6, request)
    answer = ResortRestrictionResponse(dce.recv())
    assert [mid["Data"] for mid in answer["ppOutMIds"]["aulPropTag"]] == sorted(mids)
    assert (answer["pStat"]["TotalRecs"], answer["ErrorCode"]) == (3, 0)


@pytest.fixture(scope="module")
def exchanger() -> ModuleType:
    path = Path(sys.executable).parent / "exchanger.py"
    spec = importlib.util.spec_from_file_location("exchanger", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    strict = ssl.create_default_context
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the LDAP library that all of impacket's scripts load
        spec.loader.exec_module(module)
    ssl.create_default_context = strict  # impacket's scripts would have nobody verify certificates
    return module


@pytest.fixture
def attacks(exchanger: ModuleType, dce: Direct, handle) -> Any:
    attacks = exchanger.NSPIAttacks()
    attacks._NSPIAttacks__dce = dce
    attacks._NSPIAttacks__handler = handle
    return attacks


def test_exchanger_lists_the_tables(attacks, capsys):
    attacks.load_htable()
    attacks.load_htable_stat()
    attacks.print_htable()
    lines = capsys.readouterr().out.splitlines()
    for name, total in (
        ("Default Global Address List", USERS),
        ("All Address Lists", 0),
        ("    All Users", USERS),
        ("    All Groups", 0),
    ):
        indent = " " * (len(name) - len(name.lstrip()))
        assert lines[lines.index(name) + 1] == f"{indent}TotalRecs: {total}"


@pytest.mark.parametrize("lookup", ["PROPS_GUID", "PROPS_MINUMAL", "PROPS_EXTENDED", "FULL"])
def test_exchanger_dumps_a_table(attacks, lookup: str, capsys):
    attacks.req_print_table_rows(table_MId=0, attrs=getattr(attacks, lookup, []))
    output = capsys.readouterr().out
    if lookup == "PROPS_GUID":
        assert len(set(output.split())) == USERS
    else:
        assert all(user.smtp in output for user in DIRECTORY.users)


def test_exchanger_looks_up_guids_and_numbers(attacks, capsys):
    attacks.req_print_table_rows(table_MId=0, attrs=attacks.PROPS_GUID)
    guid = capsys.readouterr().out.split()[7]
    attacks.req_print_guid(guid, attacks.PROPS_MINUMAL)
    assert DIRECTORY.users[7].smtp in capsys.readouterr().out
    with pytest.raises(Exception, match="not found"):
        attacks.req_print_guid("00000000-0000-0000-0000-000000000000", attacks.PROPS_MINUMAL)
    attacks.req_print_dnt(4096 + 7, 4096 + 8, attacks.PROPS_MINUMAL, checkIfEmpty=True)
    attacks.req_print_dnt(9096, 9100, attacks.PROPS_MINUMAL, checkIfEmpty=True)
    output = capsys.readouterr().out
    assert [user.smtp in output for user in DIRECTORY.users[6:10]] == [False, True, True, False]
