"""Messages in streams, against a foreign upload and any content."""

import pytest
from hypothesis import given

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Property, encode
from loadgen.wire.fasttransfer.markers import (
    EndEmbed,
    EndToRecip,
    IncrSyncEnd,
    MetaTagFXDelProp,
    NewAttach,
    StartEmbed,
    StartRecip,
)
from loadgen.wire.fasttransfer.message import Attachment, MessageContent, Recipient, value_of
from loadgen.wire.properties import PidTagAttachMethod, PidTagHtml, PidTagSubject
from tests.wire.fasttransfer.strategies import CONTENTS

UPLOADED = MessageContent(
    (
        Property(0x001A001F, "IPM.Note"),
        Property(0x0037001F, "Hi"),
        Property(0x0E1D001F, "Hi"),
        Property(0x10130102, b"<html><body>Hello Bob.</body></html>"),
        Property(0x3FDE0003, 1252),
    ),
    (
        Recipient(
            0,
            (
                Property(0x0C150003, 1),
                Property(0x3001001F, "Bob Brown"),
                Property(0x3002001F, "EX"),
                Property(0x3003001F, "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user002"),
            ),
        ),
    ),
)


def test_a_foreign_upload_is_read_and_written_as_it_stands(vector):
    stream = vector("fx/message-content.hex")
    assert MessageContent.decode(stream) == UPLOADED
    assert UPLOADED.encode() == stream
    assert value_of(UPLOADED.properties, PidTagSubject) == "Hi"
    assert value_of(UPLOADED.properties, PidTagAttachMethod) is None
    assert value_of(UPLOADED.properties, PidTagAttachMethod, 1) == 1


def test_a_cut_upload_is_refused_or_lacks_what_was_cut(vector):
    stream = vector("fx/message-content.hex")
    for size in range(len(stream)):
        try:
            content = MessageContent.decode(stream[:size])
        except WireError:
            continue
        assert stream.startswith(content.encode()[:size])
        assert content != UPLOADED


@given(CONTENTS)
def test_any_content_comes_back_from_the_wire(content):
    assert MessageContent.decode(content.encode()) == content


def test_what_was_there_before_may_stay():
    content = MessageContent((), replaces_recipients=False, replaces_attachments=False)
    assert content.encode() == b""
    assert MessageContent.decode(b"") == content


def test_an_attachment_may_be_a_message():
    content = MessageContent((), (), (Attachment(0, (Property(PidTagAttachMethod, 5),), UPLOADED),))
    assert MessageContent.decode(content.encode()) == content
    assert encode([StartEmbed, *UPLOADED.elements(), EndEmbed]) in content.encode()


def nested(depth):
    content = MessageContent(())
    for _ in range(depth):
        content = MessageContent((), (), (Attachment(0, (), content),))
    return content


def test_messages_may_be_nested_but_not_without_end():
    assert MessageContent.decode(nested(64).encode()) == nested(64)
    with pytest.raises(WireError, match="deeper than 64"):
        MessageContent.decode(nested(65).encode())
    endless = encode([NewAttach, Property(0x0E210003, 0), StartEmbed]) * 5000
    with pytest.raises(WireError, match="deeper than 64"):
        MessageContent.decode(endless)


@pytest.mark.parametrize(
    ("elements", "problem"),
    [
        ([StartRecip, EndToRecip], "0x30000003 .* is missing"),
        ([StartRecip, Property(0x30000003, 0)], "EndToRecip .* is missing"),
        ([NewAttach, Property(PidTagAttachMethod, 1)], "0x0E210003 .* is missing"),
        ([NewAttach, Property(0x0E210003, 0), StartEmbed], "EndEmbed .* is missing"),
        ([NewAttach, Property(0x0E210003, 0), StartRecip], "EndAttach .* is missing"),
        ([IncrSyncEnd], "IncrSyncEnd .* does not belong"),
        (
            [Property(MetaTagFXDelProp, 0x0E12000D), Property(PidTagHtml, b"")],
            "0x10130102 .* does not belong",
        ),
        ([Property(MetaTagFXDelProp, 0x360E000D)], "0x360E000D is nothing of a message"),
    ],
)
def test_content_that_breaks_the_grammar_is_refused(elements, problem):
    with pytest.raises(WireError, match=problem):
        MessageContent.decode(encode(elements))
