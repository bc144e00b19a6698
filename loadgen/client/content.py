"""The messages that synthetic users write: a short HTML body and an attachment that does not compress.

All of it follows from the message's key and size, so a reader can tell whether what it got is what was sent.
"""

import re
from hashlib import shake_128
from html import escape
from typing import Final, Self

import msgspec

from loadgen.errors import WrongAnswer

ATTACHMENT_NAME = "figures.bin"
ATTACHED_BY_VALUE: Final = 1
"""PidTagAttachMethod of an attachment that is in the message itself."""
HTML_IS_BEST: Final = 3
"""PidTagNativeBodyInfo of a message that was written in HTML."""
UNSENT_AND_READ: Final = 0x9
"""PidTagMessageFlags of a message that is being written."""
CODE_PAGE: Final = 1252
"""Western European, as of the texts that are not Unicode."""
LOCALE: Final = 0x409
"""English (United States)."""

_SUBJECT = re.compile(r"(.+) \(([1-9][0-9]{0,8}) bytes\)")
_PARAGRAPH = (
    b"<p>Dear colleagues, please find attached the figures that we talked about. They replace those of last "
    b"week; the totals have not changed. If a row looks wrong to you, tell me before noon.</p>\r\n"
)
_END = b"</body></html>\r\n"
_LARGEST_BODY = 2_000


class Content(msgspec.Struct, frozen=True, gc=False):
    """What one message says.

    ``key``, one line of text, names it in the whole run. ``size`` is body and attachment in bytes, which fits
    exactly if it leaves room for the body's frame: for keys of ours from 500 bytes on.
    """

    key: str
    size: int

    @property
    def subject(self) -> str:
        """Key and size, by which the receiver knows the message again."""
        return f"{self.key} ({self.size} bytes)"

    @classmethod
    def from_subject(cls, subject: str) -> Self | None:
        """The content that a subject announces; None for mail that is not of this generator's making."""
        found = _SUBJECT.fullmatch(subject)
        return cls(found[1], int(found[2])) if found else None

    @property
    def html(self) -> bytes:
        """The body, about 2 kB, less for a message that is smaller."""
        title = escape(self.subject).encode("ascii", "xmlcharrefreplace")
        start = b"<html><head><title>" + title + b"</title></head><body>\r\n"
        room = min(_LARGEST_BODY, self.size - 1) - len(start) - len(_END)
        return start + _PARAGRAPH * (max(room, 0) // len(_PARAGRAPH)) + _END

    @property
    def attachment_size(self) -> int:
        """What the body leaves, at least one byte."""
        return max(self.size - len(self.html), 1)

    @property
    def attachment(self) -> bytes:
        """Pseudo-random bytes that fill the message up to its size."""
        return shake_128(self.key.encode()).digest(self.attachment_size)

    def check(self, html: bytes, attachment: bytes) -> None:
        """Raises :class:`WrongAnswer` unless both are what the sender wrote, byte for byte."""
        if html != self.html:
            raise WrongAnswer(self._difference("body", html, len(self.html)))
        if len(attachment) != self.attachment_size or attachment != self.attachment:
            raise WrongAnswer(self._difference("attachment", attachment, self.attachment_size))

    def _difference(self, part: str, got: bytes, sent: int) -> str:
        return f"{part} of message {self.key}: {len(got)} bytes are not the {sent} sent"
