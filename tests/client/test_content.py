"""Messages that say what they are: sizes to the byte, and subjects that no other mail has."""

import zlib
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.client.content import Content
from loadgen.errors import WrongAnswer

SMALL = range(500, 2_600)
LARGE = [4_999, 50_000, 65_536, 300_000, 999_999, 5_000_000]

texts = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)


class Page(HTMLParser):
    """What a browser would make of a body."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.texts: dict[str, str] = {}
        self.feed(body.decode("ascii"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        self.texts[inside] = self.texts.get(inside, "") + data


@pytest.mark.parametrize(
    "key", ["0.0.0", "18446744073709551615.4294967295.100000", "a key with blanks", "R&D <b>"]
)
def test_sizes_add_up(key):
    for size in [*SMALL, *LARGE]:
        content = Content(key, size)
        assert len(content.html) <= 2_000
        assert content.attachment_size >= 1
        assert len(content.html) + content.attachment_size == size
    assert len(content.attachment) == content.attachment_size


def test_what_leaves_no_room_gets_the_frame_and_one_byte():
    content = Content("k", 20)
    assert content.html == b"<html><head><title>k (20 bytes)</title></head><body>\r\n</body></html>\r\n"
    assert len(content.attachment) == 1
    content.check(content.html, content.attachment)


def test_large_messages_have_a_readable_body():
    page = Page(Content("1.2.3", 50_000).html)
    assert page.seen == {"html", "head", "title", "body", "p"}
    assert page.texts["title"] == "1.2.3 (50000 bytes)"
    assert page.texts["p"].count("Dear colleagues") == 10


@given(key=texts, size=st.integers(500, 20_000))
@example(key="</title><script>alert(1)</script>", size=1_000)
@example(key="R&D &amp; Вася 😀", size=1_000)
@example(key=" (1 bytes)", size=7_777)
def test_any_line_is_a_key(key, size):
    content = Content(key, size)
    assert Content.from_subject(content.subject) == content
    page = Page(content.html)
    assert page.open == []
    assert page.texts["title"] == content.subject
    content.check(content.html, content.attachment)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " ",
        "Lunch?",
        "Meeting 10",
        "1.2.3 50000",
        "(50000 bytes)",
        " (50000 bytes)",
        "1.2.3 (50000 bytes) ",
        "1.2.3 (50000  bytes)",
        "1.2.3 (050000 bytes)",
        "1.2.3 (0 bytes)",
        "1.2.3 (-5 bytes)",
        "1.2.3 (٣٣ bytes)",
        "1.2.3 (9999999999 bytes)",
        f"1.2.3 ({'9' * 5000} bytes)",
        "1.2.3\n(50000 bytes)",
    ],
)
def test_subjects_of_others(subject):
    assert Content.from_subject(subject) is None


def test_attachments_do_not_shrink_and_differ():
    first, second = Content("1.0.1", 50_000).attachment, Content("1.0.2", 50_000).attachment
    assert len(zlib.compress(first, 9)) >= len(first)
    assert first != second
    assert Content("1.0.1", 50_000).attachment == first


CONTENT = Content("1.2.3", 10_000)
OTHER = Content("1.2.4", 10_000)


@pytest.mark.parametrize(
    ("html", "attachment", "problem"),
    [
        (OTHER.html, CONTENT.attachment, "body of message 1.2.3"),
        (CONTENT.html[:-1], CONTENT.attachment, "body of message 1.2.3: 1996 bytes are not the 1997 sent"),
        (b"", CONTENT.attachment, "body of message 1.2.3: 0 bytes"),
        (CONTENT.html, OTHER.attachment, "attachment of message 1.2.3"),
        (
            CONTENT.html,
            CONTENT.attachment + b"\0",
            "8004 bytes are not the 8003 sent",
        ),
        (CONTENT.html, b"", "attachment of message 1.2.3: 0 bytes"),
    ],
)
def test_anything_else_is_a_wrong_answer(html, attachment, problem):
    CONTENT.check(CONTENT.html, CONTENT.attachment)
    with pytest.raises(WrongAnswer, match=problem):
        CONTENT.check(html, attachment)


def test_a_boast_costs_no_memory():
    """A foreign subject that announces a gigabyte is not believed before a gigabyte has come."""
    content = Content.from_subject("boast (999999999 bytes)")
    assert content is not None
    with pytest.raises(WrongAnswer, match="1 bytes are not the 99999"):
        content.check(content.html, b"x")
