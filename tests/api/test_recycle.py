"""Workers that have done their part are replaced, and no request notices."""

import asyncio
import collections
import os
import pathlib
import signal
import threading
import time

import httpx
import pytest
from conftest import Server

THREADS = 4
REQUESTS = 800


def workers(server):
    return {pid for pid, line in server.children() if "aragora-fcgi" in line}


def queued(path):
    """Connections at a socket that nobody has accepted, or that are."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(str(path)) for line in lines) - 1


@pytest.mark.parametrize("setting, value", [
    ("ARAGORA_WORKER_MAX_REQUESTS", "30"),
    ("ARAGORA_WORKER_MAX_MEMORY", "1048576"),  # every worker has more, so each look ends one
])
def test_worn_workers_are_replaced_and_no_request_fails(setting, value):
    server = Server(ARAGORA_WORKERS="2", ARAGORA_DISABLE_ALL_RATE_LIMITS="true", **{setting: value})
    key, seen, wrong = server.key(), workers(server), []

    def send():
        with server.client(key) as client:
            for i in range(REQUESTS // THREADS):
                try:
                    reply = client.get("/api/v1/debates" if i % 2 else "/healthz")
                except httpx.HTTPError as error:
                    wrong.append(repr(error))
                    continue
                if reply.status_code != 200:
                    wrong.append(reply.status_code)
                if i % 10 == 0:
                    seen.update(workers(server))

    threads = [threading.Thread(target=send) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = (server.data / "log/lighttpd.log").read_text()
    assert server.stop() == 0
    assert wrong == []
    assert "closed" not in log and "died" not in log, log
    assert len(seen) >= 6, seen


def test_a_worker_below_its_limits_stays():
    server = Server(ARAGORA_WORKERS="1", ARAGORA_WORKER_MAX_MEMORY="67108864",
                    ARAGORA_WORKER_MAX_REQUESTS="1000000000")
    before = workers(server)
    with server.client() as client:
        for _ in range(200):
            assert client.get("/healthz").status_code == 200
    assert workers(server) == before
    assert server.stop() == 0


CROWD = 300


def test_a_crowd_waits_for_workers_that_are_busy():
    """All are there before a worker looks up, and each is answered."""
    server = Server(ARAGORA_WORKERS="2", ARAGORA_DISABLE_ALL_RATE_LIMITS="true")

    async def crowd(held):
        limits = httpx.Limits(max_connections=CROWD)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60, trust_env=False) as client:
            replies = asyncio.gather(*(client.get("/healthz") for _ in range(CROWD)))
            end = time.monotonic() + 20
            while queued(server.data / "run/fcgi.sock") < CROWD - 2 and time.monotonic() < end:
                await asyncio.sleep(0.05)
            for pid in held:
                os.kill(pid, signal.SIGCONT)
            return await replies

    held = workers(server)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    counts = collections.Counter(reply.status_code for reply in asyncio.run(crowd(held)))
    assert server.stop() == 0
    assert counts == {200: CROWD}
