"""``loadgen plan``: the arithmetic of a population on a topology, with no traffic."""

from typing import Final

import click

from loadgen.capacity import plan_text
from loadgen.capacity.plan import RECONNECT_SPREAD_S, make_plan
from loadgen.cli.campaign_options import (
    DEFAULT_CLIENT,
    DEFAULT_PROFILE,
    campaign_options,
    choose_campaign,
    own_groups,
    population_options,
)
from loadgen.cli.output import json_option, print_json
from loadgen.errors import ProfileError
from loadgen.workload.campaign import Campaign, Group, Population, groups_of
from loadgen.workload.duration import Duration
from loadgen.workload.topology import ROLES, Topology, read_topology

DEFAULT_TOPOLOGY: Final = "white-paper"

_EPILOG: Final = """\b
Examples:
  loadgen plan --users 10000 --client outlook2007-cached-anywhere
  loadgen plan --topology hosting --for-users 20000 --startup on
  loadgen plan my-campaign.toml --set limits.ports=port-scalability --servers client_access=4
"""
_KEYS: Final = ("topology", "limit-scale", "set", "day", "startup")


@click.command(epilog=_EPILOG)
@population_options
@campaign_options(only=_KEYS)
@click.option(
    "--servers", multiple=True, metavar="ROLE=N", help=f"So many servers of a role: {', '.join(ROLES)}."
)
@click.option(
    "--for-users", type=click.IntRange(min=1), help="Also the smallest numbers of servers for so many users."
)
@click.option(
    "--spread",
    default=str(Duration(RECONNECT_SPREAD_S)),
    show_default=True,
    help="Time in which all users come back after a client access server has dropped them.",
)
@json_option()
def plan(
    campaign: str | None,
    groups: tuple[str, ...],
    users: int | None,
    client: str | None,
    profile: str | None,
    servers: tuple[str, ...],
    for_users: int | None,
    spread: str,
    as_json: bool,
    **options: object,
) -> None:
    """Plan CAMPAIGN, or users of your own: connections, limits, rates, and which limit comes first.

    Nothing is connected to. Without a CAMPAIGN the topology is 'white-paper'.
    """
    if users is None and for_users is not None and not groups and campaign is None:
        users = for_users
    own = own_groups(groups, users, client, profile)
    if campaign is None and not own:
        own = [Group(users=1, client=DEFAULT_CLIENT, profile=DEFAULT_PROFILE)]
    chosen = choose_campaign(campaign, own, options)
    made = make_plan(
        _topology(chosen, servers, default=campaign is None and options["topology"] is None),
        Population(groups_of(chosen)),
        startup=chosen.startup == "on",
        day_s=float(chosen.day),
        spread_s=_spread_s(spread),
        for_users=for_users,
    )
    if as_json:
        print_json(made)
    else:
        plan_text.show(made)


def _topology(campaign: Campaign, servers: tuple[str, ...], *, default: bool) -> Topology:
    topology = read_topology(DEFAULT_TOPOLOGY if default else campaign.topology, campaign.set)
    if campaign.limit_scale is not None:
        topology = topology.with_scale(campaign.limit_scale)
    for each in servers:
        role, _, count = each.partition("=")
        if role not in ROLES or not count.isdecimal() or not int(count):
            raise ProfileError(f"option: servers: {each!r} is not ROLE=N; roles: {', '.join(ROLES)}")
        topology = topology.with_servers(role, int(count))
    return topology


def _spread_s(text: str) -> float:
    try:
        return float(Duration.parse(text))
    except ValueError as error:
        raise ProfileError(f"option: spread: {error}") from None
