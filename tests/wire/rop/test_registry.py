"""Every ROP of the registry: its numbers agree, and whatever its fields hold comes back from the wire."""

from functools import cache
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyProblem, PropertyRow, PropertyValue
from loadgen.wire.property_names import PropertyName
from loadgen.wire.recipients import smtp_recipient
from loadgen.wire.restrictions import RestrictExist
from loadgen.wire.rop.layout import Fixed
from loadgen.wire.rop.oxcfold import ExistingFolder, RopMoveCopyMessagesNullDestinationResponse
from loadgen.wire.rop.oxcfxics_upload import LongTermIdRange, MessageReadState
from loadgen.wire.rop.oxcmsg import ModifyRecipientRow, OpenRecipientRow, PublicReadStatus, ReadRecipientRow
from loadgen.wire.rop.oxcstor import (
    RopGetReceiveFolderTableResponse,
    RopLogonPublicResponse,
    RopLogonRedirectResponse,
    receive_folder_row,
)
from loadgen.wire.rop.oxctabl import SortOrder
from loadgen.wire.rop.registry import REQUESTS, UNREQUESTED
from loadgen.wire.rop.replicas import ReplicaServers
from loadgen.wire.typed_string import TypedString

COLUMNS = (0x0037001F, 0x0E070003)
U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
U64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0"), max_size=20)
ROWS = st.builds(lambda subject, flags: PropertyRow.of(COLUMNS, (subject, flags)), TEXT, U32)
RECIPIENTS = st.builds(smtp_recipient, TEXT, TEXT, ROWS)
OPEN_RECIPIENTS = st.builds(OpenRecipientRow, U8, U16, RECIPIENTS, U16)
SERVERS = st.builds(lambda names: ReplicaServers(len(names), tuple(names)), st.lists(TEXT, max_size=3))


def tuples(elements):
    return st.lists(elements, max_size=3).map(tuple)


FIXED = {
    "B": U8,
    "H": U16,
    "I": U32,
    "Q": U64,
    "i": st.integers(-(1 << 31), (1 << 31) - 1),
    "q": st.integers(-(1 << 63), (1 << 63) - 1),
    "?": st.booleans(),
    "?x": st.booleans(),
}
BY_TYPE = {
    str: TEXT,
    bytes: st.binary(max_size=50),
    PropertyRow: ROWS,
    PropertyRow | None: st.none() | ROWS,
    int | None: st.none() | U64,
    TypedString: st.builds(TypedString.of, st.none() | TEXT),
    ReplicaServers: SERVERS,
    ReplicaServers | None: st.none() | SERVERS,
    ExistingFolder | None: st.none() | st.builds(ExistingFolder, st.booleans(), st.none() | SERVERS),
    PublicReadStatus | None: st.none() | st.builds(PublicReadStatus, U8, st.binary(min_size=24, max_size=24)),
    tuple[str, ...]: tuples(TEXT),
    tuple[PropertyProblem, ...]: tuples(st.builds(PropertyProblem, U16, U32, U32)),
    tuple[PropertyValue, ...]: tuples(st.builds(PropertyValue, st.just(0x0037001F), TEXT)),
    tuple[PropertyName, ...]: tuples(st.builds(PropertyName, st.binary(min_size=16, max_size=16), U32)),
    tuple[SortOrder, ...]: tuples(st.builds(SortOrder, U32, U8)),
    tuple[PropertyRow, ...]: tuples(ROWS),
    tuple[OpenRecipientRow, ...]: tuples(OPEN_RECIPIENTS),
    tuple[ReadRecipientRow, ...]: tuples(st.builds(ReadRecipientRow, U32, OPEN_RECIPIENTS)),
    tuple[MessageReadState, ...]: tuples(st.builds(MessageReadState, st.binary(max_size=24), st.booleans())),
    tuple[LongTermIdRange, ...]: tuples(
        st.builds(LongTermIdRange, *[st.binary(min_size=24, max_size=24)] * 2)
    ),
    tuple[ModifyRecipientRow, ...]: tuples(st.builds(ModifyRecipientRow, U32, U8, st.none() | RECIPIENTS)),
}
BY_NAME = {
    "recipient_columns": st.just(COLUMNS),
    "restriction": st.none() | st.builds(RestrictExist, U32),
    "folder_ids": st.lists(U64, min_size=13, max_size=13).map(tuple),
    "long_term_ids": tuples(st.binary(min_size=24, max_size=24)),
    "property_ids": tuples(U16),
    "property_tags": tuples(U32),
    "message_ids": tuples(U64),
    "handle_index": U8,
    "return_value": st.just(0),
    "folder_id": U64,
    "message_id": U64,
    "want_whole_store": st.just(False),  # or there are no ids
    "client_data": st.just(b""),  # a matter of the logon
    "category_count": U16,
    "expanded_count": U16,
    "maximum_byte_count": st.just(0),  # a matter of byte_count
    "maximum_buffer_size": st.just(0),  # a matter of buffer_size
    "backoff_time_ms": st.just(0),  # a matter of return_value
    "version": st.tuples(U16, U16, U16),
    "source_keys": tuples(st.binary(max_size=24)),
    "row_no_longer_visible": st.booleans(),
}
OF_RECEIVE_FOLDERS = tuples(st.builds(receive_folder_row, U64, TEXT, U64))


def value_of(name, hint):
    """Any value of a field, by the form in its annotation, its name or its type."""
    if get_origin(hint) is Annotated:
        kind, form = get_args(hint)[:2]
        if isinstance(form, Fixed):
            if form.code in FIXED:
                return FIXED[form.code]
            size = int(form.code.removesuffix("s"))
            return st.binary(min_size=size, max_size=size)
        hint = kind
    return BY_NAME[name] if name in BY_NAME else BY_TYPE[hint]


@cache
def any_of(message):
    hints = get_type_hints(message, include_extras=True)
    fields = {name: value_of(name, hints[name]) for name in message.__struct_fields__}
    if message is RopGetReceiveFolderTableResponse:
        fields["rows"] = OF_RECEIVE_FOLDERS
    return st.builds(message, **fields)


ANSWERED = [request for request in REQUESTS.values() if request.answered]
RESPONSES = [
    *(request.response for request in ANSWERED),
    RopLogonPublicResponse,
    RopLogonRedirectResponse,
    RopMoveCopyMessagesNullDestinationResponse,
]


def written(rop):
    writer = Writer()
    rop.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize("request_type", REQUESTS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=25)  # times 82 classes
@given(data=st.data())
def test_any_request_comes_back_from_the_wire(request_type, data):
    rop = data.draw(any_of(request_type))
    reader = Reader(written(rop))
    assert reader.u8("RopId") == request_type.rop_id
    assert request_type.read(reader) == rop
    reader.expect_end("request")


@pytest.mark.parametrize("response_type", RESPONSES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)  # times 82 classes
@given(data=st.data())
def test_any_response_comes_back_from_the_wire(response_type, data):
    rop = data.draw(any_of(response_type))
    reader = Reader(written(rop))
    assert reader.u8("RopId") == response_type.rop_id
    assert reader.u8("HandleIndex") == rop.handle_index
    assert response_type.read(reader, rop.handle_index, reader.u32("ReturnValue"), COLUMNS) == rop
    reader.expect_end("response")


@pytest.mark.parametrize("request_type", ANSWERED, ids=lambda kind: kind.__name__)
@settings(max_examples=25)  # times 82 classes
@given(data=st.data(), return_value=st.sampled_from([0, 0x478, 0x503, 0x80004005]))
def test_a_request_and_its_response_have_one_id(request_type, data, return_value):
    assert data.draw(any_of(request_type)).response_type(return_value).rop_id == request_type.rop_id


def test_what_a_server_adds_has_ids_of_its_own():
    assert sorted(UNREQUESTED) == [0x2A, 0x6E, 0xF9, 0xFF]
    assert not UNREQUESTED.keys() & REQUESTS.keys()
