"""One address book session of a client ([MS-OXNSPI] 3.2): its context handle and its place in a table.

The session knows what was asked, so it can tell whether an answer fits: a directory under load that returns
other people's rows, or fewer than it announces, must not count as a success.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from loadgen.errors import LocalProtocolError, MapiError, WrongAnswer
from loadgen.wire import nspi
from loadgen.wire.nspi import constants, tags
from loadgen.wire.nspi.constants import MId
from loadgen.wire.properties import PidTagDisplayName, PropertyTag, PropertyValue, PtypErrorCode, Value
from loadgen.wire.restrictions import EQUAL

_NOTHING: Final[Mapping[PropertyTag, Value]] = MappingProxyType({})


class AddressList(msgspec.Struct, frozen=True, gc=False):
    """A table that can be browsed; ``name`` is "" where the server gives none, as for the global list."""

    container_id: int
    name: str
    flags: int
    depth: int


class ResolvedName(msgspec.Struct, frozen=True):
    """What became of a name: UNRESOLVED, AMBIGUOUS, or RESOLVED to ``row``."""

    name: str | None
    outcome: int
    row: nspi.Row = ()


class NspiSession:
    """Builds the calls of one session and takes their answers.

    Every method that takes an answer raises :class:`MapiError` for a return value other than success, and
    :class:`WrongAnswer` for an answer that does not fit its request. ``stat`` is where the session stands in
    the table that it browses; ``expected`` values are those that a row must hold because we know them.
    """

    __slots__ = ("_handle", "server_guid", "stat")

    def __init__(
        self, code_page: int = constants.DEFAULT_CODE_PAGE, locale: int = constants.DEFAULT_LOCALE
    ) -> None:
        self._handle = nspi.NO_HANDLE
        self.server_guid = bytes(16)
        self.stat = nspi.Stat(code_page=code_page, template_locale=locale, sort_locale=locale)

    @property
    def bound(self) -> bool:
        """Whether the session is open."""
        return self._handle != nspi.NO_HANDLE

    @property
    def at_end(self) -> bool:
        """Whether no rows are left in the table from where the session stands."""
        return self.stat.current_rec == constants.END_OF_TABLE

    def bind(self) -> nspi.NspiBindRequest:
        """The call that opens the session."""
        if self.bound:
            raise LocalProtocolError("NspiBind on a session that is bound")
        return nspi.NspiBindRequest(self.stat, server_guid=bytes(16))

    def take_bound(self, response: nspi.NspiBindResponse) -> None:
        """The session is open."""
        _require("NspiBind", response.return_value)
        if response.handle == nspi.NO_HANDLE or response.server_guid is None:
            raise WrongAnswer("NspiBind succeeded without a handle or a server GUID")
        self._handle = response.handle
        self.server_guid = response.server_guid

    def unbind(self) -> nspi.NspiUnbindRequest:
        """The call that ends the session; there is none any more from now on."""
        request = nspi.NspiUnbindRequest(self._require_handle())
        self._handle = nspi.NO_HANDLE
        return request

    def take_unbound(self, response: nspi.NspiUnbindResponse) -> None:
        """The server agrees that the session is over."""
        _require("NspiUnbind", response.return_value, constants.UNBIND_SUCCESS)
        if response.handle != nspi.NO_HANDLE:
            raise WrongAnswer("NspiUnbind left a context handle")

    def special_table(self) -> nspi.NspiGetSpecialTableRequest:
        """The call that lists the address lists."""
        return nspi.NspiGetSpecialTableRequest(self._require_handle(), self.stat)

    def take_special_table(self, response: nspi.NspiGetSpecialTableResponse) -> tuple[AddressList, ...]:
        """The address lists, the global one among them."""
        _require("NspiGetSpecialTable", response.return_value)
        lists = tuple(_address_list(row) for row in response.rows or ())
        if not any(address_list.container_id == 0 for address_list in lists):
            raise WrongAnswer("NspiGetSpecialTable without a global address list")
        return lists

    def find(self, dns: Sequence[str]) -> nspi.NspiDNToMIdRequest:
        """The call that asks which objects have these distinguished names."""
        return nspi.NspiDNToMIdRequest(self._require_handle(), tuple(dns))

    def take_found(
        self, request: nspi.NspiDNToMIdRequest, response: nspi.NspiDNToMIdResponse
    ) -> tuple[MId, ...]:
        """One MId for each name, 0 where there is no such object."""
        _require("NspiDNToMId", response.return_value)
        return _mids("NspiDNToMId", response.mids, len(request.names))

    def read(self, mid: MId, columns: Sequence[PropertyTag]) -> nspi.NspiGetPropsRequest:
        """The call that reads an object's properties."""
        stat = msgspec.structs.replace(self.stat, current_rec=mid)
        return nspi.NspiGetPropsRequest(self._require_handle(), stat, tuple(columns))

    def take_read(
        self,
        request: nspi.NspiGetPropsRequest,
        response: nspi.NspiGetPropsResponse,
        expected: Mapping[PropertyTag, Value] = _NOTHING,
    ) -> nspi.Row:
        """The values; those that the object has not are of type PtypErrorCode."""
        if response.return_value != constants.ERRORS_RETURNED:
            _require("NspiGetProps", response.return_value)
        if response.row is None:
            raise WrongAnswer("NspiGetProps succeeded without a row")
        _require_columns("NspiGetProps", (response.row,), request.prop_tags)
        _require_values("NspiGetProps", response.row, expected)
        return response.row

    def template(self, display_type: int = constants.DT_MAILUSER) -> nspi.NspiGetTemplateInfoRequest:
        """The call that asks how to show the details of an object of this type, before they are read."""
        return nspi.NspiGetTemplateInfoRequest(
            self._require_handle(),
            display_type,
            code_page=self.stat.code_page,
            locale=self.stat.template_locale,
        )

    def take_template(self, response: nspi.NspiGetTemplateInfoResponse) -> bytes | None:
        """The dialog ([MS-OXOABKT] 2.2.1); None if the directory has none, and no details are shown."""
        if response.return_value == constants.NOT_FOUND:
            return None
        _require("NspiGetTemplateInfo", response.return_value)
        template: bytes | None = value_of(response.row or (), tags.PidTagTemplateData)
        if template is None:
            raise WrongAnswer("NspiGetTemplateInfo succeeded without a template")
        return template

    def resolve(self, names: Sequence[str], columns: Sequence[PropertyTag]) -> nspi.NspiResolveNamesWRequest:
        """The call that asks whom names mean, in the global address list."""
        stat = nspi.Stat(
            code_page=self.stat.code_page,
            template_locale=self.stat.template_locale,
            sort_locale=self.stat.sort_locale,
        )
        return nspi.NspiResolveNamesWRequest(self._require_handle(), stat, tuple(names), tuple(columns))

    def take_resolved(
        self,
        request: nspi.NspiResolveNamesWRequest,
        response: nspi.NspiResolveNamesResponse,
        expected: Sequence[Mapping[PropertyTag, Value]] = (),
    ) -> tuple[ResolvedName, ...]:
        """What became of each name, in order; ``expected`` says for each name what its row must hold."""
        call = "NspiResolveNamesW"
        _require(call, response.return_value)
        outcomes = _mids(call, response.mids, len(request.names))
        rows = response.rows or ()
        if any(outcome > constants.RESOLVED for outcome in outcomes):
            raise WrongAnswer(f"{call}: outcomes {outcomes}")
        if len(rows) != outcomes.count(constants.RESOLVED):
            raise WrongAnswer(f"{call}: {len(rows)} rows for outcomes {outcomes}")
        _require_columns(call, rows, request.prop_tags)
        rest = iter(rows)
        resolved = tuple(
            ResolvedName(name, outcome, next(rest) if outcome == constants.RESOLVED else ())
            for name, outcome in zip(request.names, outcomes, strict=True)
        )
        for name, known in zip(resolved, expected, strict=False):
            if name.outcome == constants.RESOLVED:
                _require_values(call, name.row, known)
        return resolved

    def match(self, name: str, limit: int, columns: Sequence[PropertyTag]) -> nspi.NspiGetMatchesRequest:
        """The call that lists up to ``limit`` objects that a name may mean."""
        stat = msgspec.structs.replace(self.stat, current_rec=constants.BEGINNING_OF_TABLE)
        anr = nspi.PropertyRestriction(EQUAL, tags.PidTagAnr, PropertyValue(tags.PidTagAnr, name))
        return nspi.NspiGetMatchesRequest(self._require_handle(), stat, anr, limit, tuple(columns))

    def take_matched(
        self, request: nspi.NspiGetMatchesRequest, response: nspi.NspiGetMatchesResponse
    ) -> tuple[nspi.Row, ...]:
        """A row for each object."""
        _require("NspiGetMatches", response.return_value)
        rows = response.rows or ()
        _mids("NspiGetMatches", response.mids or (), len(rows))
        if len(rows) > request.requested:
            raise WrongAnswer(f"NspiGetMatches: {len(rows)} rows, {request.requested} were wanted")
        _require_columns("NspiGetMatches", rows, request.prop_tags)
        return rows

    def go_to(
        self, container_id: int, numerator: int = 0, denominator: int = 1
    ) -> nspi.NspiUpdateStatRequest:
        """The call that goes to a fraction of a table: its beginning, its middle (1, 2), its end (1, 1)."""
        stat = msgspec.structs.replace(
            self.stat,
            container_id=container_id,
            current_rec=constants.CURRENT if numerator else constants.BEGINNING_OF_TABLE,
            delta=0,
            num_pos=numerator,
            total_recs=denominator if numerator else 0,
        )
        return nspi.NspiUpdateStatRequest(self._require_handle(), stat, delta=0)

    def scroll(self, rows: int) -> nspi.NspiUpdateStatRequest:
        """The call that moves by ``rows``, backwards if negative."""
        return nspi.NspiUpdateStatRequest(
            self._require_handle(), msgspec.structs.replace(self.stat, delta=rows), delta=0
        )

    def take_moved(self, request: nspi.NspiUpdateStatRequest, response: nspi.NspiUpdateStatResponse) -> int:
        """By how many rows the position really moved."""
        _require("NspiUpdateStat", response.return_value)
        if response.delta is None:
            raise WrongAnswer("NspiUpdateStat does not say how far it moved")
        self._take_stat("NspiUpdateStat", request.stat, response.stat)
        return response.delta

    def seek(self, name: str, columns: Sequence[PropertyTag] | None = None) -> nspi.NspiSeekEntriesRequest:
        """The call that goes to the first row whose display name is not before ``name``."""
        return nspi.NspiSeekEntriesRequest(
            self._require_handle(),
            self.stat,
            PropertyValue(PidTagDisplayName, name),
            prop_tags=None if columns is None else tuple(columns),
        )

    def take_sought(
        self, request: nspi.NspiSeekEntriesRequest, response: nspi.NspiSeekEntriesResponse
    ) -> tuple[nspi.Row, ...]:
        """The rows from there, if columns were named; raises :class:`MapiError` if all names are before."""
        _require("NspiSeekEntries", response.return_value)
        rows = response.rows or ()
        _require_columns("NspiSeekEntries", rows, request.prop_tags)
        self._take_stat("NspiSeekEntries", request.stat, response.stat)
        return rows

    def query_rows(self, count: int, columns: Sequence[PropertyTag]) -> nspi.NspiQueryRowsRequest:
        """The call that reads up to ``count`` rows and goes on behind them."""
        return nspi.NspiQueryRowsRequest(self._require_handle(), self.stat, count, tuple(columns))

    def take_rows(
        self, request: nspi.NspiQueryRowsRequest, response: nspi.NspiQueryRowsResponse
    ) -> tuple[nspi.Row, ...]:
        """The rows; as many as were asked for, or fewer; none at the end of the table only."""
        _require("NspiQueryRows", response.return_value)
        rows = response.rows or ()
        if len(rows) > request.count:
            raise WrongAnswer(f"NspiQueryRows: {len(rows)} rows, {request.count} were wanted")
        _require_columns("NspiQueryRows", rows, request.prop_tags)
        self._take_stat("NspiQueryRows", request.stat, response.stat)
        if not self.at_end and (not rows or self.stat.current_rec == request.stat.current_rec):
            raise WrongAnswer(
                f"NspiQueryRows: {len(rows)} rows, and no way on from MId {self.stat.current_rec:#x}"
            )
        return rows

    def _take_stat(self, call: str, asked: nspi.Stat, answered: nspi.Stat) -> None:
        same = msgspec.structs.replace(
            asked,
            current_rec=answered.current_rec,
            delta=0,
            num_pos=answered.num_pos,
            total_recs=answered.total_recs,
        )
        if (
            answered != same
            or answered.current_rec == constants.CURRENT
            or answered.num_pos > answered.total_recs
        ):
            raise WrongAnswer(f"{call}: asked from {asked}, now at {answered}")
        self.stat = answered

    def _require_handle(self) -> bytes:
        if not self.bound:
            raise LocalProtocolError("a call of a session that is not bound")
        return self._handle


def value_of(row: nspi.Row, tag: PropertyTag, default: Value = None) -> Value:
    """What ``row`` holds for ``tag``; ``default`` if there is no such column, or an error in it."""
    return next((value.value for value in row if value.tag == tag), default)


def _address_list(row: nspi.Row) -> AddressList:
    container_id = value_of(row, tags.PidTagAddressBookContainerId)
    if container_id is None:
        raise WrongAnswer("NspiGetSpecialTable: a row without container id")
    return AddressList(
        container_id,
        value_of(row, PidTagDisplayName) or "",
        value_of(row, tags.PidTagContainerFlags, 0),
        value_of(row, tags.PidTagDepth, 0),
    )


def _require(call: str, return_value: int, success: int = constants.SUCCESS) -> None:
    if return_value != success:
        raise MapiError(call, return_value)


def _mids(call: str, mids: tuple[int, ...] | None, count: int) -> tuple[MId, ...]:
    if mids is None or len(mids) != count:
        raise WrongAnswer(f"{call}: {0 if mids is None else len(mids)} MIds instead of {count}")
    return tuple(map(MId, mids))


def _require_columns(call: str, rows: Sequence[nspi.Row], columns: tuple[int, ...] | None) -> None:
    if columns is None:
        return
    wanted = list(columns)
    for row in rows:
        tags = [value.tag for value in row]
        if tags != wanted and (len(tags) != len(wanted) or not all(map(_fits, tags, wanted))):
            raise WrongAnswer(f"{call}: a row of {[f'{tag:08X}' for tag in tags]}")


def _fits(tag: int, column: PropertyTag) -> bool:
    return tag in (column, column & 0xFFFF0000 | PtypErrorCode)


def _require_values(call: str, row: nspi.Row, expected: Mapping[PropertyTag, Value]) -> None:
    for tag, value in expected.items():
        if value_of(row, tag) != value:
            raise WrongAnswer(f"{call}: 0x{tag:08X} is {value_of(row, tag)!r}, should be {value!r}")
