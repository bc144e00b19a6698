"""The command line of ``python -m mock_server``."""

import asyncio
from errno import ENOSPC
from typing import Final

import click
import msgspec

from loadgen.errors import LoadgenError, ProfileError
from mock_server.child import CannotListen
from mock_server.organisation import Organisation, describe
from mock_server.security.tls import with_certificate
from mock_server.supervisor import Supervisor
from mock_server.topology import Topology
from mock_server.topology_file import TopologySource, built_in_names, parse_change

_HELP = f"""Serve a mock Exchange organisation until interrupted.

Client access, mailbox, public folder and directory servers are processes with addresses of their own.
TOPOLOGY is one of {", ".join(built_in_names())} or a .toml file.

\b
Example:
  python -m mock_server small --users 20 --set http.framing=chunked
"""
_ELSEWHERE: Final = "if another mock runs, --base-address 127.0.40.0 moves all addresses of this one"


@click.command(name="mock_server", help=_HELP)
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
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when everything listens.")
@click.option("--check", is_flag=True, help="Check the topology and end; with --json, print all its keys.")
@click.option("--verbose", is_flag=True, help="Say on standard error what is being started.")
def command(
    topology: str,
    users: int | None,
    base_address: str | None,
    changes: tuple[str, ...],
    *,
    as_json: bool,
    check: bool,
    verbose: bool,
) -> None:
    """Serve a topology, or check it."""
    overrides = dict(parse_change(change) for change in changes)
    if users is not None:
        overrides["accounts.count"] = users
    source = TopologySource(topology, base_address, overrides)
    chosen = source.read()
    if check:
        click.echo(msgspec.json.encode(chosen) if as_json else f"{topology}: ok")
        return
    if verbose:
        click.echo(f"starting the mock organisation: {chosen.processes} processes", err=True)
    with with_certificate(chosen) as certified:
        try:
            asyncio.run(_serve(certified, source, as_json=as_json))
        except CannotListen as error:
            if base_address is not None or "in use" not in str(error):
                raise
            raise CannotListen(f"{error}; {_ELSEWHERE}") from None


def main() -> int:
    """Run the command; the exit status: 2 for a wrong topology, 3 if an address is taken, else 1."""
    try:
        command.main(prog_name="mock_server", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        click.echo(f"mock_server: {error.filename or 'standard output'}: {error.strerror}", err=True)
        return 1
    except LoadgenError as error:
        click.echo(f"mock_server: {error}", err=True)
        return 2 if isinstance(error, ProfileError) else 3 if isinstance(error, CannotListen) else 1
    return 0


async def _serve(topology: Topology, source: TopologySource, *, as_json: bool) -> None:
    organisation = describe(topology)

    def announce() -> None:
        line = msgspec.json.encode(organisation).decode() if as_json else _text(topology, organisation)
        click.echo(line)

    await Supervisor(topology, announce, source).run()


def _text(topology: Topology, organisation: Organisation) -> str:
    accounts = organisation.accounts
    first = accounts.alias.format(index=0)
    lines = [
        f"{topology.title or 'Mock organisation'}: {accounts.count} users.",
        *(
            f"  {cas.name:8} {cas.scheme}://{cas.address}:{cas.port}/rpc/rpcproxy.dll"
            for cas in organisation.cas
        ),
    ]
    for name, server in organisation.servers.items():
        ports = ", ".join(f"{service} {port}" for service, port in server.ports.items())
        lines.append(f"  {name:8} {server.address}: {ports}")
    lines += [
        f"  counters_url {organisation.counters_url} (there: /counters, /metrics)",
        f"  Log on as {first}@{accounts.domain} with the password {accounts.password}",
        f"  Try it with: loadgen check mock={organisation.counters_url}",
        "Interrupt to stop.",
    ]
    return "\n".join(lines)
