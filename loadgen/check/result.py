"""What a check found out, as values; ``loadgen check --json`` prints a :class:`Result`."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

SCHEMA: Final = 1

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]

STEPS: Final[dict[str, str]] = {
    "dns": "name",
    "tcp": "TCP",
    "tls": "TLS",
    "autodiscover": "Autodiscover",
    "http": "HTTP authentication",
    "rts_referral": "RTS, referral",
    "bind_referral": "bind, referral",
    "referral": "referral",
    "rts_directory": "RTS, directory",
    "bind_directory": "bind, directory",
    "directory": "directory",
    "rts_store": "RTS, mailbox",
    "bind_store": "bind, mailbox",
    "mailbox": "mailbox logon",
    "inbox": "Inbox",
    "rts_public_folders": "RTS, public folders",
    "bind_public_folders": "bind, public folders",
    "public_folders": "public folders",
}
"""All steps in their order, and what people call them."""


class Step(Struct, frozen=True, kw_only=True):
    """One step. ``failure`` names a row of the known failures, "" if it passed, was skipped, or is new."""

    name: str
    outcome: Outcome
    ms: float = 0.0
    detail: str = ""
    failure: str = ""
    meaning: str = ""
    remedy: str = ""


class Seen(Struct, frozen=True, kw_only=True):
    """What the server showed of itself; "" and () for what it did not."""

    server_version: str = ""
    """Of the mailbox store, from EcDoConnectEx."""
    headers: tuple[str, ...] = ()
    """``Server``, ``X-…`` and the like, of the answers of the web server."""
    schemes_offered: tuple[str, ...] = ()
    scheme_used: str = ""
    framing: str = ""
    """How the OUT channel's answer ends: ``Content-Length``, ``chunked`` or ``until closed``."""
    dialect: str = ""
    dialect_reason: str = ""
    connection_timeout_ms: int = 0
    """After which the proxy gives up a silent IN channel, as CONN/C2 said."""
    receive_window: int = 0
    pings_sent: int = 0
    pings_received: int = 0


class Result(Struct, frozen=True, kw_only=True):
    """A whole check."""

    schema: int = SCHEMA
    target: str
    user: str
    mailbox: str
    passed: bool
    steps: tuple[Step, ...]
    seen: Seen

    @property
    def first_failure(self) -> Step | None:
        """The step to look at first."""
        return next((step for step in self.steps if step.outcome == "failed"), None)
