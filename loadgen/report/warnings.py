"""What a reader of a report should know before trusting it: a closed list, each with advice."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from loadgen.measure import threshold
from loadgen.measure.limits import COUNTED_IN_SECONDS
from loadgen.workload.campaign import Campaign

_ENOUGH_FOR_P999: Final = 1000
_NAMED_AT_MOST: Final = 3
_WHOLE_DAY: Final = 0.99


def of(
    summary: Mapping[str, Any], campaign: Campaign, uncounted: Iterable[str], events_dropped: int
) -> Iterator[str]:
    """The warnings about a summary in plain values; ``uncounted`` says who could not count, and why."""
    for problem in uncounted:
        yield f"{problem}. Its columns were not compared."
    if summary["stopped_by"]:
        yield (
            f"Stopped early by {summary['stopped_by']}, after {summary['measured_s']:,.0f} s of "
            f"{campaign.duration_s:,.0f} s of the measured phase: that much is judged, and no more."
        )
    if summary["paused_s"]:
        yield (
            f"Paused for {summary['paused_s']:,.0f} s: the schedule stood, and its rest came so much later. "
            "Traffic of that time counts for nothing."
        )
    wanted, planned = summary["users"]["wanted"], summary["users"]["planned"]
    if wanted != planned:
        yield (
            f"Scaled to {wanted:,} of {planned:,} users while it ran. "
            f"Counts at the barriers and figures per user are those of {planned:,}."
        )
    rare = [name for name, each in summary["operations"].items() if 0 < each["done"] < _ENOUGH_FOR_P999]
    if rare:
        which = ", ".join(rare) if len(rare) <= _NAMED_AT_MOST else f"{len(rare)} operations"
        yield (
            f"p99.9 is the maximum for {which}: fewer than {_ENOUGH_FOR_P999:,} were done. "
            "Run longer, or with more users."
        )
    days = summary["measured_s"] * campaign.speed / campaign.day
    if 0 < days < _WHOLE_DAY:
        yield f"Traffic per day is extrapolated from {days:.2g} of a day. Measure a whole day."
    if summary["generator"]["clamped"]:
        yield (
            f"{summary['generator']['clamped']:,} times were negative or above 10 min and count at the edge. "
            "Do not read maxima of 10 min as such."
        )
    for hit in summary["limits"]:
        users = "user" if hit["users_logged_on"] == 1 else "users"
        met = f"first with {hit['users_logged_on']:,} {users} logged on" if hit["first_error"] else ""
        unit = "channels cut" if hit["name"] in COUNTED_IN_SECONDS else "times"
        often = f"{hit['hits']:,} {unit}" if hit["hits"] is not None else ""
        parts = ", ".join(filter(None, (often, met, hit["first_error"])))
        of = f" of {where}" if (where := threshold.describe_limit(hit)) else ""
        yield f"Limit {hit['name']}{of} was hit: {parts}. See docs/limits.md for what helps."
    if summary["unexpected_deliveries"]:
        yield (
            f"{summary['unexpected_deliveries']:,} notifications came twice or belong to another run. "
            "Use mailboxes that nobody else writes to."
        )
    if events_dropped:
        yield f"{events_dropped:,} events were counted and not kept: events.jsonl is not complete."
    if campaign.shape == "closed":
        yield "The shape is closed: a slow answer delays what follows, so response times flatter the target."
