from types import SimpleNamespace

import pytest

from loadgen.engine.run import asked_of_limits, source_addresses, within_rate
from loadgen.errors import ProfileError, TransportError
from loadgen.measure.limits import LimitReading
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        ((), ()),
        (("127.0.30.1",), ("127.0.30.1",)),
        (("127.0.30.254-127.0.31.1",), ("127.0.30.254", "127.0.30.255", "127.0.31.0", "127.0.31.1")),
        (("127.0.30.2", " 127.0.30.1 - 127.0.30.2"), ("127.0.30.2", "127.0.30.1")),
    ],
)
def test_source_addresses_are_single_ones_and_ranges(texts, addresses):
    assert source_addresses(texts) == addresses


@pytest.mark.parametrize("text", ["here", "127.0.0.2-127.0.0.1", "127.0.0.1-127.255.0.0", "::1"])
def test_what_is_no_range_is_refused_by_name(text):
    with pytest.raises(ProfileError, match="source_ip: "):
        source_addresses((text,))


class Exporter:
    url = "http://127.63.0.2:9182/metrics"

    def __init__(self, *found):
        self.found = list(found)

    async def ask(self):
        if not self.found:
            raise TransportError("nobody there")
        return self.found.pop(0)


async def test_limits_are_asked_of_the_target_or_else_of_what_is_scraped():
    async def ask():
        return []

    knows, knows_nothing = SimpleNamespace(limits=ask), SimpleNamespace(limits=None)
    hits = {r'mock_counter{server="CAS1",counter="Limit\\ports\\Hits"}': 4.0}
    assert await asked_of_limits(knows, Exporter(hits)) is ask
    assert await asked_of_limits(knows_nothing, None) is None
    assert await asked_of_limits(knows_nothing, Exporter({"node_load1": 1.0})) is None
    assert await asked_of_limits(knows_nothing, Exporter()) is None
    scraped = await asked_of_limits(knows_nothing, Exporter(hits, hits))
    assert await scraped() == [LimitReading("ports", "CAS1", 0.0, 0.0, 4)]


def test_a_ramp_is_stretched_to_what_the_rate_allows(population_of):
    said = []
    campaign = Campaign(ramp=Duration(10), logons_per_s=2.0)
    assert within_rate(campaign, population_of(50), said.append).ramp == 25
    assert said == ["ramp: 25 s instead of 10 s, since logons_per_s allows no more"]
    for unchanged in (Campaign(ramp=Duration(10)), Campaign(ramp=Duration(30), logons_per_s=2.0)):
        assert within_rate(unchanged, population_of(50), said.append) is unchanged
