"""The kinds of client that there are: which connections each opens, and how it behaves over them."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from loadgen.protocol.emsmdb_session import Transfer
from loadgen.wire.auxiliary import CACHED, CLASSIC_ONLINE

PerDay = Annotated[int, Meta(ge=0, le=100_000)]
Transport: TypeAlias = Literal["http", "tcp"]

RECIPIENTS_PER_MESSAGE = 4
"""Received is four times sent in every profile (white paper, table 4), so each message goes to four users."""


class ConnectionCounts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Virtual connections of a user who has been logged on for a while."""

    mail: Annotated[int, Meta(ge=1, le=8)]
    public_folder: Annotated[int, Meta(ge=0, le=8)] = 0
    directory: Annotated[int, Meta(ge=0, le=8)] = 0


class StartupCounts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Virtual connections open in addition while Outlook starts."""

    referral: Annotated[int, Meta(ge=0, le=1)] = 0
    directory: Annotated[int, Meta(ge=0, le=8)] = 0


class DirectoryWork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a user asks of the address book."""

    names_resolved_per_message: Annotated[int, Meta(ge=0, le=RECIPIENTS_PER_MESSAGE)] = 0
    browses_per_day: PerDay = 0


class PublicFolderWork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a user does in the public folders."""

    browses_per_day: PerDay = 0
    """Visits to a folder, in which the newest post is read."""
    posts_per_day: PerDay = 0
    free_busy: Literal["publish", "off"] = "off"
    """Whether free/busy times are published: after logging on, and when the calendar has changed."""
    free_busy_interval_s: Annotated[float, Meta(ge=1, le=86_400)] = 900.0
    """Simulated time between two looks whether the calendar has changed (Outlook's default)."""
    calendar_changes_per_day: PerDay = 0

    @property
    def is_any(self) -> bool:
        """Whether there is something to do."""
        return bool(self.browses_per_day or self.posts_per_day or self.free_busy == "publish")


class CachedMode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a client in cached mode keeps its copy of the mailbox."""

    synchronisation_delay_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Simulated time from a notification to the download, in which Outlook gathers more of them."""
    server_files_sent: bool = True
    """Whether the server files the sent copy (PidTagTargetEntryId); else the client uploads it again."""
    chained: bool = True
    """Whether one call may bring several payloads of a download."""
    compare_copy: bool = True
    """Whether the copy is held against the mailbox, byte for byte, at log off."""


class ClientType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of Outlook, or of LoadGen: which connections it opens, and how it behaves over them."""

    name: str = ""
    title: str
    version: Annotated[
        str,
        Meta(
            pattern=r"^\d{1,2}\.0\.\d{1,5}\.\d{1,5}$",
            description="four numbers of which the second is 0, such as 12.0.6206.1000",
        ),
    ]
    """Client version as ``major.0.build.revision``; see :attr:`version_words`."""
    notification: Literal["asynchronous", "poll"]
    transport: Transport = "http"
    """What carries virtual connections: two channels to the RPC proxy, or, inside the firewall, one TCP
    connection straight to the server."""
    disconnect: Literal["proper", "cut"] = "proper"
    """Whether logging off takes leave (EcDoDisconnect, NspiUnbind) or cuts the TCP connections."""
    connections: ConnectionCounts
    startup: StartupCounts = StartupCounts()
    second_mailbox: Annotated[int, Meta(ge=0, le=1)] = 0
    """Whether another user's mailbox on another server is open, too: one more virtual connection there."""
    directory: DirectoryWork = DirectoryWork()
    public_folder: PublicFolderWork = PublicFolderWork()
    transfer: Transfer = Transfer()
    cached: CachedMode | None = None
    """There for a client in cached mode, which works on a copy of the mailbox."""

    def __post_init__(self) -> None:
        if self.directory.names_resolved_per_message and not self.connections.directory:
            raise ValueError(
                "directory.names_resolved_per_message needs connections.directory to be at least 1"
            )
        if self.directory.browses_per_day and not self.connections.directory:
            raise ValueError("directory.browses_per_day needs connections.directory to be at least 1")
        if self.public_folder.is_any and not self.connections.public_folder:
            raise ValueError("public_folder needs connections.public_folder to be at least 1")
        if max(self.version_words) > 0x7FFF:
            raise ValueError(f"version {self.version!r}: each number must be below 32,768")

    @property
    def mode(self) -> int:
        """What it says of itself, ``ClientMode`` of AUX_PERF_CLIENTINFO ([MS-OXCRPC] 2.2.2.2.4)."""
        return CLASSIC_ONLINE if self.cached is None else CACHED

    @property
    def version_words(self) -> tuple[int, int, int]:
        """``rgwClientVersion`` in the old form, as Outlook sends it: major, build, revision."""
        major, _, build, revision = (int(part) for part in self.version.split("."))
        return major, build, revision
