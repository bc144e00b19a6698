"""Messages as a user's day names them: what to send, and what has come."""

import msgspec

from loadgen.client.account import Account


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message to send; ``key`` names it in the whole run, ``size`` is body and attachment in bytes."""

    key: str
    recipients: tuple[Account, ...]
    size: int


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that has arrived: its id in the mailbox, and its key, "" for mail of somebody else."""

    message_id: int
    key: str
