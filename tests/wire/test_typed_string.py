"""TypedString, written out from the table of [MS-OXCDATA] 2.11.7; vectors are in rop/."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.typed_string import EMPTY, NONE, REDUCED_UNICODE, STRING8, UNICODE, TypedString


def bytes_of(text):
    writer = Writer()
    text.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("00", TypedString(NONE)),
        ("01", TypedString(EMPTY)),
        ("02 e900", TypedString(STRING8, "é")),
        ("03 e900", TypedString(REDUCED_UNICODE, "é")),
        ("04 ac200000", TypedString(UNICODE, "€")),
    ],
)
def test_every_form(data, text):
    wire = bytes.fromhex(data)
    assert TypedString.read(Reader(wire), "Subject") == text
    assert bytes_of(text) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            TypedString.read(Reader(wire[:size]), "Subject")


def test_an_unknown_form_is_refused():
    with pytest.raises(WireError, match="Subject"):
        TypedString.read(Reader(b"\5"), "Subject")


@pytest.mark.parametrize(
    ("text", "string_type"), [(None, NONE), ("", EMPTY), ("é", REDUCED_UNICODE), ("€", UNICODE)]
)
def test_the_shortest_form_is_picked(text, string_type):
    assert TypedString.of(text) == TypedString(string_type, text or "")


@given(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back(text):
    typed = TypedString.of(text)
    assert TypedString.read(Reader(bytes_of(typed)), "Subject") == typed
