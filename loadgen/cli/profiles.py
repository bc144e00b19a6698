"""``loadgen profiles``: what there is, what a profile says, whether one is right."""

from typing import Final

import click
import msgspec

from loadgen.client.client_type import ClientType
from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, load_campaign, populate
from loadgen.workload.profile import MessageProfile

_TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    "campaign": Campaign,
    "client": ClientType,
    "message": MessageProfile,
}
_KIND: Final = click.Choice(list(_TYPES))
_EXAMPLE: Final = "\b\nExample:\n  "


class WrongProfile(click.ClickException):
    """A profile that can't be used, said in one line; exit code 2, as for wrong usage."""

    exit_code = 2


@click.group(epilog=f"{_EXAMPLE}loadgen profiles list")
def profiles() -> None:
    """List, show and validate campaigns, client types and message profiles."""


@profiles.command("list", epilog=f"{_EXAMPLE}loadgen profiles list client")
@click.argument("kind", required=False, type=_KIND)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_profiles(kind: str | None, *, as_json: bool) -> None:
    """List the built-in profiles, of one KIND or of all."""
    found = {
        each: {name: _title(each, name) for name in library.built_in_names(each)}
        for each in _TYPES
        if kind in (None, each)
    }
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    width = max(len(name) for names in found.values() for name in names)
    for each, names in found.items():
        click.secho(each, bold=True)
        for name, title in names.items():
            click.echo(f"  {name:{width}}  {title}")


@profiles.command("show", epilog=f"{_EXAMPLE}loadgen profiles show client outlook2007-online-anywhere")
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.option(
    "--json", "as_json", is_flag=True, help="Print all keys, those inherited and defaulted too, as JSON."
)
def show_profile(kind: str, name: str, *, as_json: bool) -> None:
    """Show the profile NAME (a built-in name, or the path of a .toml file) as its file has it."""
    profile = _read(kind, name)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(library.to_table(profile)), indent=2))
    else:
        click.echo(library.find(kind, name).read_text(encoding="utf-8"), nl=False)


@profiles.command("validate", epilog=f"{_EXAMPLE}loadgen profiles validate campaign my-campaign.toml")
@click.argument("kind", type=_KIND)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate_profiles(kind: str, names: tuple[str, ...], *, as_json: bool) -> None:
    """Check profiles by built-in name or path; exits with 2 if one is wrong."""
    problems = {name: _problem(kind, name) for name in names}
    if as_json:
        click.echo(
            msgspec.json.encode({name: {"ok": not why, "problem": why} for name, why in problems.items()})
        )
    else:
        for name, why in problems.items():
            click.echo(why or f"{name}: ok", err=why is not None)
    if any(problems.values()):
        raise click.exceptions.Exit(2)


def _read(kind: str, name: str) -> msgspec.Struct:
    """Reads a profile; a wrong one is an error of usage, in one line."""
    try:
        return load_campaign(name) if kind == "campaign" else library.read(kind, name, _TYPES[kind])
    except ProfileError as error:
        raise WrongProfile(str(error)) from None


def _problem(kind: str, name: str) -> str | None:
    try:
        if kind == "campaign":
            populate(load_campaign(name))
        else:
            library.read(kind, name, _TYPES[kind])
    except ProfileError as error:
        return str(error)
    return None


def _title(kind: str, name: str) -> str:
    return str(getattr(_read(kind, name), "title", ""))
