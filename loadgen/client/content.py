"""The messages that synthetic users write: a short HTML body and an attachment that does not compress.

All of it follows from the message's key and size, so a reader can tell whether what it got is what was sent.
"""

from hashlib import shake_128
from typing import Self

import msgspec

from loadgen.errors import WrongAnswer

ATTACHMENT_NAME = "figures.bin"

_PARAGRAPH = (
    "<p>Dear colleagues, please find attached the figures that we talked about. They replace those of last "
    "week; the totals have not changed. If a row looks wrong to you, tell me before noon.</p>\r\n"
)
_BODY_SIZE = 2_000


class Content(msgspec.Struct, frozen=True, gc=False):
    """What one message says: ``key`` names it in the whole run, ``size`` is body and attachment in bytes."""

    key: str
    size: int

    @property
    def subject(self) -> str:
        """Key and size, by which the receiver knows the message again."""
        return f"{self.key} {self.size}"

    @classmethod
    def from_subject(cls, subject: str) -> Self | None:
        """The content that a subject announces; None for mail that is not of this generator's making."""
        key, _, size = subject.rpartition(" ")
        return cls(key, int(size)) if key and size.isdecimal() else None

    @property
    def html(self) -> bytes:
        """The body, about 2 kB, less for a message that is smaller."""
        start = f"<html><head><title>{self.subject}</title></head><body>\r\n".encode()
        end = b"</body></html>\r\n"
        room = min(_BODY_SIZE, self.size) - len(start) - len(end)
        return start + _PARAGRAPH.encode() * max(room // len(_PARAGRAPH), 1) + end

    @property
    def attachment(self) -> bytes:
        """Pseudo-random bytes that fill the message up to its size."""
        return shake_128(self.key.encode()).digest(max(self.size - len(self.html), 1))

    def check(self, html: bytes, attachment: bytes) -> None:
        """Raises :class:`WrongAnswer` unless both are what the sender wrote, byte for byte."""
        for what, expected, got in (("body", self.html, html), ("attachment", self.attachment, attachment)):
            if got != expected:
                raise WrongAnswer(
                    f"{what} of message {self.key}: {len(got)} bytes are not the {len(expected)} sent"
                )
