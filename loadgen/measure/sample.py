"""What is measured, by name: the one page on which every operation, set-up layer and outcome stands."""

from typing import Final

import msgspec

OPERATIONS: Final = (
    "log_on",
    "send_message",
    "resolve_names",
    "deliver_message",
    "receive_message",
    "read_message",
    "delete_message",
    "poll_mailbox",
    "browse_address_book",
    "browse_public_folder",
    "post_public_folder",
    "publish_free_busy",
    "log_off",
)
"""All operations, in the order in which reports list them."""

LAYERS: Final = (
    "map_endpoint",
    "connect_tcp",
    "connect_tls",
    "http_auth",
    "rts_establish",
    "rpc_bind",
    "refer",
    "logon_mailbox",
    "logon_public",
    "bind_directory",
)
"""What opening a user's connections consists of; each layer has a service time of its own."""

OK: Final = "ok"
NOT_DELIVERED: Final = "not_delivered"

OUTCOMES: Final = (
    OK,
    "unreachable",
    "tls_failed",
    "connection_lost",
    "timeout",
    "http_refused",
    "unauthorized",
    "bind_refused",
    "rpc_fault",
    "mapi_error",
    "protocol_error",
    "malformed",
    "wrong_answer",
    NOT_DELIVERED,
    "internal_error",
)
"""How an operation can end; ``not_delivered``: no notification came before the drain ended."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One operation of one user. Times are ``time.monotonic_ns()`` readings.

    Response time is ``ended_ns - due_ns``, service time ``ended_ns - started_ns``.
    """

    operation: str
    due_ns: int
    started_ns: int
    ended_ns: int
    outcome: str = OK
