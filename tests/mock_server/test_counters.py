"""Sums over processes, and the two forms in which they are told."""

import pytest

from mock_server.counters import (
    CONNECTION_COLUMNS,
    Counters,
    ProxyStatistics,
    RoleCounters,
    RpcStatistics,
    add_up,
    prometheus,
)


def test_processes_of_a_server_add_up():
    total = add_up(
        [
            ("CAS1", RoleCounters({"client_to_cas": 2, "cas_to_stores": 1}, {"a": 1.0})),
            ("CAS1", RoleCounters({"client_to_cas": 3, "cas_to_stores": 0}, {"a": 2.0, "b": 5.0})),
            ("MBX1", RoleCounters({"store": 4}, {"a": 7.0})),
        ]
    )
    assert total.roles == {"CAS1": {"a": 3.0, "b": 5.0}, "MBX1": {"a": 7.0}}
    assert tuple(total.connections) == CONNECTION_COLUMNS
    assert {column: n for column, n in total.connections.items() if n} == {
        "client_to_cas": 5,
        "cas_to_stores": 1,
        "store": 4,
    }


def test_latency_is_the_mean_of_the_last_1024():
    figures = RpcStatistics()
    assert (figures.averaged_latency_ms, figures.slow_packets) == (0.0, 0)
    figures.answered(10**12)
    for _ in range(1023):
        figures.answered(2_000_000)
    figures.answered(2_000_000_001)
    assert figures.averaged_latency_ms == pytest.approx((1023 * 2 + 2000.000001) / 1024)
    assert figures.slow_packets == 1


def test_a_proxys_figures():
    figures = ProxyStatistics()
    for user in ("one", "one", "two"):
        figures.client_connected()
        figures.channel_opened(user)
    for user in ("one", "two"):
        figures.channel_closed(user)
        figures.client_connections -= 1
    figures.server_connections["cas_to_stores"] += 1
    report = figures.report()
    assert report.connections == {
        "client_to_cas": 1,
        "cas_to_stores": 1,
        "cas_to_dsproxy": 0,
        "cas_to_referral": 0,
        "cas_to_gc": 0,
    }
    proxy = "RPC/HTTP Proxy\\"
    assert report.counters[proxy + "Current Number of Incoming RPC over HTTP Connections"] == 1
    assert report.counters[proxy + "Current Number of Unique Users"] == 1
    assert report.counters[proxy + "RPC/HTTP Requests per Second"] == 3
    assert report.counters["Web Service(_Total)\\Connection Attempts/sec"] == 3


def test_prometheus_text():
    text = prometheus(Counters({"store": 2}, {"MBX1": {'MSExchangeIS\\a "b"': 1.5, "requests": 1_234_567}}))
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'mock_connections{column="store"} 2',
        'mock_counter{server="MBX1",counter="MSExchangeIS\\\\a \\"b\\""} 1.5',
        'mock_counter{server="MBX1",counter="requests"} 1234567',
    ]
    assert text.endswith("\n")
