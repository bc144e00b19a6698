"""Options that say who works on what, and who may watch: shared by all commands that take a campaign."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import click
import msgspec

from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Group, load_campaign, with_options

DEFAULT_CAMPAIGN: Final = "quickstart"
DEFAULT_CLIENT: Final = "outlook2007-online-anywhere"
DEFAULT_PROFILE: Final = "medium"

Command = Callable[..., Any]

target_option: Final = click.option(
    "--target",
    default="mock",
    show_default=True,
    help="mock, mock=URL of a running 'loadgen mock', or https://HOST[:PORT] of a real RPC proxy.",
)

_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "duration": ("TIME", "Length of the measured phase, such as 90s or 1h30m; default: one simulated day."),
    "warmup": ("TIME", "Length of the warm-up before it."),
    "day": ("TIME", "Length of the simulated day."),
    "speed": ("NUMBER", "How many times faster than real time the day runs."),
    "ramp": ("TIME", "Time in which all users log on."),
    "startup-hold": ("TIME", "How long a user holds the connections that only starting needs, at least."),
    "hold": ("TIME", "How long to hold idle connections after the measured phase."),
    "seed": ("INTEGER", "Seed of the schedule."),
    "workers": ("INTEGER", "Worker processes; default: as many as the machine and the users call for."),
    "out": ("FOLDER", "Folder in which the run's own folder is made."),
    "topology": ("NAME|FILE", "Of which servers the mock, or the plan, consists: built in, or a TOML file."),
    "limit-set": (
        "NAME|FILE",
        "What servers' performance counters have to keep to: built in ('loadgen profiles list limits'), or a "
        "TOML file.",
    ),
    "limit-scale": ("NUMBER", "What all limits of the topology are multiplied by."),
    "users-file": ("FILE", "CSV file of a real target's accounts; see 'loadgen users'."),
    "users-pattern": (
        "PATTERN",
        "Addresses of its accounts instead, such as 'user{index:05d}@example.org' …",
    ),
    "users-range": (
        "FIRST-LAST",
        "… and the numbers to put in, such as 0-499; the password is LOADGEN_PASSWORD or asked.",
    ),
    "share-accounts": ("true|false", "Whether several users may log on with one account."),
    "ca-file": ("FILE", "PEM file of the certificate authorities to trust, instead of this machine's."),
    "tls-insecure": (
        "true|false",
        "Whether to take any certificate; whoever is on the way can then read all passwords.",
    ),
    "client-certificate": ("FILE", "PEM file with a certificate to show to the target."),
    "client-key": ("FILE", "PEM file with its key, if that is in another one."),
    "dialect": (
        "NAME|FILE",
        "How a real target wants to be talked to ('loadgen profiles list dialect'); default: by the version "
        "that it tells.",
    ),
    "autodiscover": (
        "URL|WORD",
        "Where to ask for what accounts lack: an address, or target, domain (of the mailbox), off.",
    ),
    "rpc-server": ("SERVER", "Server behind the RPC proxy to ask for referral and directory."),
    "mailbox-server": ("SERVER", "Server of all mailboxes that accounts and Autodiscover say nothing of."),
    "public-folder-server": ("SERVER", "Server of all public folders of which they say nothing."),
    "authorised": (
        "true|false",
        "Whether whoever runs the target has agreed to this load; true is needed for all but this machine.",
    ),
    "logons-per-s": ("NUMBER", "Users who log on in a second, at most."),
    "sends-per-s": (
        "NUMBER",
        "Messages sent in a second, at most; beyond that arrivals are skipped and counted.",
    ),
    "counters-url": ("URL", "Prometheus metrics to read once an interval into timeseries.csv."),
    "retry-refused": ("INTEGER", "How often a user who could not log on tries again."),
    "retry-refused-after": ("TIME", "How long such a user waits each time."),
    "session-length": ("TIME", "Simulated time after which users log off and on again; 0s for never."),
    "unfinished-per-user": (
        "NUMBER",
        "Operations waiting and running, per user, beyond which arrivals are skipped.",
    ),
    "invalid-lag": ("TIME", "Generator's lag (p99) beyond which the run is INVALID."),
    "invalid-busy": (
        "SHARE",
        "Share of ten seconds, such as 0.85, that a worker may be busy before the run is INVALID.",
    ),
    "invalid-use": ("SHARE", "Share of descriptors or source ports in use beyond which the run is INVALID."),
}
_LIST_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "threshold": (
        "THRESHOLD",
        "What has to hold at the end, such as 'users.refused == 0'; may be repeated.",
    ),
    "abort-on": (
        "THRESHOLD",
        "What ends the run as soon as it does not hold for an interval; may be repeated.",
    ),
    "set": ("KEY=VALUE", "Change one key of the topology, such as 'http.framing=chunked'; may be repeated."),
    "resolve": ("NAME=ADDRESS", "Address of the target, instead of the DNS's; may be repeated."),
    "counters": ("METRIC", "A metric of --counters-url to keep; may be repeated; default: a short list."),
    "source-ip": ("ADDRESS", "Address, or range A-B, to connect from; may be repeated."),
}
_CHOICE_KEYS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "shape": (
        ("uniform", "peak", "closed"),
        "When messages are due: evenly over the day, with an hour of twice as many, or each once the last "
        "is sent.",
    ),
    "auth": (
        ("basic", "ntlm", "negotiate", "anonymous", "auto"),
        "How users authenticate to the web server; auto: by the strongest scheme that it offers.",
    ),
    "rpc-security": (
        ("none", "connect", "integrity", "privacy"),
        "Security of the RPC calls themselves, within HTTP.",
    ),
    "rpc-mechanism": (("ntlm", "negotiate"), "How users prove for --rpc-security who they are."),
    "tls-minimum": (("1.0", "1.1", "1.2", "1.3"), "The oldest version of TLS to speak."),
    "startup": (("on", "off"), "Whether users open the connections, too, that Outlook needs only to start."),
    "cleanup": (
        ("on", "off"),
        "Whether the run's mail is removed at log off; default: on, but for a mock.",
    ),
}


def population_options(command: Command) -> Command:
    """CAMPAIGN, and users of one's own instead of its groups."""
    options = (
        click.argument("campaign", required=False),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="N:TYPE:PROFILE",
            help="Users of a kind; may be repeated.",
        ),
        click.option(
            "--users", type=click.IntRange(min=1), help="Users, all of one --client type and --profile."
        ),
        click.option(
            "--client", help=f"Client type ('loadgen profiles list client'); default: {DEFAULT_CLIENT}."
        ),
        click.option(
            "--profile",
            help=f"Message profile ('loadgen profiles list message'); default: {DEFAULT_PROFILE}.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def campaign_options(
    only: Collection[str] | None = None, *, but: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Keys of a campaign file, all ``but`` some or ``only`` some, as options; with dashes or underscores."""

    def with_them(command: Command) -> Command:
        for option in reversed(_options(only, but)):
            command = option(command)
        return command

    return with_them


def export_options(command: Command) -> Command:
    """``--metrics`` and ``--otlp``: for monitoring systems, while it lasts."""
    otlp = click.option(
        "--otlp", metavar="URL", help="Send the run's own figures to an OpenTelemetry collector."
    )
    metrics = click.option(
        "--metrics", metavar="[ADDRESS:]PORT", help="Serve the run's own figures to Prometheus there."
    )
    return metrics(otlp(command))


def own_groups(
    groups: tuple[str, ...], users: int | None, client: str | None, profile: str | None
) -> list[Group]:
    """What ``--group``, ``--users``, ``--client`` and ``--profile`` say."""
    own = [_parse_group(each) for each in groups]
    if users is not None:
        own.append(Group(users=users, client=client or DEFAULT_CLIENT, profile=profile or DEFAULT_PROFILE))
    elif client or profile:
        raise click.UsageError("--client and --profile say what --users are: give --users too")
    return own


def choose_campaign(
    name: str | None, groups: list[Group], options: Mapping[str, object], default: str = DEFAULT_CAMPAIGN
) -> Campaign:
    """The file's campaign, or an empty one for groups of one's own, with the options that were given."""
    if name is None and groups:
        base = Campaign(name="command-line", title="users given on the command line")
    else:
        base = load_campaign(name or default)
    if groups:
        base = msgspec.structs.replace(base, groups=tuple(groups))
    given = {key: value for key, value in options.items() if value not in (None, ())}
    return with_options(base, given)


def _options(only: Collection[str] | None, but: Collection[str]) -> list[Callable[[Command], Command]]:
    def wanted(keys: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        return ((key, value) for key, value in keys.items() if key in (only or keys) and key not in but)

    return [
        *(click.option(*_spellings(key), metavar=form, help=text) for key, (form, text) in wanted(_KEYS)),
        *(
            click.option(*_spellings(key), metavar=form, multiple=True, help=text)
            for key, (form, text) in wanted(_LIST_KEYS)
        ),
        *(
            click.option(*_spellings(key), type=click.Choice(choices), help=text)
            for key, (choices, text) in wanted(_CHOICE_KEYS)
        ),
    ]


def _spellings(key: str) -> list[str]:
    return list(dict.fromkeys((f"--{key}", f"--{key.replace('-', '_')}")))


def _parse_group(text: str) -> Group:
    users, _, rest = text.partition(":")
    client, _, profile = rest.partition(":")
    if not (users.isdecimal() and client and profile):
        raise ProfileError(
            f"option: group: {text!r} is not N:TYPE:PROFILE, such as 50:{DEFAULT_CLIENT}:light"
        )
    return library.convert(
        {"users": int(users), "client": client, "profile": profile}, Group, "option: group"
    )
