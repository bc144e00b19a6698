import pytest

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.presentation import (
    KEEP_CONNECTION_ON_ORPHAN,
    NDR,
    NDR64,
    NEGOTIATE_ACK,
    SECURITY_CONTEXT_MULTIPLEXING,
    ContextResult,
    PresentationContext,
    SyntaxId,
    bind_time_features,
    offered_features,
)

BOTH = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN
ON_THE_WIRE = {
    # [MS-OXCRPC] 1.9, [MS-OXNSPI] 1.9, [MS-OXABREF] 1.9, [C706] appendices I and Q: as bytes
    SyntaxId.of("A4F1DB00-CA47-1067-B31F-00DD010662DA", 0, 81): "00dbf1a447ca6710b31f00dd010662da 00005100",
    SyntaxId.of("F5CC5A18-4264-101A-8C59-08002B2F8426", 56): "185accf564421a108c5908002b2f8426 38000000",
    SyntaxId.of("1544F5E0-613C-11D1-93DF-00C04FD7BD09", 1): "e0f544153c61d11193df00c04fd7bd09 01000000",
    NDR: "045d888aeb1cc9119fe808002b104860 02000000",
    NDR64: "33057171babe37498319b5dbef9ccc36 01000000",
    bind_time_features(BOTH): "2c1cb76c129840450300000000000000 01000000",
}


@pytest.mark.parametrize(("syntax", "text"), ON_THE_WIRE.items())
def test_syntax_ids_are_written_as_their_specifications_print_them(syntax: SyntaxId, text: str) -> None:
    writer = Writer()
    PresentationContext(0, NDR, (syntax,)).write(writer)
    assert writer.getvalue()[24:] == bytes.fromhex(text)
    assert PresentationContext.read(Reader(writer.getvalue())).transfer_syntaxes == (syntax,)


@pytest.mark.parametrize(
    ("syntax", "mask"),
    [
        (bind_time_features(BOTH), 3),
        (bind_time_features(0), 0),
        (NDR, None),
        (SyntaxId(bind_time_features(1).uuid, 2), None),
    ],
)
def test_features_are_told_from_other_syntaxes(syntax: SyntaxId, mask: int | None) -> None:
    assert offered_features(syntax) == mask


def test_a_result_may_grant_features() -> None:
    wire = bytes.fromhex("0300 0300") + bytes(20)
    writer = Writer()
    ContextResult(NEGOTIATE_ACK, BOTH).write(writer)
    assert writer.getvalue() == wire
    assert ContextResult.read(Reader(wire)) == ContextResult(NEGOTIATE_ACK, BOTH)


def test_a_context_must_hold_the_syntaxes_that_it_counts() -> None:
    writer = Writer()
    PresentationContext(1, NDR, (NDR, NDR64)).write(writer)
    for size in range(len(writer)):
        with pytest.raises(WireError):
            PresentationContext.read(Reader(writer.getvalue()[:size]))
