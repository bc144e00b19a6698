"""What a check found out, as values; ``loadgen check --json`` prints a :class:`Result`."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from loadgen.client.client_type import Transport

SCHEMA: Final = 1

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]

Service: TypeAlias = Literal["referral", "directory", "store", "public_folders"]
"""Whom a connection is opened to."""


def _opening(service: Service, title: str) -> dict[str, str]:
    """The steps of opening a connection, over whatever way."""
    return {
        f"dns_{service}": f"name, {title}",
        f"mapper_{service}": f"mapper, {title}",
        f"map_{service}": f"endpoint, {title}",
        f"tcp_{service}": f"TCP, {title}",
        f"rts_{service}": f"RTS, {title}",
        f"bind_{service}": f"bind, {title}",
    }


STEPS: Final[dict[str, str]] = {
    "dns": "name",
    "tcp": "TCP",
    "tls": "TLS",
    "autodiscover": "Autodiscover",
    "http": "HTTP authentication",
    **_opening("referral", "referral"),
    "referral": "referral",
    **_opening("directory", "directory"),
    "directory": "directory",
    **_opening("store", "mailbox"),
    "mailbox": "mailbox logon",
    "inbox": "Inbox",
    **_opening("public_folders", "public folders"),
    "public_folders": "public folders",
}
"""All steps in their order, and what people call them."""

_ONLY: Final[dict[Transport, tuple[str, ...]]] = {
    "http": ("http", "rts_"),
    "tcp": ("dns_", "mapper_", "map_", "tcp_"),
}
"""How those steps begin that only one way has."""


def steps_of(transport: Transport) -> tuple[str, ...]:
    """The steps of clients that go this way, in their order."""
    others = tuple(begin for way, begins in _ONLY.items() if way != transport for begin in begins)
    return tuple(name for name in STEPS if not name.startswith(others))


def opening_steps(service: Service, transport: Transport) -> tuple[str, ...]:
    """Those that open a connection to a service."""
    of_service = _opening(service, "")
    return tuple(name for name in steps_of(transport) if name in of_service)


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
    dialect_suggested: str = ""
    """Another one, and why, that fits better what the mailbox store said after that choice."""
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
    client: str
    """The client type."""
    passed: bool
    password_tried: bool
    """Whether anybody was shown the password, or what stands for it (a hash, a ticket)."""
    steps: tuple[Step, ...]
    seen: Seen

    @property
    def first_failure(self) -> Step | None:
        """The step to look at first."""
        return next((step for step in self.steps if step.outcome == "failed"), None)
