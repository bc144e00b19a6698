"""Copies of mailboxes through thousands of recyclings, broken connections and downloads cut in the middle."""

from pathlib import Path

import pytest

from tests.end_to_end.mock_organisation import running_mock
from tests.end_to_end.storm import FORMS, LIFETIME, RECIPIENTS, SHORT_LIVED, Forecast, Wreckage, storm
from tests.prove.conftest import Claims

FORECAST = Forecast(
    users=32, messages=5, day_s=40.0, drops=80, cut_share=0.3, synchronisation_s=4.0, sizes=(4_000, 30_000)
)
FEWEST_RECYCLINGS = 5_000
FEWEST_OF_A_FORM = 200
"""Of each form that is to be met: among three processes, one in three successors finds its predecessor."""

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]


@pytest.mark.parametrize("processes", [1, 3], ids=["one process", "three processes"])
async def test_copies_weather_a_storm(tmp_path: Path, claims: Claims, processes: int) -> None:
    arguments = (*SHORT_LIVED, "--set", f"client_access.0.processes={processes}")
    with running_mock(tmp_path, *arguments, users=FORECAST.users) as mock:
        after = await storm(mock, FORECAST)
    claims.note(
        "users, half of each cached type",
        f"{FORECAST.users}, channels of {LIFETIME:,} bytes either way, seed {FORECAST.seed}",
    )
    claim_recyclings(after, claims, FORMS if processes > 1 else ("IN_R2", "OUT_R2"))
    claim_weather(after, claims)
    claim_mail(after, claims)
    claim_copies(after, claims)
    assert claims.broken == []


def claim_recyclings(after: Wreckage, claims: Claims, wanted: tuple[str, ...]) -> None:
    for form in FORMS:
        many = after.recycled[form]
        if form in wanted:
            claims.claim(f"recycled {form}", f"{many:,}", holds=many >= FEWEST_OF_A_FORM)
        else:
            claims.claim(f"recycled {form}", f"{many:,}: none in one process", holds=many == 0)
    total = sum(after.recycled.values())
    claims.claim("recycled in all", f"{total:,}", holds=total >= FEWEST_RECYCLINGS)


def claim_weather(after: Wreckage, claims: Claims) -> None:
    lost = after.total(lambda damage: damage.losses)
    claims.claim(
        "connections are broken at any moment",
        f"{after.drops} cut, and those of {after.cuts} downloads; {lost} virtual connections lost",
        holds=after.drops > 0 and lost > 0,
    )
    resumed = after.total(lambda damage: damage.resumed)
    claims.claim("downloads go on behind what has come", f"{resumed}", holds=resumed > 0)
    claims.claim(
        "nothing else fails",
        f"{len(after.errors)} errors" + "".join(f"; {each}" for each in after.errors[:3]),
        holds=not after.errors,
    )


def claim_mail(after: Wreckage, claims: Claims) -> None:
    held, filed = after.held(), after.filed()
    delivered = {key for key, _ in held}
    for what, messages in (("confirmed", after.confirmed), ("in doubt", after.doubtful)):
        sent = [message for message in messages if message.key in delivered or what == "confirmed"]
        missing = [
            (message.key, account.alias)
            for message in sent
            for account in message.recipients
            if (message.key, account.alias) not in held
        ]
        claims.claim(
            f"messages {what} are with all recipients" + (" or none" if what == "in doubt" else ""),
            f"{len(sent):,} of {len(messages):,} sent, {len(missing)} deliveries missing",
            holds=not missing,
        )
    deliveries = sum(held.values())
    claims.claim(
        f"deliveries are {RECIPIENTS} times what was sent, none twice",
        f"{deliveries:,} = {RECIPIENTS} x {len(delivered):,}, at most {max(held.values())} of one message",
        holds=deliveries == RECIPIENTS * len(delivered) and set(held.values()) == {1},
    )
    told = [count for sailor in after.sailors for count in sailor.told.values()]
    claims.claim(
        "each is told of once", f"{sum(told):,} of {deliveries:,}", holds=sum(told) == deliveries == len(told)
    )
    unfiled = [message.key for message in after.confirmed if filed[message.key] != 1]
    claims.claim(
        "Sent Items holds each confirmed message once",
        f"{len(after.confirmed) - len(unfiled):,} of {len(after.confirmed):,}, {len(filed):,} in all",
        holds=not unfiled and set(filed.values()) == {1},
    )


def claim_copies(after: Wreckage, claims: Claims) -> None:
    claims.claim(
        "copies are the mailboxes, byte for byte",
        f"{after.compared:,} messages in three folders, {len(after.differences)} differences"
        + "".join(f"; {each}" for each in after.differences[:3]),
        holds=after.compared > 0 and not after.differences,
    )
