"""The address book interface as a global catalog serves it ([MS-OXNSPI] 3.1)."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from loadgen.wire import nspi
from mock_server.address_book import AddressBook
from mock_server.directory import Directory
from mock_server.rpc.dispatch import CallContext, Interface, Method
from mock_server.rpc.nspi_error import NspiError
from mock_server.rpc.nspi_service import NspiService, NspiSession
from mock_server.rpc.nspi_use import NspiUse


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


def nspi_interface(directory: Directory, use: NspiUse | None = None) -> Interface:
    """NSPI 56.0 over the address book of ``directory``; ``use`` counts what clients do, and limits it."""
    use = use or NspiUse()
    service = NspiService(AddressBook(directory), use)
    session: dict[int, Method] = {
        nspi.NspiBindRequest.opnum: service.bind,
        nspi.NspiUnbindRequest.opnum: service.unbind,
    }
    methods = session | _table_methods(service) | _object_methods(service)
    return Interface(nspi.INTERFACE, {opnum: use.counted(opnum, method) for opnum, method in methods.items()})


def _table_methods(service: NspiService) -> dict[int, Method]:
    """Rows of the address book, and where they stand."""
    return {
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
        nspi.NspiResortRestrictionRequest.opnum: _method(
            nspi.NspiResortRestrictionRequest.decode,
            service.resort_restriction,
            lambda request, code: nspi.NspiResortRestrictionResponse(request.stat, None, code),
        ),
        nspi.NspiCompareMIdsRequest.opnum: _method(
            nspi.NspiCompareMIdsRequest.decode,
            service.compare_mids,
            lambda _request, code: nspi.NspiCompareMIdsResponse(0, code),
        ),
        nspi.NspiQueryColumnsRequest.opnum: _method(
            nspi.NspiQueryColumnsRequest.decode,
            service.query_columns,
            lambda _request, code: nspi.NspiQueryColumnsResponse(None, code),
        ),
        nspi.NspiGetSpecialTableRequest.opnum: _method(
            _special_table_request,
            service.get_special_table,
            lambda _request, code: nspi.NspiGetSpecialTableResponse(0, None, code),
        ),
    }


def _object_methods(service: NspiService) -> dict[int, Method]:
    """Single entries, by name or by id, and the changes that no client may make."""
    return {
        nspi.NspiDNToMIdRequest.opnum: _method(
            nspi.NspiDNToMIdRequest.decode,
            service.dn_to_mid,
            lambda _request, code: nspi.NspiDNToMIdResponse(None, code),
        ),
        nspi.NspiResolveNamesRequest.opnum: _method(
            nspi.NspiResolveNamesRequest.decode, service.resolve_names, _refuse_names
        ),
        nspi.NspiResolveNamesWRequest.opnum: _method(
            nspi.NspiResolveNamesWRequest.decode, service.resolve_names, _refuse_names
        ),
        nspi.NspiGetPropListRequest.opnum: _method(
            nspi.NspiGetPropListRequest.decode,
            service.get_prop_list,
            lambda _request, code: nspi.NspiGetPropListResponse(None, code),
        ),
        nspi.NspiGetPropsRequest.opnum: _method(
            nspi.NspiGetPropsRequest.decode,
            service.get_props,
            lambda _request, code: nspi.NspiGetPropsResponse(None, code),
        ),
        nspi.NspiModPropsRequest.opnum: _method(
            nspi.NspiModPropsRequest.decode,
            service.mod_props,
            lambda _request, code: nspi.NspiModPropsResponse(code),
        ),
        nspi.NspiModLinkAttRequest.opnum: _method(
            nspi.NspiModLinkAttRequest.decode,
            service.mod_link_att,
            lambda _request, code: nspi.NspiModLinkAttResponse(code),
        ),
        nspi.NspiGetTemplateInfoRequest.opnum: _method(
            nspi.NspiGetTemplateInfoRequest.decode,
            service.get_template_info,
            lambda _request, code: nspi.NspiGetTemplateInfoResponse(None, code),
        ),
    }


def _refuse_names(_request: object, code: int) -> nspi.NspiResolveNamesResponse:
    return nspi.NspiResolveNamesResponse(None, None, code)
