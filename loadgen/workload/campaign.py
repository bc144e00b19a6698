"""A campaign: who works how, for how long, and what has to hold (``profiles/campaign``)."""

from bisect import bisect_right
from itertools import accumulate
from typing import Annotated, Literal

from msgspec import Meta, Struct

from loadgen.workload.duration import Duration
from loadgen.workload.profile import RECIPIENTS_PER_MESSAGE, ClientType, MessageProfile

Share = Annotated[float, Meta(gt=0, le=1)]


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Users of one kind; ``client`` and ``profile`` are built-in names or paths of TOML files."""

    users: Annotated[int, Meta(ge=1)]
    client: str
    profile: str


class Campaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"groups": "group"}):
    """A campaign as written; the options of ``loadgen run`` go by the same names.

    Durations are real time, except ``day``, which is the length of the simulated day.
    """

    name: str = ""
    title: str = ""
    groups: tuple[Group, ...] = ()

    duration: Duration | None = None
    """Length of the phase that is measured; when left out, one simulated day."""
    warmup: Duration = Duration(0)
    day: Duration = Duration(8 * 3600)
    speed: Annotated[float, Meta(gt=0)] = 1.0
    shape: Literal["uniform", "peak", "closed"] = "uniform"
    ramp: Duration = Duration(60)
    startup: Literal["on", "off"] = "on"
    startup_hold: Duration = Duration(60)
    hold: Duration = Duration(0)
    seed: int = 1
    workers: Annotated[int, Meta(ge=1)] | None = None
    """Processes; when left out, by the machine's cores and descriptors."""
    source_ip: tuple[str, ...] = ()
    threshold: tuple[str, ...] = ()
    limit_set: str | None = None
    abort_on: tuple[str, ...] = ()
    """Thresholds that end the run as soon as an interval breaks one."""
    out: str = "results"
    limit_scale: Annotated[float, Meta(gt=0)] = 1.0
    users_file: str | None = None
    auth: Literal["basic"] = "basic"
    rpc_security: Literal["none"] = "none"
    ca_file: str | None = None
    tls_insecure: bool = False
    resolve: tuple[str, ...] = ()
    authorised: bool = False
    counters_url: str | None = None

    unfinished_per_user: Annotated[float, Meta(gt=0)] = 1.5
    """Operations waiting and running, per user, beyond which an arrival is skipped and counted."""
    invalid_lag: Duration = Duration(0.1)
    """Generator's lag p99 beyond which the run says nothing about the target."""
    invalid_busy: Share = 0.85
    """Share of ten seconds that an event loop may be busy."""
    invalid_use: Share = 0.95
    """Share of descriptors and of source ports that may be in use."""

    @property
    def users(self) -> int:
        """How many users there are in all groups."""
        return sum(group.users for group in self.groups)

    @property
    def duration_s(self) -> float:
        """Real seconds of the measured phase."""
        return self.day / self.speed if self.duration is None else float(self.duration)

    @property
    def days(self) -> float:
        """Simulated days in the measured phase."""
        return self.duration_s * self.speed / self.day


class UserGroup(Struct, frozen=True):
    """A group with its client type and message profile at hand."""

    users: int
    client: ClientType
    profile: MessageProfile


class Population:
    """Users 0 to N - 1 in the order of their groups. Cheap to pickle: it holds groups, not users."""

    __slots__ = ("_ends", "groups", "users")

    def __init__(self, groups: tuple[UserGroup, ...]) -> None:
        self.groups = groups
        self._ends = list(accumulate(group.users for group in groups))
        self.users = self._ends[-1] if self._ends else 0

    def group_of(self, user: int) -> UserGroup:
        """The group that user ``user`` belongs to; raises ``IndexError``."""
        if not 0 <= user < self.users:
            raise IndexError(f"user {user} of {self.users}")
        return self.groups[bisect_right(self._ends, user)]
