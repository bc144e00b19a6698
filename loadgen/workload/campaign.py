"""A campaign: who works how, for how long, and what has to hold (``profiles/campaign``)."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta, Struct

from loadgen.client.client_type import RECIPIENTS_PER_MESSAGE, ClientType
from loadgen.client.tls_settings import TlsVersion
from loadgen.errors import ProfileError
from loadgen.measure import threshold
from loadgen.protocol.http_authentication import HttpScheme
from loadgen.protocol.security import Level
from loadgen.protocol.security_context import Mechanism
from loadgen.workload import library
from loadgen.workload.duration import Duration
from loadgen.workload.limit_set import read_limit_set
from loadgen.workload.profile import MessageProfile

Share = Annotated[float, Meta(gt=0, le=1)]
Rate = Annotated[float, Meta(gt=0)]

_JUDGING: Final = ("threshold", "abort_on")


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
    """What servers' performance counters have to keep to: a built-in name or a path (``profiles/limits``)."""
    abort_on: tuple[str, ...] = ()
    """Thresholds that end the run as soon as an interval breaks one."""
    out: str = "results"
    topology: str = "default"
    """Of which servers the mock consists that the run starts: a built-in name or a path."""
    limit_scale: Annotated[float, Meta(gt=0)] | None = None
    """What the topology's limits are multiplied by; when left out, as the topology says."""
    set: tuple[str, ...] = ()
    """Changes of the topology, each ``key=value``."""
    users_file: str | None = None
    users_pattern: str | None = None
    """Addresses of a real target's accounts, instead of a file: ``user{index:05d}@example.org``."""
    users_range: str | None = None
    """Which numbers the pattern stands for, such as ``0-499``."""
    share_accounts: bool = False
    auth: Literal["basic", "ntlm", "negotiate", "anonymous", "auto"] | tuple[HttpScheme, ...] = "basic"
    """HTTP authentication; several are tried in this order, ``auto`` stands for the strongest first."""
    rpc_security: Level = "none"
    rpc_mechanism: Mechanism = "ntlm"
    ca_file: str | None = None
    tls_insecure: bool = False
    client_certificate: str | None = None
    client_key: str | None = None
    tls_minimum: TlsVersion = "1.2"
    dialect: str | None = None
    """How a real target wants to be talked to; when left out, by the version that Autodiscover tells."""
    autodiscover: str = "target"
    """Where to ask: ``target``, ``domain`` (of the mailbox), ``off``, or an address."""
    rpc_server: str | None = None
    """Server behind the RPC proxy that is asked for referral and directory if an account has none."""
    mailbox_server: str | None = None
    public_folder_server: str | None = None
    resolve: tuple[str, ...] = ()
    """Addresses of the target, each ``name=address``, instead of those that the DNS gives."""
    authorised: bool = False
    """Whether whoever runs the target has agreed to the load; needed for all but this machine."""
    logons_per_s: Rate | None = None
    sends_per_s: Rate | None = None
    cleanup: Literal["on", "off"] | None = None
    """Whether the run's mail is removed at log off; when left out, from real targets alone."""
    counters_url: str | None = None
    """Address of Prometheus metrics, read once an interval into ``timeseries.csv``."""
    counters: tuple[str, ...] = ()
    """Which metrics; when left out, those of a short list that the target has."""

    retry_refused: Annotated[int, Meta(ge=0, le=1000)] = 0
    """How often a user who could not log on tries again."""
    retry_refused_after: Duration = Duration(10)
    """How long he waits each time at most; drawn from the half of it on."""
    session_length: Duration = Duration(0)
    """Simulated time after which a user logs off and on again in the measured phase; 0 for never."""

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
    """Users 0 to N - 1 in the order of their groups, or ``mixed``. Cheap to pickle: groups travel, not users.

    Of a mixed population any first n users have the shares of the whole, as near as whole users can.
    """

    __slots__ = ("_members", "groups", "mixed", "users")

    def __init__(self, groups: tuple[UserGroup, ...], *, mixed: bool = False) -> None:
        self.groups = groups
        self.mixed = mixed
        self.users = sum(group.users for group in groups)
        sizes = [group.users for group in groups]
        self._members = _mixed(sizes) if mixed else _one_after_the_other(sizes)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[tuple[UserGroup, ...]]]:
        return partial(type(self), mixed=self.mixed), (self.groups,)

    def adapted(self, adapt: Callable[[ClientType], ClientType]) -> Self:
        """The same users with other client types."""
        groups = (msgspec.structs.replace(group, client=adapt(group.client)) for group in self.groups)
        return type(self)(tuple(groups), mixed=self.mixed)

    @property
    def inside(self) -> int:
        """How many users are inside the firewall, where RPC goes over TCP."""
        return sum(group.users for group in self.groups if group.client.transport == "tcp")

    def group_of(self, user: int) -> UserGroup:
        """The group that user ``user`` belongs to; raises ``IndexError``."""
        if not 0 <= user < self.users:
            raise IndexError(f"user {user} of {self.users}")
        return next(
            group for group, members in zip(self.groups, self._members, strict=True) if _holds(members, user)
        )

    def members(self, number: int, below: int) -> Sequence[int]:
        """The users of group ``number`` among the first ``below`` users."""
        members = self._members[number]
        return members[: bisect_left(members, below)]


def _one_after_the_other(sizes: Sequence[int]) -> list[Sequence[int]]:
    return [range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]


def _mixed(sizes: Sequence[int]) -> list[Sequence[int]]:
    """Each place goes to the group that is furthest behind its share.

    Equals take turns, so that no group falls into step with what users are dealt out to by their number.
    """
    members = [array("L") for _ in sizes]
    total, groups = sum(sizes), len(sizes)
    for place in range(total):
        first = place // groups % groups
        behind = [(place + 1) * size - len(found) * total for size, found in zip(sizes, members, strict=True)]
        furthest = max((*range(first, groups), *range(first)), key=behind.__getitem__)
        members[furthest].append(place)
    return [memoryview(found) for found in members]


def _holds(members: Sequence[int], user: int) -> bool:
    place = bisect_left(members, user)
    return place < len(members) and members[place] == user


def load_campaign(name: str) -> Campaign:
    """Reads a campaign by its built-in name or path; raises :class:`~loadgen.errors.ProfileError`.

    Paths of client types, message profiles, limit set and topology count from the campaign's own folder.
    """
    path = library.find("campaign", name)
    campaign = library.read("campaign", name, Campaign)
    groups = tuple(
        msgspec.structs.replace(
            group,
            client=_anchored(group.client, path.parent),
            profile=_anchored(group.profile, path.parent),
        )
        for group in campaign.groups
    )
    for number, group in enumerate(groups):
        with _named(f"{path}: group[{number}].client"):
            library.find("client", group.client)
        with _named(f"{path}: group[{number}].profile"):
            library.find("message", group.profile)
    for key in _JUDGING:
        with _named(f"{path}: {key}"):
            threshold.parse_all(getattr(campaign, key))
    topology = _anchored(campaign.topology, path.parent)
    limit_set = campaign.limit_set and _anchored(campaign.limit_set, path.parent)
    return msgspec.structs.replace(campaign, groups=groups, topology=topology, limit_set=limit_set)


def with_options(campaign: Campaign, options: Mapping[str, object]) -> Campaign:
    """The campaign with keys replaced by options of the same name, which may be text as typed.

    Raises :class:`~loadgen.errors.ProfileError` that begins with ``option``.
    """
    return library.convert(library.to_table(campaign) | dict(options), Campaign, "option", lax=True)


def populate(campaign: Campaign, *, mixed: bool = False) -> Population:
    """Reads the client types and message profiles of all groups, and checks that the campaign can be run.

    ``mixed`` as in :class:`Population`. Raises :class:`~loadgen.errors.ProfileError`.
    """
    population = Population(groups_of(campaign), mixed=mixed)
    for problem in _problems(campaign, population):
        raise ProfileError(f"campaign {campaign.name or 'without a name'}: {problem}")
    return population


def groups_of(campaign: Campaign) -> tuple[UserGroup, ...]:
    """Reads the client types and message profiles alone; raises :class:`~loadgen.errors.ProfileError`."""
    return tuple(
        UserGroup(
            users=group.users,
            client=library.read("client", group.client, ClientType),
            profile=library.read("message", group.profile, MessageProfile),
        )
        for group in campaign.groups
    )


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Says where in a file a problem is."""
    try:
        yield
    except ProfileError as error:
        raise ProfileError(f"{where}: {error}") from None


def _anchored(name: str, folder: Path) -> str:
    return str(folder / name) if "/" in name or name.endswith(".toml") else name


def _problems(campaign: Campaign, population: Population) -> Iterator[str]:
    """What is wrong with the campaign as a whole, the first thing first."""
    sent = sum(group.users * group.profile.sent_per_day for group in population.groups)
    received = sum(group.users * group.profile.received_per_day for group in population.groups)
    receivers = sum(group.users for group in population.groups if group.profile.received_per_day)
    if not population.users:
        yield "group: there are no users; give at least one [[group]]"
    if sent and receivers <= RECIPIENTS_PER_MESSAGE:
        yield (
            f"group: {receivers} users are too few, at least {RECIPIENTS_PER_MESSAGE + 1} are needed: "
            f"each message goes to {RECIPIENTS_PER_MESSAGE} users other than its sender"
        )
    if received != RECIPIENTS_PER_MESSAGE * sent:
        yield (
            f"group: {received:,} messages to receive a day do not fit {sent:,} to send: "
            f"each message goes to {RECIPIENTS_PER_MESSAGE} users"
        )
    if campaign.shape == "peak" and campaign.day < 2 * 3600:
        yield "day: shape 'peak' needs a day of at least 2h, since an hour of it runs at twice the mean"
    yield from _beyond_range(campaign)
    yield from _with_secrets(campaign)
    if campaign.limit_set is not None:
        try:
            read_limit_set(campaign.limit_set)
        except ProfileError as error:
            yield f"limit_set: {error}"
    if campaign.auth == ():
        yield "auth: the list is empty; give at least one scheme, or auto"
    for key in _JUDGING:
        try:
            thresholds = threshold.parse_all(getattr(campaign, key))
        except ProfileError as error:
            yield f"{key}: {error}"
            continue
        for each in thresholds:
            if each.over_s > campaign.duration_s:
                yield f"{key}: {each}: the measured phase is shorter, {campaign.duration_s:g}s"


def _with_secrets(campaign: Campaign) -> Iterator[str]:
    """Results repeat all keys, and errors name addresses."""
    for key in ("counters_url", "autodiscover"):
        _, _, rest = (getattr(campaign, key) or "").partition("://")
        if "@" in rest.partition("/")[0]:
            yield f"{key}: no user or password in an address, since the results show it"


def _beyond_range(campaign: Campaign) -> Iterator[str]:
    for key in ("day", "duration"):
        if getattr(campaign, key) == 0:
            yield f"{key}: must be longer than 0s"
    for key in ("speed", "unfinished_per_user", "logons_per_s", "sends_per_s"):
        if math.isinf(getattr(campaign, key) or 0):
            yield f"{key}: must be finite"
