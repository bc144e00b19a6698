"""``loadgen mock``: becomes ``python -m mock_server``, which is a program of its own."""

import os
import sys

import click

from loadgen.cli.output import json_option


@click.command(epilog="\b\nExample:\n  loadgen mock small --users 20 --set http.framing=chunked")
@click.argument("topology", default="default")
@click.option("--users", type=click.IntRange(min=1), help="How many accounts there are.")
@click.option("--base-address", metavar="ADDRESS", help="Move all addresses to here, for example 127.0.40.0.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one key of the topology; may be repeated.",
)
@json_option("one line of JSON")
def mock(
    topology: str, users: int | None, base_address: str | None, changes: tuple[str, ...], *, as_json: bool
) -> None:
    """Serve a mock Exchange organisation until interrupted.

    TOPOLOGY is a built-in name ('loadgen profiles list topology') or a TOML file; without one, 'default'.
    """
    arguments = [sys.executable, "-m", "mock_server", topology]
    if users is not None:
        arguments += ["--users", str(users)]
    if base_address is not None:
        arguments += ["--base-address", base_address]
    for change in changes:
        arguments += ["--set", change]
    if as_json:
        arguments.append("--json")
    os.execv(sys.executable, arguments)  # noqa: S606 - our own program; signals and exit status become its own
