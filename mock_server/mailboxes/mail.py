"""Mail under way between mailboxes, and how it goes from one server to another ([MS-OXOMSG] 3.2.4).

A server hands each other server one envelope for all its recipients, so attachments travel once.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag, Value
from loadgen.wire.property_names import PropertyName
from loadgen.wire.recipients import RecipientRow
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.message import Attachment, MessageContent, Recipient


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    recipients: tuple[str, ...]
    properties: dict[int, Any]
    recipient_columns: tuple[int, ...]
    rows: tuple[tuple[int, int, bytes], ...]
    attachments: tuple[tuple[int, dict[int, Any]], ...]
    names: dict[int, tuple[bytes, int | None, str | None]]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Wire)


class Envelope(msgspec.Struct, frozen=True):
    """A message under way to ``recipients``, distinguished names of mailboxes on one server.

    ``names`` are those of its properties that have ids of the sender's server.
    """

    recipients: tuple[str, ...]
    content: MessageContent
    names: Mapping[int, PropertyName] = {}

    def encode(self) -> bytes:
        """The form in which our own servers hand it over: MessagePack, recipient rows as ROPs carry them."""
        content = self.content
        return _ENCODER.encode(
            _Wire(
                self.recipients,
                dict(content.properties),
                content.recipient_columns,
                tuple((r.row_id, r.recipient_type, _row_bytes(r.row)) for r in content.recipients),
                tuple((a.number, dict(a.properties)) for a in content.attachments),
                {number: (name.guid, name.lid, name.name) for number, name in self.names.items()},
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        try:
            wire = _DECODER.decode(data)
        except msgspec.DecodeError as error:
            raise WireError("Envelope", 0, str(error)) from None
        columns = wire.recipient_columns
        rows = tuple(Recipient(row_id, kind, _row(row, columns)) for row_id, kind, row in wire.rows)
        files = tuple(Attachment(number, _values(properties)) for number, properties in wire.attachments)
        names = {number: PropertyName(*name) for number, name in wire.names.items()}
        return cls(wire.recipients, MessageContent.of(_values(wire.properties), columns, rows, files), names)


class MailTransport(Protocol):
    """Takes mail to mailbox servers, the sender's own among them; what it takes arrives sooner or later."""

    def send(self, server: str, envelope: Envelope) -> None:
        """Take ``envelope`` to the server of that name, without waiting."""


class LocalTransport:
    """Hands mail over at once to stores in the same process."""

    def __init__(self) -> None:
        self._stores: dict[str, MailboxStore] = {}

    def add(self, store: MailboxStore) -> None:
        """Make a store reachable under its server's name."""
        self._stores[store.server.name.lower()] = store

    def send(self, server: str, envelope: Envelope) -> None:
        """Deliver now; a server that is not here is a wrong topology, and raises ``KeyError``."""
        deliver(self._stores[server.lower()], envelope)


class LateTransport:
    """Hands mail to another transport ``delay_s`` later."""

    def __init__(self, transport: MailTransport, delay_s: float) -> None:
        self._transport = transport
        self._delay_s = delay_s

    def send(self, server: str, envelope: Envelope) -> None:
        """Deliver later."""
        send = partial(self._transport.send, server, envelope)
        asyncio.get_running_loop().call_later(self._delay_s, send)


def deliver(store: MailboxStore, envelope: Envelope) -> int:
    """Put the message into the Inbox of each recipient who lives on ``store``; returns how many do."""
    delivered = 0
    content = _with_ids_of(store, envelope)
    for dn in envelope.recipients:
        user = store.directory.by_dn(dn)
        if user is not None and store.is_home_of(user):
            store.mailbox(user).deliver(content)
            delivered += 1
    return delivered


def _with_ids_of(store: MailboxStore, envelope: Envelope) -> MessageContent:
    """The content, its named properties under the ids that they have on ``store``."""
    ids = {number: store.names.id_of(name, create=True) for number, name in envelope.names.items()}
    content = envelope.content
    if all(number == there for number, there in ids.items()):
        return content

    def renumbered(properties: Mapping[PropertyTag, Value]) -> dict[PropertyTag, Value]:
        return {
            ids.get(tag >> 16, tag >> 16) << 16 | tag & 0xFFFF: value for tag, value in properties.items()
        }

    files = tuple(Attachment(file.number, renumbered(file.properties)) for file in content.attachments)
    return MessageContent.of(
        renumbered(content.properties), content.recipient_columns, content.recipients, files
    )


def _row_bytes(row: RecipientRow) -> bytes:
    writer = Writer()
    row.write(writer)
    return writer.getvalue()


def _row(data: bytes, columns: tuple[PropertyTag, ...]) -> RecipientRow:
    reader = Reader(data)
    row = RecipientRow.read(reader, columns)
    reader.expect_end("RecipientRow")
    return row


def _values(properties: Mapping[PropertyTag, Value]) -> dict[PropertyTag, Value]:
    return {tag: tuple(value) if isinstance(value, list) else value for tag, value in properties.items()}
