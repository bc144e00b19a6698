"""Properties of whatever has them ([MS-OXCPRPT] 3.2.5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.wire.properties import (
    PropertyError,
    PropertyProblem,
    PropertyRow,
    PropertyTag,
    PropertyValue,
    PtypErrorCode,
    PtypObject,
    PtypString,
    PtypString8,
    PtypUnspecified,
    TypedPropertyValue,
    Value,
)
from loadgen.wire.property_names import PS_MAPI, PropertyName
from loadgen.wire.rop import oxcprpt as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.named_properties import FIRST_ID
from mock_server.mailboxes.property_bag import read_property, value_size
from mock_server.rops.call import (
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    OUT_OF_MEMORY,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import Logon, PropertyHolder, find_holder

_OVERHEAD_OF_VALUE: Final = 8
"""At most so many bytes stand beside a value, or in place of it, in an answer."""

_HEADER: Final = 16


def get_properties_specific(call: RopCall, request: wire.RopGetPropertiesSpecificRequest) -> RopResponse:
    """RopGetPropertiesSpecific ([MS-OXCPRPT] 3.2.5.1): what is too large must be read as a stream."""
    holder = find_holder(call, request.input_handle_index)
    tags = request.property_tags
    room = call.room - _HEADER - _OVERHEAD_OF_VALUE * len(tags)
    values: list[Value] = []
    for tag in tags:
        value = _read(holder, tag, unicode=bool(request.want_unicode))
        size = _size_in_row(tag, value)
        if size > room or 0 < request.property_size_limit < size:
            value, size = PropertyError(OUT_OF_MEMORY), 0
        room -= size
        values.append(value)
    return wire.RopGetPropertiesSpecificResponse(request.input_handle_index, PropertyRow.of(tags, values))


def get_properties_all(call: RopCall, request: wire.RopGetPropertiesAllRequest) -> RopResponse:
    """RopGetPropertiesAll ([MS-OXCPRPT] 3.2.5.2)."""
    holder = find_holder(call, request.input_handle_index)
    tags = _readable_tags(holder, unicode=bool(request.want_unicode))
    room = call.room - _HEADER - _OVERHEAD_OF_VALUE * len(tags)
    values = []
    for tag in tags:
        value = read_property(holder, tag)
        size = _size_in_row(tag, value)
        if size > room or 0 < request.property_size_limit < size:
            values.append(PropertyValue(tag & ~0xFFFF | PtypErrorCode, OUT_OF_MEMORY))
        else:
            room -= size
            values.append(PropertyValue(tag, value))
    return wire.RopGetPropertiesAllResponse(request.input_handle_index, tuple(values))


def get_properties_list(call: RopCall, request: wire.RopGetPropertiesListRequest) -> RopResponse:
    """RopGetPropertiesList ([MS-OXCPRPT] 3.2.5.3)."""
    holder = find_holder(call, request.input_handle_index)
    tags = tuple(_readable_tags(holder, unicode=True))
    return wire.RopGetPropertiesListResponse(request.input_handle_index, tags)


def set_properties(call: RopCall, request: wire.RopSetPropertiesRequest) -> RopResponse:
    """RopSetProperties ([MS-OXCPRPT] 3.2.5.4): those that may not be set are reported, the others are set."""
    holder = find_holder(call, request.input_handle_index)
    if any(value.tag & 0xFFFF in (PtypUnspecified, PtypErrorCode, PtypObject) for value in request.values):
        raise RopError(INVALID_PARAMETER)
    problems = _problems(holder, [value.tag for value in request.values])
    refused = {problem.index for problem in problems}
    accepted = {value.tag: value.value for i, value in enumerate(request.values) if i not in refused}
    if accepted:
        holder.change(accepted, ())
    return wire.RopSetPropertiesResponse(request.input_handle_index, problems)


def delete_properties(call: RopCall, request: wire.RopDeletePropertiesRequest) -> RopResponse:
    """RopDeleteProperties ([MS-OXCPRPT] 3.2.5.5): what is not there counts as deleted."""
    holder = find_holder(call, request.input_handle_index)
    problems = _problems(holder, request.property_tags)
    refused = {problem.index for problem in problems}
    accepted = [tag for i, tag in enumerate(request.property_tags) if i not in refused]
    if accepted:
        holder.change({}, accepted)
    return wire.RopDeletePropertiesResponse(request.input_handle_index, problems)


def get_property_ids_from_names(
    call: RopCall, request: wire.RopGetPropertyIdsFromNamesRequest
) -> RopResponse:
    """RopGetPropertyIdsFromNames ([MS-OXCPRPT] 3.2.5.9)."""
    find_holder(call, request.input_handle_index)
    if request.flags not in (wire.LOOK_UP_ONLY, wire.CREATE_NAMES):
        raise RopError(INVALID_PARAMETER)
    create = request.flags == wire.CREATE_NAMES
    ids = tuple(_id_of(call, name, create=create) for name in request.names)
    return wire.RopGetPropertyIdsFromNamesResponse(
        request.input_handle_index, ids, return_value=0 if all(ids) else wire.WARN_WITH_ERRORS
    )


def _id_of(call: RopCall, name: PropertyName, *, create: bool) -> int:
    if name.guid == PS_MAPI:
        return name.lid if name.lid is not None and name.lid < FIRST_ID else 0
    return call.session.store.names.id_of(name, create=create)


def get_names_from_property_ids(
    call: RopCall, request: wire.RopGetNamesFromPropertyIdsRequest
) -> RopResponse:
    """RopGetNamesFromPropertyIds ([MS-OXCPRPT] 3.2.5.8)."""
    find_holder(call, request.input_handle_index)
    names = tuple(_name_of(call, property_id) for property_id in request.property_ids)
    return wire.RopGetNamesFromPropertyIdsResponse(request.input_handle_index, names)


def _name_of(call: RopCall, property_id: int) -> PropertyName:
    if property_id < FIRST_ID:
        return PropertyName(PS_MAPI, lid=property_id)
    return call.session.store.names.name_of(property_id) or PropertyName(bytes(16))


def progress(call: RopCall, request: wire.RopProgressRequest) -> RopResponse:
    """RopProgress ([MS-OXCPRPT] 3.2.5.22): nothing goes on in the background."""
    call.find(request.input_handle_index, Logon)
    raise RopError(NOT_SUPPORTED)


def _read(holder: PropertyHolder, tag: PropertyTag, *, unicode: bool) -> Value:
    """The value for a row; its absence is an error there."""
    value = read_property(holder, tag)
    if value is None:
        return PropertyError(NOT_FOUND)
    if not unicode and isinstance(value, TypedPropertyValue) and value.property_type == PtypString:
        return TypedPropertyValue(PtypString8, read_property(holder, tag & ~0xFFFF | PtypString8))
    return value


def _size_in_row(tag: PropertyTag, value: Value) -> int:
    if isinstance(value, TypedPropertyValue):
        return value_size(value.property_type, value.value)
    return 0 if isinstance(value, PropertyError) else value_size(tag, value)


def _readable_tags(holder: PropertyHolder, *, unicode: bool) -> list[PropertyTag]:
    tags = [tag for tag in holder.tags() if holder.get(tag) is not None]
    if unicode:
        return tags
    return [tag & ~0xFFFF | PtypString8 if tag & 0xFFFF == PtypString else tag for tag in tags]


def _problems(holder: PropertyHolder, tags: Iterable[PropertyTag]) -> tuple[PropertyProblem, ...]:
    return tuple(
        PropertyProblem(index, tag, code) for index, tag in enumerate(tags) if (code := holder.refusal(tag))
    )


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopGetPropertiesSpecificRequest: get_properties_specific,
    wire.RopGetPropertiesAllRequest: get_properties_all,
    wire.RopGetPropertiesListRequest: get_properties_list,
    wire.RopSetPropertiesRequest: set_properties,
    wire.RopDeletePropertiesRequest: delete_properties,
    wire.RopGetPropertyIdsFromNamesRequest: get_property_ids_from_names,
    wire.RopGetNamesFromPropertyIdsRequest: get_names_from_property_ids,
    wire.RopProgressRequest: progress,
}
