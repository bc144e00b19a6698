import pytest
from aiohttp import web

from loadgen.errors import ProfileError
from loadgen.measure.scrape import Scraper, parse_metrics, pick

PAGE = """\
# HELP windows_tcp_connections_established What is open
# TYPE windows_tcp_connections_established gauge
windows_tcp_connections_established{af="ipv4"} 40
windows_tcp_connections_established{af="ipv6"} 2
node_load1 0.25 1700000000000
odd{path="a } \\" b"} 1e3
not_a_number x
broken{
nothing
"""


def test_lines_are_read_as_they_are_and_others_left_out():
    assert parse_metrics(PAGE) == {
        'windows_tcp_connections_established{af="ipv4"}': 40,
        'windows_tcp_connections_established{af="ipv6"}': 2,
        "node_load1": 0.25,
        'odd{path="a } \\" b"}': 1000,
    }


def test_a_name_stands_for_all_its_labels_and_with_labels_for_itself():
    one = 'windows_tcp_connections_established{af="ipv6"}'
    assert pick(parse_metrics(PAGE), ("windows_tcp_connections_established", one, "none")) == {
        "windows_tcp_connections_established": 42,
        one: 2,
    }


@pytest.fixture
async def exporter():
    """A page of metrics that can be taken away."""
    page = {"status": 200}

    async def metrics(request):
        return web.Response(text=PAGE, status=page["status"])

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.37.3.1", 0).start()
    page["url"] = f"http://127.37.3.1:{runner.addresses[0][1]}/metrics"
    yield page
    await runner.cleanup()


async def test_known_counters_are_taken_where_nobody_chooses(exporter):
    scraper = Scraper(exporter["url"])
    assert await scraper.choose() == ""
    assert scraper.names == ("windows_tcp_connections_established", "node_load1")
    assert await scraper() == ({"windows_tcp_connections_established": 42, "node_load1": 0.25}, "")


async def test_an_exporter_that_goes_is_told_of_once(exporter):
    scraper = Scraper(exporter["url"], ("node_load1",))
    assert await scraper.choose() == ""
    exporter["status"] = 503
    assert await scraper() == ({}, f"{exporter['url']} answered 503")
    assert await scraper() == ({}, "")


async def test_counters_that_are_not_there_are_named(exporter):
    scraper = Scraper(exporter["url"], ("node_load1", "windows_none"))
    assert await scraper.choose() == f"counters_url: {exporter['url']} has no windows_none"
    exporter["status"] = 404
    unknown = Scraper(exporter["url"])
    assert await unknown.choose() == f"counters_url: {exporter['url']} answered 404; the run goes on without"
    assert await unknown() == ({}, "")


async def test_nothing_known_is_told(exporter, monkeypatch):
    monkeypatch.setattr("loadgen.measure.scrape.KNOWN", ("other",))
    assert "has no counter of the known list" in await Scraper(exporter["url"]).choose()


async def test_an_exporter_that_is_not_there_does_not_stop_a_run():
    warning = await Scraper("http://127.37.3.2:9/metrics").choose()
    assert warning.startswith("counters_url: http://127.37.3.2:9/metrics: ")


def test_what_is_no_address_is_refused():
    with pytest.raises(ProfileError, match="counters_url: 'localhost' is no address"):
        Scraper("localhost")
