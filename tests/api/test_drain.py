"""A server that is told to stop: what it answers until it does, and who is told that it will."""

import re
import signal
import time

import pytest
from cgi_request import ask, data  # noqa: F401 - a fixture
from conftest import Server


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_spreads_requests_is_told_before_the_server_stops_answering():
    server = Server(ARAGORA_DRAIN_SECONDS="60", ARAGORA_DISABLE_ALL_RATE_LIMITS="true")
    with server.client(server.key()) as client:
        assert client.get("/readyz").status_code == client.get("/readyz/dependencies").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: client.get("/readyz").status_code == 503)
        ready = client.get("/readyz")
        assert (ready.json()["status"], ready.json()["reason"]) == ("not_ready", "The server is about to stop")
        assert ready.headers["retry-after"] == "1"
        assert client.get("/readyz/dependencies").json() | {"latency_ms": 0} == {
            "status": "not_ready", "checks": {"storage": True, "shared_memory": True}, "latency_ms": 0}
        alive = client.get("/healthz")
        assert (alive.status_code, alive.json()) == (503, {"status": "draining"})
        assert client.get("/livez").status_code == client.get("/api/v1/debates").status_code == 200
        made = client.post("/api/v1/debates", json={"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1})
        assert made.status_code == 200
        stops = int(re.search(r"^aragora_draining_until_timestamp_seconds (\d+)$", client.get("/metrics").text, re.M)[1])
        assert time.time() < stops < time.time() + 70
    began = time.monotonic()
    assert server.stop() == 0  # the second signal
    assert time.monotonic() - began < 20


def test_it_stops_by_itself_when_the_time_is_over():
    server = Server(ARAGORA_DRAIN_SECONDS="1.5", ARAGORA_DISABLE_ALL_RATE_LIMITS="true")
    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    with server.client() as client:
        until(lambda: client.get("/readyz").status_code == 503, 1.4)
    assert server.process.wait(timeout=30) == 0
    assert time.monotonic() - began >= 1.5
    again = Server(server)
    with again.client() as client:
        assert client.get("/readyz").status_code == 200
    assert again.stop() == 0


def test_a_server_without_its_database_says_that_it_is_degraded(data):  # noqa: F811
    away = {"ARAGORA_DB_BACKEND": "postgres", "ARAGORA_POSTGRES_DSN": "host=127.0.0.1 port=1",
            "ARAGORA_API_TOKEN": "server-token-of-the-tests",
            "HTTP_AUTHORIZATION": "Bearer server-token-of-the-tests"}
    status, headers, _ = ask(data, "GET", "/api/v1/debates", **away)
    assert (status, headers["x-aragora-degraded"], headers["retry-after"]) == (503, "true", "1")
    for path in ("/healthz", "/livez", "/metrics"):
        status, headers, _ = ask(data, "GET", path, **away)
        assert (status, headers["x-aragora-degraded"]) == (200, None)
    status, _, body = ask(data, "GET", "/readyz", **away)
    assert status == 503 and b'"degraded_mode":false' in body and b'"storage_initialized":false' in body
    status, _, body = ask(data, "GET", "/readyz/dependencies", **away)
    assert status == 503 and b'"checks":{"storage":false,"shared_memory":true}' in body


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz/dependencies", "/livez", "/api/health"])
def test_probes_meet_no_limit(data, path):  # noqa: F811
    few = {"ARAGORA_IP_RATE_LIMIT": "1", "ARAGORA_RATE_LIMIT_PUBLIC": "1", "ARAGORA_BURST_MULTIPLIER": "1"}
    assert [ask(data, "GET", path, **few)[0] for _ in range(3)] == [200] * 3
