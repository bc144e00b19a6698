"""The methods of the address book, each a request made into a response ([MS-OXNSPI] 3.1.4.1)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from loadgen.wire import nspi
from loadgen.wire.nspi import constants
from loadgen.wire.nspi.tags import PidTagTemplateData
from loadgen.wire.properties import PidTagDisplayName, PropertyTag, PropertyValue, PtypErrorCode, PtypString8
from mock_server.address_book import AddressBook, AddressBookObject, Table
from mock_server.rpc.dispatch import CallContext
from mock_server.rpc.nspi_error import NspiError
from mock_server.rpc.nspi_rows import (
    ALL_TAGS,
    CODE_PAGES,
    Columns,
    as_string8,
    hierarchy_rows,
    is_string8,
    tags_of,
)
from mock_server.rpc.nspi_search import Search
from mock_server.rpc.nspi_use import NspiUse, user_of

_VERSION: Final = 1
_NO_CONTROLS: Final = bytes.fromhex("01000000 00000000")
"""A dialog template of type 1 with 0 controls ([MS-OXOABKT] 2.2.1.1)."""
_LINKS: Final = frozenset((0x8005000D, 0x8008000D, 0x8009000D, 0x800E000D, 0x8015000D))
"""Manager, member of, members, reports, public delegates: what a GetMatches without filter may follow."""


class NspiSession(msgspec.Struct, frozen=True):
    """What a context handle of this interface stands for."""

    user: str


class NspiService:
    """The methods of a session; each takes a request and raises :class:`NspiError` to refuse it."""

    def __init__(self, book: AddressBook, use: NspiUse) -> None:
        self._book = book
        self._use = use

    def bind(self, context: CallContext, stub: bytes) -> bytes:
        """A session is a context handle of the association group; each user may have so many (KB949469)."""
        request = nspi.NspiBindRequest.decode(stub)
        if request.stat.code_page not in CODE_PAGES:
            return nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.INVALID_CODEPAGE).encode()
        if request.flags & constants.ANONYMOUS_LOGIN:
            return nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.LOGON_FAILED).encode()
        user = user_of(context)
        if not self._use.opens(user):
            return nspi.NspiBindResponse(None, nspi.NO_HANDLE, constants.LOGON_FAILED).encode()
        handle = context.association.open_handle(NspiSession(user), lambda: self._use.closes(user))
        return nspi.NspiBindResponse(self._book.server_guid, handle).encode()

    def unbind(self, context: CallContext, stub: bytes) -> bytes:
        """The handle is closed; one that is not open is a fault."""
        request = nspi.NspiUnbindRequest.decode(stub)
        session = context.association.find(request.handle, NspiSession)
        context.association.close_handle(request.handle)
        self._use.closes(session.user)
        return nspi.NspiUnbindResponse().encode()

    def update_stat(self, request: nspi.NspiUpdateStatRequest) -> nspi.NspiUpdateStatResponse:
        """Moves no farther than the table reaches."""
        _require_zero(request.reserved)
        table = self._table(request.stat)
        start, position = _positions(table, request.stat)
        moved = None if request.delta is None else position - start
        return nspi.NspiUpdateStatResponse(table.stat_at(request.stat, position), moved)

    def query_rows(self, request: nspi.NspiQueryRowsRequest) -> nspi.NspiQueryRowsResponse:
        """An explicit table leaves the position alone; its unknown MIds have rows of errors."""
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
        """Finds by display name, in the table or in the explicit table."""
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
        """What was found comes in the order of display names."""
        _require_zero(request.reserved1, request.reserved, request.reserved2, request.prop_name)
        columns = self._columns(request.prop_tags, request.stat, constants.EPHEMERAL_IDS)
        stat, restriction = request.stat, request.filter
        found = self._linked(stat) if restriction is None else self._search(request, restriction)
        found.sort(key=lambda match: (match.display_name.casefold(), match.mid))
        return nspi.NspiGetMatchesResponse(
            msgspec.structs.replace(stat, container_id=stat.current_rec),
            tuple([match.mid for match in found]),
            tuple([columns.row(match) for match in found]),
        )

    def _search(
        self, request: nspi.NspiGetMatchesRequest, restriction: nspi.Restriction
    ) -> list[AddressBookObject]:
        search = Search(self._book, self._table(request.stat), lambda value: _text(value, request.stat))
        return search.find(restriction, request.requested)

    def _linked(self, stat: nspi.Stat) -> list[AddressBookObject]:
        # Nobody here has members, a manager or delegates; what can be asked is checked all the same.
        if stat.sort_type not in (constants.SORT_MEMBERS_READ_ONLY, constants.SORT_MEMBERS_WRITABLE):
            raise NspiError(constants.GENERAL_FAILURE)
        if stat.container_id not in _LINKS:
            raise NspiError(constants.NOT_SUPPORTED)
        if self._book.by_mid(stat.current_rec) is None:
            raise NspiError(constants.NOT_FOUND)
        return []

    def resort_restriction(
        self, request: nspi.NspiResortRestrictionRequest
    ) -> nspi.NspiResortRestrictionResponse:
        """The position stays where it is if it is among those; otherwise it is the beginning."""
        _require_zero(request.reserved)
        _require_order(request.stat)
        table = self._table_of(request.mids)
        position = table.index(request.stat.current_rec)
        stat = msgspec.structs.replace(
            request.stat,
            current_rec=constants.BEGINNING_OF_TABLE if position is None else request.stat.current_rec,
            num_pos=position or 0,
            total_recs=len(table),
        )
        return nspi.NspiResortRestrictionResponse(stat, tuple(table.mids))

    def compare_mids(self, request: nspi.NspiCompareMIdsRequest) -> nspi.NspiCompareMIdsResponse:
        """Both objects must be in the table."""
        _require_zero(request.reserved)
        table = self._table(request.stat)
        first, second = table.index(request.mid1), table.index(request.mid2)
        if first is None or second is None:
            raise NspiError(constants.NOT_FOUND)
        return nspi.NspiCompareMIdsResponse((first > second) - (first < second))

    def dn_to_mid(self, request: nspi.NspiDNToMIdRequest) -> nspi.NspiDNToMIdResponse:
        """Finds users, servers and address lists."""
        _require_zero(request.reserved)
        found = [self._book.by_dn(name or "") for name in request.names]
        return nspi.NspiDNToMIdResponse(tuple([0 if match is None else match.mid for match in found]))

    def get_prop_list(self, request: nspi.NspiGetPropListRequest) -> nspi.NspiGetPropListResponse:
        """Nobody here has properties of type PtypObject, so to skip them changes nothing."""
        _require_code_page(request.code_page)
        found = self._book.by_mid(request.mid)
        if found is None:
            raise NspiError(constants.NOT_FOUND)
        return nspi.NspiGetPropListResponse(tuple(map(as_string8, tags_of(found))))

    def get_props(self, request: nspi.NspiGetPropsRequest) -> nspi.NspiGetPropsResponse:
        """All that is missing, even the object, is a value of type PtypErrorCode."""
        stat = request.stat
        found = self._book.by_mid(stat.current_rec)
        tags = request.prop_tags
        if tags is None:
            unicode = stat.code_page == constants.CP_WINUNICODE
            tags = tags_of(found) if unicode else tuple(map(as_string8, tags_of(found)))
        elif stat.code_page == constants.CP_WINUNICODE and any(map(is_string8, tags)):
            raise NspiError(constants.INVALID_CODEPAGE)
        if stat.code_page != constants.CP_WINUNICODE:
            _require_code_page(stat.code_page)
        ephemeral = bool(request.flags & constants.EPHEMERAL_IDS)
        row = Columns(self._book, tags, stat.code_page, ephemeral=ephemeral).row(found)
        errors = any(value.tag & 0xFFFF == PtypErrorCode for value in row)
        return nspi.NspiGetPropsResponse(row, constants.ERRORS_RETURNED if errors else constants.SUCCESS)

    def get_special_table(self, request: nspi.NspiGetSpecialTableRequest) -> nspi.NspiGetSpecialTableResponse:
        """The address lists; there are no templates for new addresses."""
        if request.flags & constants.ADDRESS_CREATION_TEMPLATES:
            return nspi.NspiGetSpecialTableResponse(_VERSION, ())
        unicode = bool(request.flags & constants.UNICODE_STRINGS)
        if not unicode:
            _require_code_page(request.stat.code_page)
        rows = hierarchy_rows(self._book, request.stat.code_page, unicode=unicode)
        return nspi.NspiGetSpecialTableResponse(_VERSION, rows)

    def get_template_info(self, request: nspi.NspiGetTemplateInfoRequest) -> nspi.NspiGetTemplateInfoResponse:
        """Mail users have a dialog; nobody has scripts, address types or help files."""
        _require_code_page(request.code_page)
        if request.dn is not None or request.display_type != constants.DT_MAILUSER:
            raise NspiError(constants.NOT_FOUND)
        if not request.flags & constants.TI_TEMPLATE:
            raise NspiError(constants.NOT_FOUND)
        return nspi.NspiGetTemplateInfoResponse((PropertyValue(PidTagTemplateData, _NO_CONTROLS),))

    def mod_props(self, request: nspi.NspiModPropsRequest) -> nspi.NspiModPropsResponse:
        """The directory is read only: whoever asks for something that there is may not do it."""
        _require_zero(request.reserved)
        _require_code_page(request.stat.code_page)
        if self._book.by_mid(request.stat.current_rec) is None:
            raise NspiError(constants.INVALID_PARAMETER)
        raise NspiError(constants.ACCESS_DENIED)

    def mod_link_att(self, request: nspi.NspiModLinkAttRequest) -> nspi.NspiModLinkAttResponse:
        """Read only, as above."""
        if request.prop_tag not in _LINKS:
            raise NspiError(constants.NOT_FOUND)
        if self._book.by_mid(request.mid) is None:
            raise NspiError(constants.INVALID_PARAMETER)
        raise NspiError(constants.ACCESS_DENIED)

    def query_columns(self, request: nspi.NspiQueryColumnsRequest) -> nspi.NspiQueryColumnsResponse:
        """All that any object has."""
        _require_zero(request.reserved)
        unicode = request.flags & constants.UNICODE_PROPERTY_TYPES
        return nspi.NspiQueryColumnsResponse(ALL_TAGS if unicode else tuple(map(as_string8, ALL_TAGS)))

    def resolve_names(
        self, request: nspi.NspiResolveNamesRequest | nspi.NspiResolveNamesWRequest
    ) -> nspi.NspiResolveNamesResponse:
        """A row for each name that means exactly one object."""
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
        _require_order(stat)
        table = self._book.table(stat.container_id)
        if table is None:
            raise NspiError(constants.INVALID_BOOKMARK)
        return table

    def _table_of(self, mids: Sequence[int]) -> Table:
        found = [self._book.by_mid(mid) for mid in mids]
        return Table((match.display_name, match.mid) for match in found if match is not None)

    def _columns(self, tags: Sequence[PropertyTag] | None, stat: nspi.Stat, flags: int) -> Columns:
        _require_code_page(stat.code_page)
        wanted = constants.DEFAULT_COLUMNS if tags is None else tags
        return Columns(self._book, wanted, stat.code_page, ephemeral=bool(flags & constants.EPHEMERAL_IDS))

    def _rows(self, columns: Columns, mids: Sequence[int]) -> tuple[nspi.Row, ...]:
        return tuple([columns.row(self._book.by_mid(mid)) for mid in mids])


def _require_zero(*reserved: object) -> None:
    if any(reserved):
        raise NspiError(constants.INVALID_PARAMETER)


def _require_code_page(code_page: int) -> None:
    if code_page not in CODE_PAGES:
        raise NspiError(constants.INVALID_CODEPAGE)


def _require_order(stat: nspi.Stat) -> None:
    _require_code_page(stat.code_page)
    if stat.sort_type != constants.SORT_DISPLAY_NAME:
        raise NspiError(constants.GENERAL_FAILURE)


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
