"""The address book interface as a global catalog serves it ([MS-OXNSPI] 3.1)."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from loadgen.wire import nspi
from loadgen.wire.nspi import constants
from loadgen.wire.nspi.tags import PidTagAnr
from loadgen.wire.properties import PidTagDisplayName, PropertyTag, PropertyValue, PtypErrorCode, PtypString8
from loadgen.wire.restrictions import EQUAL
from mock_server.address_book import AddressBook, AddressBookObject, Table
from mock_server.directory import Directory
from mock_server.rpc.dispatch import CallContext, Interface, Method
from mock_server.rpc.nspi_rows import (
    ALL_TAGS,
    CODE_PAGES,
    Columns,
    as_string8,
    hierarchy_rows,
    is_string8,
    tags_of,
)

_VERSION: Final = 1
_LINKS: Final = frozenset((0x8005000D, 0x8008000D, 0x8009000D, 0x800E000D, 0x8015000D))
"""Manager, member of, members, reports, public delegates: what a GetMatches without filter may follow."""


class NspiError(Exception):
    """A method ends with this return value ([MS-OXNSPI] 2.2.1.2)."""

    def __init__(self, return_value: int) -> None:
        super().__init__(f"0x{return_value:08X}")
        self.return_value = return_value


class NspiSession(msgspec.Struct, frozen=True):
    """What a context handle of this interface stands for."""

    user: str


class _Nspi:
    """The methods of a session; each takes a request and raises :class:`NspiError` to refuse it."""

    def __init__(self, book: AddressBook) -> None:
        self._book = book

    def bind(self, context: CallContext, stub: bytes) -> bytes:
        request = nspi.NspiBindRequest.decode(stub)
        if request.stat.code_page not in CODE_PAGES:
            return nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.INVALID_CODEPAGE).encode()
        if request.flags & constants.ANONYMOUS_LOGIN:
            return nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.LOGON_FAILED).encode()
        handle = context.association.open_handle(NspiSession(context.user))
        return nspi.NspiBindResponse(self._book.server_guid, handle).encode()

    def unbind(self, context: CallContext, stub: bytes) -> bytes:
        request = nspi.NspiUnbindRequest.decode(stub)
        context.association.find(request.handle, NspiSession)
        context.association.close_handle(request.handle)
        return nspi.NspiUnbindResponse().encode()

    def update_stat(self, request: nspi.NspiUpdateStatRequest) -> nspi.NspiUpdateStatResponse:
        _require_zero(request.reserved)
        table = self._table(request.stat)
        start, position = _positions(table, request.stat)
        moved = None if request.delta is None else position - start
        return nspi.NspiUpdateStatResponse(table.stat_at(request.stat, position), moved)

    def query_rows(self, request: nspi.NspiQueryRowsRequest) -> nspi.NspiQueryRowsResponse:
        columns = self._columns(request.prop_tags, request.stat, request.flags)
        if request.explicit_table is not None:
            rows = self._rows(columns, request.explicit_table[: request.count])
            return nspi.NspiQueryRowsResponse(request.stat, rows)
        if not request.count:
            raise NspiError(constants.INVALID_PARAMETER)
        table = self._table(request.stat)
        _, position = _positions(table, request.stat)
        mids = table.mids[position : position + request.count]
        stat = table.stat_at(request.stat, position + len(mids))
        return nspi.NspiQueryRowsResponse(stat, self._rows(columns, mids))

    def seek_entries(self, request: nspi.NspiSeekEntriesRequest) -> nspi.NspiSeekEntriesResponse:
        _require_zero(request.reserved)
        table = self._table(request.stat)
        if request.target.tag not in (PidTagDisplayName, as_string8(PidTagDisplayName)):
            raise NspiError(constants.GENERAL_FAILURE)
        if request.explicit_table is not None:
            table = self._table_of(request.explicit_table)
        position = table.from_name(_text(request.target, request.stat))
        if position == len(table):
            raise NspiError(constants.NOT_FOUND)
        rows = None
        if request.prop_tags is not None:
            columns = self._columns(request.prop_tags, request.stat, constants.EPHEMERAL_IDS)
            rows = self._rows(
                columns, table.mids[position : None if request.explicit_table else position + 1]
            )
        return nspi.NspiSeekEntriesResponse(table.stat_at(request.stat, position), rows)

    def get_matches(self, request: nspi.NspiGetMatchesRequest) -> nspi.NspiGetMatchesResponse:
        _require_zero(request.reserved1, request.reserved, request.reserved2, request.prop_name)
        columns = self._columns(request.prop_tags, request.stat, constants.EPHEMERAL_IDS)
        found = (
            self._linked(request.stat) if request.filter is None else self._filtered(request, request.filter)
        )
        if len(found) > request.requested:
            raise NspiError(constants.TABLE_TOO_BIG)
        found.sort(key=lambda match: match.display_name.casefold())
        return nspi.NspiGetMatchesResponse(
            msgspec.structs.replace(request.stat, container_id=request.stat.current_rec),
            tuple([match.mid for match in found]),
            tuple([columns.row(match) for match in found]),
        )

    def _filtered(
        self, request: nspi.NspiGetMatchesRequest, restriction: nspi.Restriction
    ) -> list[AddressBookObject]:
        if not (
            isinstance(restriction, nspi.PropertyRestriction)
            and restriction.relop == EQUAL
            and restriction.tag == restriction.value.tag
            and restriction.tag in (PidTagAnr, as_string8(PidTagAnr))
        ):
            raise NspiError(constants.TOO_COMPLEX)
        text = _text(restriction.value, request.stat)
        return self._book.resolve(text, self._table(request.stat), request.requested + 1)

    def _linked(self, stat: nspi.Stat) -> list[AddressBookObject]:
        # Nobody here has members, a manager or delegates; what can be asked is checked all the same.
        if stat.sort_type not in (constants.SORT_MEMBERS_READ_ONLY, constants.SORT_MEMBERS_WRITABLE):
            raise NspiError(constants.GENERAL_FAILURE)
        if stat.container_id not in _LINKS:
            raise NspiError(constants.NOT_SUPPORTED)
        if self._book.by_mid(stat.current_rec) is None:
            raise NspiError(constants.NOT_FOUND)
        return []

    def dn_to_mid(self, request: nspi.NspiDNToMIdRequest) -> nspi.NspiDNToMIdResponse:
        _require_zero(request.reserved)
        found = [self._book.by_dn(name or "") for name in request.names]
        return nspi.NspiDNToMIdResponse(tuple([0 if match is None else match.mid for match in found]))

    def get_props(self, request: nspi.NspiGetPropsRequest) -> nspi.NspiGetPropsResponse:
        stat = request.stat
        found = self._book.by_mid(stat.current_rec)
        tags = request.prop_tags
        if tags is None:
            unicode = stat.code_page == constants.CP_WINUNICODE
            tags = tags_of(found) if unicode else tuple(map(as_string8, tags_of(found)))
        elif stat.code_page == constants.CP_WINUNICODE and any(map(is_string8, tags)):
            raise NspiError(constants.INVALID_CODEPAGE)
        if stat.code_page != constants.CP_WINUNICODE:
            _require_code_page(stat)
        ephemeral = bool(request.flags & constants.EPHEMERAL_IDS)
        row = Columns(self._book, tags, stat.code_page, ephemeral=ephemeral).row(found)
        errors = any(value.tag & 0xFFFF == PtypErrorCode for value in row)
        return nspi.NspiGetPropsResponse(row, constants.ERRORS_RETURNED if errors else constants.SUCCESS)

    def get_special_table(self, request: nspi.NspiGetSpecialTableRequest) -> nspi.NspiGetSpecialTableResponse:
        if request.flags & constants.ADDRESS_CREATION_TEMPLATES:
            return nspi.NspiGetSpecialTableResponse(_VERSION, ())
        unicode = bool(request.flags & constants.UNICODE_STRINGS)
        if not unicode:
            _require_code_page(request.stat)
        rows = hierarchy_rows(self._book, request.stat.code_page, unicode=unicode)
        return nspi.NspiGetSpecialTableResponse(_VERSION, rows)

    def query_columns(self, request: nspi.NspiQueryColumnsRequest) -> nspi.NspiQueryColumnsResponse:
        _require_zero(request.reserved)
        unicode = request.flags & constants.UNICODE_PROPERTY_TYPES
        return nspi.NspiQueryColumnsResponse(ALL_TAGS if unicode else tuple(map(as_string8, ALL_TAGS)))

    def resolve_names(
        self, request: nspi.NspiResolveNamesRequest | nspi.NspiResolveNamesWRequest
    ) -> nspi.NspiResolveNamesResponse:
        columns, table = self._columns(request.prop_tags, request.stat, 0), self._table(request.stat)
        names = [name or "" for name in request.names]
        if isinstance(request, nspi.NspiResolveNamesRequest):
            names = [_decoded(name, request.stat) for name in names]
        found = [self._book.resolve(name, table, 2) for name in names]
        outcomes = (constants.UNRESOLVED, constants.RESOLVED, constants.AMBIGUOUS)
        return nspi.NspiResolveNamesResponse(
            tuple([outcomes[len(matches)] for matches in found]),
            tuple([columns.row(matches[0]) for matches in found if len(matches) == 1]),
        )

    def _table(self, stat: nspi.Stat) -> Table:
        _require_code_page(stat)
        if stat.sort_type != constants.SORT_DISPLAY_NAME:
            raise NspiError(constants.GENERAL_FAILURE)
        table = self._book.table(stat.container_id)
        if table is None:
            raise NspiError(constants.INVALID_BOOKMARK)
        return table

    def _table_of(self, mids: Sequence[int]) -> Table:
        found = [self._book.by_mid(mid) for mid in mids]
        return Table((match.display_name, match.mid) for match in found if match is not None)

    def _columns(self, tags: Sequence[PropertyTag] | None, stat: nspi.Stat, flags: int) -> Columns:
        _require_code_page(stat)
        wanted = constants.DEFAULT_COLUMNS if tags is None else tags
        return Columns(self._book, wanted, stat.code_page, ephemeral=bool(flags & constants.EPHEMERAL_IDS))

    def _rows(self, columns: Columns, mids: Sequence[int]) -> tuple[nspi.Row, ...]:
        return tuple([columns.row(self._book.by_mid(mid)) for mid in mids])


def _require_zero(*reserved: object) -> None:
    if any(reserved):
        raise NspiError(constants.INVALID_PARAMETER)


def _require_code_page(stat: nspi.Stat) -> None:
    if stat.code_page not in CODE_PAGES:
        raise NspiError(constants.INVALID_CODEPAGE)


def _positions(table: Table, stat: nspi.Stat) -> tuple[int, int]:
    start = table.position(stat)
    if start is None:
        raise NspiError(constants.NOT_FOUND)
    return start, max(0, min(start + stat.delta, len(table)))


def _text(value: PropertyValue, stat: nspi.Stat) -> str:
    text: str = value.value or ""
    return _decoded(text, stat) if value.tag & 0xFFFF == PtypString8 else text


def _decoded(text: str, stat: nspi.Stat) -> str:
    return text.encode("latin-1").decode(CODE_PAGES[stat.code_page], "replace")


class _Request(Protocol):
    @property
    def handle(self) -> bytes: ...


class _Response(Protocol):
    def encode(self) -> bytes: ...


RequestT = TypeVar("RequestT", bound=_Request)


def _method(
    decode: Callable[[bytes], RequestT],
    answer: Callable[[RequestT], _Response],
    refuse: Callable[[RequestT, int], _Response],
) -> Method:
    """A method within a session: the handle must be open, and a refusal is a response too."""

    def method(context: CallContext, stub: bytes) -> bytes:
        request = decode(stub)
        context.association.find(request.handle, NspiSession)
        try:
            return answer(request).encode()
        except NspiError as error:
            return refuse(request, error.return_value).encode()

    return method


def _special_table_request(stub: bytes) -> nspi.NspiGetSpecialTableRequest:
    # impacket writes a referent id before pStat; servers ignore the four bytes that are left over then.
    return nspi.NspiGetSpecialTableRequest.decode(stub[: nspi.NspiGetSpecialTableRequest.size])


def nspi_interface(directory: Directory) -> Interface:
    """NSPI 56.0 over the address book of ``directory``."""
    service = _Nspi(AddressBook(directory))
    return Interface(
        nspi.INTERFACE,
        {
            nspi.NspiBindRequest.opnum: service.bind,
            nspi.NspiUnbindRequest.opnum: service.unbind,
            nspi.NspiUpdateStatRequest.opnum: _method(
                nspi.NspiUpdateStatRequest.decode,
                service.update_stat,
                lambda request, code: nspi.NspiUpdateStatResponse(request.stat, request.delta, code),
            ),
            nspi.NspiQueryRowsRequest.opnum: _method(
                nspi.NspiQueryRowsRequest.decode,
                service.query_rows,
                lambda request, code: nspi.NspiQueryRowsResponse(request.stat, None, code),
            ),
            nspi.NspiSeekEntriesRequest.opnum: _method(
                nspi.NspiSeekEntriesRequest.decode,
                service.seek_entries,
                lambda request, code: nspi.NspiSeekEntriesResponse(request.stat, None, code),
            ),
            nspi.NspiGetMatchesRequest.opnum: _method(
                nspi.NspiGetMatchesRequest.decode,
                service.get_matches,
                lambda request, code: nspi.NspiGetMatchesResponse(request.stat, None, None, code),
            ),
            nspi.NspiDNToMIdRequest.opnum: _method(
                nspi.NspiDNToMIdRequest.decode,
                service.dn_to_mid,
                lambda _request, code: nspi.NspiDNToMIdResponse(None, code),
            ),
            nspi.NspiGetPropsRequest.opnum: _method(
                nspi.NspiGetPropsRequest.decode,
                service.get_props,
                lambda _request, code: nspi.NspiGetPropsResponse(None, code),
            ),
            nspi.NspiGetSpecialTableRequest.opnum: _method(
                _special_table_request,
                service.get_special_table,
                lambda _request, code: nspi.NspiGetSpecialTableResponse(0, None, code),
            ),
            nspi.NspiQueryColumnsRequest.opnum: _method(
                nspi.NspiQueryColumnsRequest.decode,
                service.query_columns,
                lambda _request, code: nspi.NspiQueryColumnsResponse(None, code),
            ),
            nspi.NspiResolveNamesRequest.opnum: _method(
                nspi.NspiResolveNamesRequest.decode, service.resolve_names, _refuse_names
            ),
            nspi.NspiResolveNamesWRequest.opnum: _method(
                nspi.NspiResolveNamesWRequest.decode, service.resolve_names, _refuse_names
            ),
        },
    )


def _refuse_names(_request: object, code: int) -> nspi.NspiResolveNamesResponse:
    return nspi.NspiResolveNamesResponse(None, None, code)
