"""``loadgen check``: one user, step by step, against one target."""

import asyncio
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from loadgen.check.checkup import check as take_check
from loadgen.check.result import Result
from loadgen.check.text import show
from loadgen.cli.campaign_options import DEFAULT_CLIENT, DEFAULT_PROFILE, campaign_options
from loadgen.cli.output import json_option, print_json
from loadgen.engine.checking import open_subject
from loadgen.engine.security import INSECURE
from loadgen.measure.threshold import EXIT_UNREACHABLE
from loadgen.trace.files import writing
from loadgen.trace.tracer import Tracer
from loadgen.workload.campaign import Campaign, Group, with_options

_KEYS: Final = (
    "users-file",
    "auth",
    "rpc-security",
    "rpc-mechanism",
    "ca-file",
    "tls-insecure",
    "tls-minimum",
    "client-certificate",
    "client-key",
    "resolve",
    "dialect",
    "autodiscover",
    "rpc-server",
    "mailbox-server",
    "public-folder-server",
    "topology",
    "set",
)
_EPILOG: Final = """\b
Examples:
  loadgen check mock
  loadgen check https://mail.example.org --user alice@example.org
  loadgen check https://mail.example.org --users-file users.csv --auth basic --trace first.trace
  loadgen check mock --client outlook2007-cached
"""
_PATH: Final = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option(
    "--user", default="", help="Address, or DOMAIN\\name; the password is LOADGEN_PASSWORD, or asked."
)
@click.option("--mailbox", default="", help="Address of the mailbox, if the user's name is none.")
@click.option("--client", default=DEFAULT_CLIENT, show_default=True, help="Client type; it decides the way.")
@campaign_options(only=_KEYS)
@click.option("--trace", type=_PATH, help="Write all that is said, readable; as a capture to FILE.pcap.")
@click.option("--trace-pcap", "--trace_pcap", type=_PATH, help="Write the capture there instead.")
@json_option()
@click.pass_context
def check(
    ctx: click.Context,
    /,
    target: str,
    user: str,
    mailbox: str,
    client: str,
    trace: Path | None,
    trace_pcap: Path | None,
    as_json: bool,
    **options: object,
) -> None:
    """Check TARGET with one user: mock, mock=URL, or https://HOST[:PORT] (http:// too) of a real RPC proxy.

    Each step is timed; what fails is explained. Exit codes: 0 all passed; 3 a step failed; 2 wrong
    usage.
    """
    given = {key: value for key, value in options.items() if value not in (None, ())}
    groups = (Group(users=1, client=client, profile=DEFAULT_PROFILE),)
    campaign = with_options(Campaign(auth="auto", groups=groups), given)
    if campaign.tls_insecure:
        click.secho(INSECURE, fg="red", bold=True, err=True)
    result = asyncio.run(_check(target, campaign, user, mailbox, trace, trace_pcap))
    if as_json:
        print_json(result)
    else:
        show(result, Console())
    ctx.exit(0 if result.passed else EXIT_UNREACHABLE)


async def _check(
    target: str, campaign: Campaign, user: str, mailbox: str, trace: Path | None, trace_pcap: Path | None
) -> Result:
    tracer = Tracer()
    if trace is not None and trace_pcap is None:
        trace_pcap = trace.with_name(f"{trace.name}.pcap")
    with writing(tracer, trace, trace_pcap):
        async with open_subject(target, campaign, user, mailbox, _say) as subject:
            return await take_check(subject, tracer)


def _say(text: str) -> None:
    click.echo(text, err=True)
