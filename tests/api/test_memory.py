"""What a worker keeps in memory, and that it does not grow with the requests."""

import http.client
import json
import pathlib
import re
import threading
import urllib.parse

import pytest
from conftest import SANITIZED, Server

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers keep what is freed")

THREADS = 4
REQUESTS = 10_000
LIMIT_KB = 10 * 1024
GROWTH_KB = 1024
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def pair():
    server = Server(ARAGORA_WORKERS="2", ARAGORA_RATE_LIMIT_ADMIN="100000000",
                    ARAGORA_RATE_LIMIT_DEBATE_CREATE="100000000", ARAGORA_RATE_LIMIT_ORGANIZATION="100000000",
                    ARAGORA_DEMO_DELAY_MS="0", ARAGORA_LOG_LEVEL="ERROR")
    yield server
    assert server.stop() == 0


def workers(server):
    return [pid for pid, line in server.children() if "aragora-fcgi" in line]


def private_kb(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"(?m)^Private_(?:Clean|Dirty):\s+(\d+) kB", rollup)))


def send(server, mix, count, failures):
    """Every thread has a connection of its own; mix: method, path, headers, body, status."""
    address = urllib.parse.urlsplit(server.url).netloc

    def run():
        connection = http.client.HTTPConnection(address, timeout=20)
        for i in range(count // THREADS):
            method, path, headers, body, status = mix[i % len(mix)]
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            reply.read()
            if reply.status != status:
                failures.append((method, path, reply.status))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_worker_stays_small_over_ten_thousand_requests(pair, capsys):
    key = {"Authorization": f"Bearer {pair.key()}"}
    with pair.client() as client:
        made = client.post("/api/v1/debates", headers=key, json={"task": "Does memory stay flat?"})
    debate = made.json()["debate_id"]
    mix = [("GET", "/healthz", {}, None, 200),
           ("GET", "/api/v1/debates", key, None, 200),
           ("POST", "/api/v1/debates", key | JSON, json.dumps({"task": 7}), 400),
           ("POST", "/api/v1/debates", key | JSON, '{"task": "cut', 400),
           ("GET", f"/api/v1/debates/{debate}", key, None, 200)]
    failures, before = [], workers(pair)
    send(pair, mix, REQUESTS // 2, failures)
    half = [private_kb(pid) for pid in before]
    send(pair, mix, REQUESTS // 2, failures)
    full = [private_kb(pid) for pid in before]
    with capsys.disabled():
        print(f"\nprivate memory of the workers: {half} kB after {REQUESTS // 2} requests,"
              f" {full} kB after {REQUESTS}")
    assert failures == []
    assert workers(pair) == before and len(before) == 2
    assert max(full) < LIMIT_KB
    assert max(b - a for a, b in zip(half, full)) <= GROWTH_KB
