"""The way to the collector: bounded, off the way of requests, tried again as OTLP/HTTP says."""

import concurrent.futures
import subprocess
import sys
import time

import pytest
from conftest import FOLDER, Traced, api, run

sys.path.append(str(FOLDER.parent / "api"))
from cgi_request import ask, data  # noqa: E402,F401 - a fixture
from collector import Collector  # noqa: E402

NONE = {"ARAGORA_WORKERS": "1"}


def metric(system, name):
    for line in system.client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(name)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def requests(system, count):
    began = time.monotonic()
    for _ in range(count):
        assert system.client.get("/api/v1/debates").status_code == 200
    return time.monotonic() - began


@pytest.fixture
def lone():
    one = Traced(**NONE)
    yield one
    assert one.stop() == 0


def test_a_collector_that_hangs_slows_no_request_and_what_overflows_is_counted(lone):
    plain = Traced(**NONE, ARAGORA_TRACING_ENABLED="false")
    try:
        lone.collector.hangs = True
        requests(plain, 50), requests(lone, 50)
        turns = [(requests(plain, 100), requests(lone, 100)) for _ in range(5)]
        without, hanging = (min(turn) for turn in zip(*turns))
        print(f"100 requests: {without:.3f} s without spans, {hanging:.3f} s with a collector that hangs")
        assert hanging < 2 * without + 0.2
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            until(lambda: list(pool.map(lambda _: requests(lone, 50), range(4))) and
                  metric(lone, 'aragora_trace_spans_dropped_total{reason="full"}') > 0, 60)
        assert metric(lone, "aragora_trace_spans_exported_total") == 0
        assert not plain.collector.requests
    finally:
        assert plain.stop() == 0


def test_no_collector_slows_no_request_and_is_said_once():
    system = Traced(**NONE, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{api.free_port()}")
    try:
        assert requests(system, 100) < 10
        until(lambda: b"spans are not exported" in system.log_text())
    finally:
        assert system.stop() == 0
    assert system.log_text().count(b"aragora-fcgi - spans are not exported") == 1


def test_what_may_help_is_tried_again_and_the_rest_is_not(lone):
    lone.collector.refusals = [(503, {}, [("Retry-After", "1")]), (429, {}), (502, {})]
    requests(lone, 1)
    lone.collector.wait(lambda spans: [s for s in spans if s["name"] == "GET /api/v1/debates"])
    first, second, third, fourth = lone.collector.requests[:4]
    assert first[1] == second[1] == third[1] == fourth[1]
    assert second[0] - first[0] >= 1
    seen, counted = len(lone.collector.requests), metric(lone, "aragora_trace_spans_exported_total")
    lone.collector.refusals = [(400, {"code": 3, "message": "no"})]
    requests(lone, 1)
    until(lambda: len(lone.collector.requests) > seen)
    until(lambda: metric(lone, 'aragora_trace_spans_dropped_total{reason="refused"}') > 0)
    refused = lone.collector.requests[seen][1]
    requests(lone, 1)
    until(lambda: metric(lone, "aragora_trace_spans_exported_total") > counted)
    assert [raw for _, raw, _ in lone.collector.requests].count(refused) == 1


def test_what_the_collector_rejects_in_part_is_counted(lone):
    lone.collector.refusals = [(200, {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "two"}})]
    requests(lone, 1)
    until(lambda: metric(lone, 'aragora_trace_spans_dropped_total{reason="refused"}') == 2)
    assert metric(lone, "aragora_trace_spans_exported_total") > 0


def test_a_clean_stop_sends_what_waits_within_its_limit():
    for hangs in (False, True):
        system = Traced(**NONE)
        requests(system, 3)
        system.collector.hangs = hangs
        began = time.monotonic()
        system.client.close()
        assert system.server.stop() == 0
        assert time.monotonic() - began < 15
        if not hangs:
            assert len(system.collector.found(http__route="/api/v1/debates")) == 3
        system.models.stop()
        system.collector.stop()


def test_headers_and_resource_are_as_the_settings_say():
    system = Traced(OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b, x-other=c", OTEL_SERVICE_NAME="debates",
                    OTEL_RESOURCE_ATTRIBUTES="deployment.environment=staging,team=a%2Cb", ARAGORA_SERVICE_VERSION="9")
    try:
        requests(system, 1)
        span = system.collector.wait(lambda spans: spans)[0]
        wanted = {"service.name": "debates", "service.version": "9", "deployment.environment": "staging",
                  "team": "a,b", "process.executable.name": "aragora-fcgi"}
        assert wanted.items() <= span["resource"].items()
        headers = {k.lower(): v for k, v in system.collector.requests[0][2].items()}
        assert headers["x-key"] == "a b" and headers["x-other"] == "c"
    finally:
        assert system.stop() == 0


@pytest.mark.parametrize("name, value", [
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("ARAGORA_OTLP_PROTOCOL", "http/protobuf"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ("OTEL_PROPAGATORS", "tracecontext,b3"), ("OTEL_EXPORTER_OTLP_HEADERS", "nothing"),
    ("ARAGORA_OTLP_HEADERS", "[]"), ("ARAGORA_OTLP_EXPORTER", "zipkin"), ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
    ("OTEL_TRACES_SAMPLER_ARG", "1.5")])
@pytest.mark.parametrize("program", ["aragora-fcgi", "aragora-debated", "aragora-streamd"])
def test_what_is_not_supported_is_refused_by_name(program, name, value, tmp_path):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"} | {name: value}
    done = subprocess.run([api.BIN / program], env=api.clean_environment(tmp_path, **settings), capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 78 and name in done.stderr, done.stderr


def test_the_server_refuses_before_it_starts_anything(tmp_path):
    done = run(tmp_path / "data", "serve", "--port", "0", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318",
               OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert done.returncode == 1 and "OTEL_EXPORTER_OTLP_PROTOCOL: only http/json" in done.stderr
    assert not (tmp_path / "data").exists()


def test_without_an_endpoint_foreign_settings_stop_nothing(tmp_path):
    settings = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "xray", "OTEL_PROPAGATORS": "b3"}
    done = subprocess.run([api.BIN / "aragora-fcgi"], env=api.clean_environment(tmp_path, **settings),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert done.returncode == 71 and "OTEL" not in done.stderr, done.stderr


def test_a_cgi_program_answers_first_and_sends_within_a_second(data):  # noqa: F811
    collector = Collector()
    try:
        trace = "0af7651916cd43dd8448eb211c80319c"
        sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HTTP_TRACEPARENT": f"00-{trace}-b7ad6b7169203331-01"}
        assert ask(data, "GET", "/api/v1/debates", **sent)[0] in (200, 401)
        assert collector.found(trace_id=trace)
        collector.hangs = True
        request = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "QUERY_STRING": "",
                   "PATH_INFO": "/api/v1/debates", "REMOTE_ADDR": "192.0.2.1"}
        worker = subprocess.Popen([api.BIN / "aragora-fcgi"], env=api.clean_environment(data, **request, **sent),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert b"Status: " in worker.stdout.read()
        began = time.monotonic()
        assert worker.wait(timeout=20) == 0
        assert 0.2 < time.monotonic() - began < 5  # a second, for which the answer has not waited
        assert not collector.faults
    finally:
        collector.stop()
