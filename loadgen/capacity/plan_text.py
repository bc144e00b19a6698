"""A plan as text, in tables of at most 80 columns."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, ConsoleRenderable, Group
from rich.table import Table
from rich.text import Text

from loadgen.capacity.ceilings import Ceiling
from loadgen.capacity.needed import Needed
from loadgen.capacity.per_server import KB951764_PORTS, Reconnect
from loadgen.capacity.plan import Plan, UserCost, first_limit
from loadgen.report.layout import NO_FIGURE, output_console, plain, table, titled
from loadgen.report.text import COLUMN_TITLES, SELDOM
from loadgen.workload import library

WIDTH: Final = 80

_LIMIT_TITLES: Final = {
    "ports": "ports",
    "context_handles": "context handles",
    "memory": "memory (connections)",
    "request_queue": "request queue",
    "nspi_sessions": "NSPI sessions a user",
    "mapi_sessions": "MAPI sessions a user",
    "front_end_contexts": "front-end contexts",
    "nonpaged_pool": "non-paged pool (TCP)",
}
_WHEN: Final = {"steady": "steady", "startup": "at start-up"}
_ROLE_TITLES: Final = {
    "reverse_proxy": "reverse proxy",
    "client_access": "client access",
    "mailbox": "mailbox",
    "public_folders": "public folders",
    "global_catalog": "global catalog",
}


def show(plan: Plan, console: Console | None = None) -> None:
    """Prints a plan, by default to standard output."""
    console = console or output_console()
    console.print(screen(plan), width=min(console.width, WIDTH), crop=False)


def screen(plan: Plan) -> ConsoleRenderable:
    """All parts of a plan."""
    parts: list[ConsoleRenderable] = [
        plain(f"{plan.users:,} users on {plan.topology}, limits x {plan.limit_scale:g}", "bold"),
        *(plain(f"  {group.users:,} {group.client}, {group.profile}") for group in plan.groups),
        titled("TCP connections", _connections(plan)),
        titled("In use", _uses(plan)),
        titled("What one user costs, and how many of them fit by that alone", *map(_cost, plan.costs)),
        titled(
            f"Which limit stops which number of users ({'all starting' if plan.startup else 'steady'})",
            _ceilings(plan),
            Text(_first(plan)),
        ),
        titled("Source addresses of client access servers", *_addresses(plan)),
        titled("All users come back at once, or nearly", *_reconnect(plan)),
        titled("Work, per second, and in all for everybody to log on once", _work(plan)),
        titled("Bytes, if all were clients of one row of the white paper's table", _traffic(plan)),
    ]
    if plan.needed is not None:
        parts.append(_needed(plan.needed))
    return Group(*parts)


def _connections(plan: Plan) -> Table:
    found = table("steady", "start-up", "LoadGen's view")
    for column, pair in plan.connections.items():
        seen = plan.as_loadgen.connections[column]
        if pair.startup or column not in SELDOM:
            found.add_row(COLUMN_TITLES[column], f"{pair.steady:,}", f"{pair.startup:,}", f"{seen:,}")
    return found


def _uses(plan: Plan) -> Table:
    found = table("steady", "%", "start-up", "%", "of", "", texts=("server", "what"))
    for server in plan.servers:
        name = server.name
        for use in server.uses:
            if not (use.startup or use.of):
                continue
            over = use.of is not None and (use.startup if plan.startup else use.steady) > use.of
            found.add_row(
                plain(name),
                _LIMIT_TITLES[use.limit],
                f"{use.steady:,}",
                _share(use.steady, use.of),
                f"{use.startup:,}",
                _share(use.startup, use.of),
                _figure(use.of),
                "over" if over else "",
                style="bold" if over else "",
            )
            name = ""
        if server.time_wait_ports:
            found.add_row("", "  then in TIME_WAIT", f"{server.time_wait_ports:,}")
    return found


def _share(number: int, of: int | None) -> str:
    return f"{100 * number / of:.1f}" if of else NO_FIGURE


def _cost(cost: UserCost) -> ConsoleRenderable:
    proxied = cost.transport == "http"
    lines = [_proxied(cost) if proxied else _inside(cost)]
    if cost.per_address:
        per_address = cost.per_address.items()
        fits = ", ".join(f"{count:,} {_WHEN.get(name, 'at ' + name)}" for name, count in per_address)
        lines.append(f"  A source address of the CAS carries so many users: {fits}.")
    if cost.per_dsproxy_address is not None:
        lines.append(f"  A source address of DSProxy carries {cost.per_dsproxy_address:,} users.")
    if cost.per_store is not None:
        both = cost.per_store_with_public_folders
        lines.append(
            f"  The handles of one store carry {cost.per_store:,} users, or {_figure(both)} with public "
            "folders in it."
        )
    if proxied:
        memory_gb = cost.users * cost.memory_kb.steady / 1e6
        lines.append(f"  {cost.users:,} users take {memory_gb:,.2f} GB of memory on CAS.")
    return Group(*map(plain, lines))


def _proxied(cost: UserCost) -> str:
    return (
        f"{cost.client}: {cost.connections.steady} TCP connections at the CAS, {cost.connections.startup} "
        f"at start-up; {cost.memory_kb.steady} KB of its memory, {cost.memory_kb.startup} at start-up."
    )


def _inside(cost: UserCost) -> str:
    text = (
        f"{cost.client} is inside the firewall: {cost.connections.steady} TCP connections straight to the "
        f"servers, {cost.connections.startup} at start-up, none through the CAS."
    )
    anywhere = f"{cost.client}-anywhere"
    if anywhere in library.built_in_names("client"):
        text += f" Over Outlook Anywhere it is {anywhere}."
    return text


def _ceilings(plan: Plan) -> Table:
    found = table("of", "users", texts=("limit", "server"))
    for number, each in enumerate(plan.ceilings):
        row = (_LIMIT_TITLES[each.limit], plain(each.server), f"{each.of:,}", f"{each.users:,}")
        found.add_row(*row, style="bold" if number == 0 else "")
    return found


def _first(plan: Plan) -> str:
    first, seen = first_limit(plan), plan.as_loadgen
    if first is None:
        return "No limit of this topology ever stops these users."
    text = f"{_fits(plan.users, first)}\nFirst: {_named(first)}, at {first.users:,} users."
    if seen.first_limit is not None:
        text += f" As LoadGen sees them: {_named(seen.first_limit)}, at {seen.first_limit.users:,} users"
        text += f", {seen.factor:.3g} times as many." if seen.factor else "."
    return text


def _fits(users: int, first: Ceiling) -> str:
    who, do, fit = ("user", "does", "fits") if users == 1 else ("users", "do", "fit")
    if users > first.users:
        return f"{users:,} {who} {do} not fit: number {first.users + 1:,} is refused."
    return f"{users:,} {who} {fit}."


def _named(ceiling: Ceiling) -> str:
    return f"{_LIMIT_TITLES[ceiling.limit]} of {ceiling.server}"


def _addresses(plan: Plan) -> Iterator[ConsoleRenderable]:
    for each in plan.addresses:
        if not each.connections:
            yield plain(f"{each.server}: no connections to servers behind it.")
            continue
        has = f"{each.source_addresses:,} {'address' if each.source_addresses == 1 else 'addresses'}"
        need = f" and needs {each.by_limit:,} with {each.ports:,} ports each" if each.ports else ""
        yield plain(
            f"{each.server} has {has}{need} for {each.connections:,} connections. With port scalability "
            f"({KB951764_PORTS:,}) it is {each.by_division:,} by division, {each.by_kb951764:,} by "
            "KB951764's formula."
        )


def _reconnect(plan: Plan) -> Iterator[ConsoleRenderable]:
    for each in plan.reconnect:
        if not each.connections:
            yield plain(f"{each.server}: nobody comes through it.")
            continue
        when = f"within {each.spread_s:g} s: {each.per_s:,.0f}/s" if each.spread_s else "at once"
        yield plain(
            f"{each.server}: {each.connections:,} connections {when}{_queued(each)}. "
            f"Ports with those in TIME_WAIT: {each.ports_with_time_wait:,}."
        )


def _queued(back: Reconnect) -> str:
    if not back.queue_of:
        return ""
    if back.queue_peak:
        return (
            f"; {back.queue_peak:,} have to wait, the request queue has room for {back.queue_of:,}: "
            f"{f'{back.refused:,} are' if back.refused else 'none is'} refused"
        )
    times = f"{back.connections / back.queue_of:,.1f}".removesuffix(".0")
    return (
        f", so that none has to wait. At once they are {times} times what the request queue of "
        f"{back.queue_of:,} has room for"
    )


def _work(plan: Plan) -> Table:
    found = table("users", "pings/s", "RPC/s", "RPC to log on, in all", texts=("server", "role"))
    for each in plan.servers:
        calls = f"{each.rpc_per_s:,.1f}" if each.rpc_per_s else NO_FIGURE
        pings = f"{each.pings_per_s:,.1f}" if each.pings_per_s else NO_FIGURE
        total = f"{each.log_on_rpc:,}" if each.log_on_rpc else NO_FIGURE
        found.add_row(plain(each.name), _ROLE_TITLES[each.role], f"{each.users:,}", pings, calls, total)
    return found


def _traffic(plan: Plan) -> Table:
    found = table("mean kB/s", "mean Mb/s", "peak Mb/s")
    for each in plan.traffic:
        found.add_row(
            each.row, f"{each.kb_per_s:,.1f}", f"{each.mbit_per_s:,.2f}", f"{each.peak_mbit_per_s:,.1f}"
        )
    return found


def _needed(needed: Needed) -> ConsoleRenderable:
    found = table("servers", "or addresses on each")
    for role, count in needed.servers.items():
        addresses = needed.source_addresses.get(role, 1)
        found.add_row(_ROLE_TITLES[role], _figure(count), _figure(addresses))
    return titled(f"Smallest numbers for {needed.users:,} users of this mix", found)


def _figure(number: int | None) -> str:
    return NO_FIGURE if number is None else f"{number:,}"
