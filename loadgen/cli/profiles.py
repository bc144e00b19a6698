"""``loadgen profiles``: what there is, what a profile says, whether one is right."""

import subprocess
import sys
from typing import Any, Final

import click
import msgspec
from click.shell_completion import CompletionItem

from loadgen.cli.output import json_option, print_json
from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.campaign import load_campaign, populate
from loadgen.workload.limit_set import read_limit_set
from loadgen.workload.profile import MessageProfile

Table = dict[str, Any]

_KIND: Final = click.Choice(library.KINDS)
_EXAMPLE: Final = "\b\nExample:\n  "


def _complete_name(ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    kind = ctx.params.get("kind")
    names = library.built_in_names(kind) if kind in library.KINDS else ()
    return [CompletionItem(name) for name in names if name.startswith(typed)]


@click.group(epilog=f"{_EXAMPLE}loadgen profiles list")
def profiles() -> None:
    """List, show and validate campaigns, client types, dialects, message profiles, topologies and limits."""


@profiles.command("list", epilog=f"{_EXAMPLE}loadgen profiles list client")
@click.argument("kind", required=False, type=_KIND)
@json_option()
def list_profiles(kind: str | None, *, as_json: bool) -> None:
    """List the built-in profiles, of one KIND or of all."""
    found = {
        each: {name: _title(each, name) for name in library.built_in_names(each)}
        for each in library.KINDS
        if kind in (None, each)
    }
    if as_json:
        print_json(found)
        return
    width = max((len(name) for names in found.values() for name in names), default=0)
    for each, names in found.items():
        click.secho(each, bold=True)
        for name, title in names.items():
            click.echo(f"  {name:{width}}  {title}")
        if not names:
            click.echo("  none yet")


@profiles.command("show", epilog=f"{_EXAMPLE}loadgen profiles show client outlook2007-online-anywhere")
@click.argument("kind", type=_KIND)
@click.argument("name", shell_complete=_complete_name)
@json_option("all keys, inherited and defaulted ones too, as JSON")
def show_profile(kind: str, name: str, *, as_json: bool) -> None:
    """Show the profile NAME (a built-in name, or the path of a .toml file) as its file has it."""
    if as_json:
        print_json(_read(kind, name))
    else:
        click.echo(library.find(kind, name).read_text(encoding="utf-8"), nl=False)


@profiles.command("validate", epilog=f"{_EXAMPLE}loadgen profiles validate campaign my-campaign.toml")
@click.argument("kind", type=_KIND)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=_complete_name)
@json_option()
def validate_profiles(kind: str, names: tuple[str, ...], *, as_json: bool) -> None:
    """Check profiles by built-in NAME or path, or all built-in ones; exits with 2 if one is wrong."""
    problems = {name: _problem(kind, name) for name in names or library.built_in_names(kind)}
    if as_json:
        print_json({name: {"ok": not why, "problem": why} for name, why in problems.items()})
    else:
        for name, why in problems.items():
            click.echo(why or f"{name}: ok", err=why is not None)
    if any(problems.values()):
        raise click.exceptions.Exit(2)


def _title(kind: str, name: str) -> str:
    return str(library.read_table(kind, name).get("title", ""))


def _problem(kind: str, name: str) -> str | None:
    try:
        _read(kind, name)
    except ProfileError as error:
        return str(error)
    return None


def _read(kind: str, name: str) -> Table:
    """A right profile with all its keys; raises :class:`~loadgen.errors.ProfileError`."""
    if kind == "campaign":
        campaign = load_campaign(name)
        populate(campaign)
        return library.to_table(campaign)
    if kind == "client":
        return library.to_table(library.read(kind, name, ClientType))
    if kind == "dialect":
        return library.to_table(library.read(kind, name, Dialect))
    if kind == "message":
        return library.to_table(library.read(kind, name, MessageProfile))
    if kind == "topology":
        return _read_topology(name)
    return library.to_table(read_limit_set(name))


def _read_topology(name: str) -> Table:
    """Topologies belong to the mock organisation, which is a program of its own."""
    library.find("topology", name)
    command = [sys.executable, "-m", "mock_server", "--check", "--json", "--", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise ProfileError(done.stderr.strip().removeprefix("mock_server: "))
    return msgspec.json.decode(done.stdout, type=Table)
