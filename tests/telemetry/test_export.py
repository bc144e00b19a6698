import builtins
import socket

import pytest

from loadgen.errors import ProfileError
from loadgen.telemetry.export import Endpoint, Exports, exporting


@pytest.mark.parametrize(
    ("text", "endpoint", "shown"),
    [
        ("9464", Endpoint("127.0.0.1", 9464), "http://127.0.0.1:9464/metrics"),
        (":9464", Endpoint("127.0.0.1", 9464), "http://127.0.0.1:9464/metrics"),
        ("0.0.0.0:80", Endpoint("0.0.0.0", 80), "http://0.0.0.0:80/metrics"),
        ("[::1]:9464", Endpoint("::1", 9464), "http://[::1]:9464/metrics"),
    ],
)
def test_a_port_alone_is_for_this_machine_alone(text, endpoint, shown):
    assert Endpoint.parse(text) == endpoint
    assert str(endpoint) == shown


@pytest.mark.parametrize(
    ("metrics", "otlp", "why"),
    [
        ("nowhere:9464", None, "option: metrics: 'nowhere:9464' is not ADDRESS:PORT"),
        ("127.0.0.1:", None, "is not ADDRESS:PORT"),
        ("65536", None, "is not ADDRESS:PORT"),
        ("", None, "is not ADDRESS:PORT"),
        (None, "collector:4318", "option: otlp: 'collector:4318' is no address"),
        (None, "http://", "is no address"),
    ],
)
def test_what_is_no_address_is_told_before_anything_starts(metrics, otlp, why):
    with pytest.raises(ProfileError) as caught:
        Exports.parse(metrics, otlp)
    assert why in str(caught.value)


def test_without_anybody_who_wants_them_there_are_no_figures():
    with exporting(Exports.parse(None, None), print) as meter:
        assert meter is None


def test_both_ways_may_be_open_at_once(receiver):
    said = []
    with exporting(Exports(Endpoint("127.47.0.1", 0), receiver.url), said.append) as meter:
        meter.describe("campaign", "mock", "abcd", "1")
        [line] = said
        assert line.startswith("metrics: http://127.47.0.1:")
        assert not line.endswith(":0/metrics")
    assert len(receiver.requests) == 1


def test_a_port_that_is_taken_is_told_in_one_line():
    with socket.create_server(("127.47.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ProfileError, match=f"option: metrics: 127.47.0.1:{port}: Address already in use"),
            exporting(Exports(Endpoint("127.47.0.1", port)), print),
        ):
            pass


@pytest.mark.parametrize("way", ["metrics", "otlp"])
def test_a_library_that_is_missing_is_told_with_what_installs_it(monkeypatch, way):
    real = builtins.__import__

    def without(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002 - as it is called
        if name == "loadgen.telemetry" and {"prometheus", "otlp"} & set(fromlist or ()):
            raise ImportError("no", name="the_library")
        return real(name, globals, locals, fromlist, level)

    exports = Exports(Endpoint("127.47.0.1", 0), None) if way == "metrics" else Exports(None, "http://x")
    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(ProfileError, match=rf"option: {way}: the_library is not installed: pip install"),
        exporting(exports, print),
    ):
        pass
