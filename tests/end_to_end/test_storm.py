"""Cached mode while channels live for 12 KiB and connections break; tests/prove has the long version."""

import asyncio

import pytest

from tests.end_to_end.mock_organisation import running_mock
from tests.end_to_end.storm import FORMS, RECIPIENTS, SHORT_LIVED, Forecast, storm

FORECAST = Forecast(users=6, messages=2, day_s=4.0, drops=8, cut_share=0.3, synchronisation_s=1.0)


@pytest.mark.parametrize("processes", [1, 3])
async def test_mail_weathers_broken_connections(tmp_path, processes):
    """Nothing is lost, nothing is doubled, and the copies are the mailboxes."""
    arguments = (*SHORT_LIVED, "--set", f"client_access.0.processes={processes}")
    with running_mock(tmp_path, *arguments, users=FORECAST.users) as mock:
        after = await storm(mock, FORECAST)
        await asyncio.to_thread(mock.wait_until_idle)
    assert (after.errors, after.differences) == ([], [])
    held, filed = after.held(), after.filed()
    assert set(held.values()) == {1}
    assert set(filed.values()) == {1}
    assert all((message.key, who.alias) in held for message in after.confirmed for who in message.recipients)
    assert {message.key for message in after.confirmed} <= filed.keys()
    assert len(held) == RECIPIENTS * len({key for key, _ in held})
    forms = ("IN_R2", "OUT_R2") if processes == 1 else FORMS
    assert all(after.recycled[form] for form in forms)
