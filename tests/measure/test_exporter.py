import pytest

from loadgen.measure.counters import CounterPath
from loadgen.measure.exporter import EXPORTED, perfmon_counters
from loadgen.measure.scrape import parse_metrics

SCRAPED = r"""
# TYPE windows_exchange_rpc_avg_latency_sec gauge
windows_exchange_rpc_avg_latency_sec 0.0125
windows_exchange_rpc_operations_total 4711
windows_exchange_ldap_search_time_sec{name="w3wp"} 0.004
windows_ad_address_book_operations_total{operation="ambiguous_name_resolution"} 12
windows_ad_address_book_operations_total{operation="browse"} 3
windows_tcp_connections_established{af="ipv4"} 812
windows_tcp_connections_established{af="ipv6"} 4
windows_memory_available_bytes 1.048576e+09
windows_iis_current_connections{site="Default Web Site"} 900
mock_counter{server="MBX1",counter="MSExchangeIS\\RPC Requests"} 5
go_goroutines 8
"""


def test_metrics_stand_under_the_names_of_perfmon():
    assert perfmon_counters(parse_metrics(SCRAPED), "cas.contoso.test") == {
        "cas.contoso.test": {
            r"\MSExchange RpcClientAccess\RPC Averaged Latency": pytest.approx(12.5),
            r"\MSExchange RpcClientAccess\RPC Operations/sec": 4711,
            r"\MSExchange ADAccess Processes(w3wp)\LDAP Search Time": 4,
            r"\NTDS\AB ANR/sec": 12,
            r"\NTDS\AB Browses/sec": 3,
            r"\TCPv4\Connections Established": 812,
            r"\Memory\Available MBytes": 1000,
            r"\Web Service(Default Web Site)\Current Connections": 900,
        },
        "MBX1": {r"\MSExchangeIS\RPC Requests": 5},
    }


@pytest.mark.parametrize("metric", [metric for metric in EXPORTED if metric != "mock_counter"])
def test_every_path_is_one(metric):
    for exported in EXPORTED[metric]:
        CounterPath.parse(exported.path)
