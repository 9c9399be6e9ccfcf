"""The same server behind Apache with mod_fcgid; test_contract.py sends it every route's requests."""

import asyncio
import json
import os
import signal
import subprocess
import time

import pytest
import websockets
from conftest import BIN, Server, behind, clean_environment


@pytest.fixture(scope="module")
def apache():
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="1",
                    ARAGORA_PUBLIC_URL="https://a.example/x%20y", **behind("apache"))
    server.made_key = server.key()
    yield server
    assert server.stop() == 0


def workers(server):
    """mod_fcgid's children stand below its process manager."""
    found = subprocess.run(["pgrep", "-f", f"^{BIN / 'aragora-fcgi'}"], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found
            if f"{server.data}/run/worker.conf" in open(f"/proc/{pid}/environ", errors="replace").read()]


def test_a_debate_runs_and_its_stream_comes_through_the_web_server(apache):
    async def watch(debate):
        headers = {"Authorization": f"Bearer {apache.made_key}"}
        async with websockets.connect(apache.url.replace("http", "ws") + "/ws", extra_headers=headers) as ws:
            await ws.send(json.dumps({"type": "subscribe", "debate_id": debate, "replay_from_seq": 0}))
            seen = []
            while not seen or seen[-1]["type"] != "receipt_generated":
                frame = json.loads(await asyncio.wait_for(ws.recv(), 30))
                if "seq" in frame:
                    seen.append(frame)
            return seen

    with apache.client(apache.made_key) as client:
        debate = client.post("/api/v1/debates", json={"task": "Ship on Friday?", "rounds": 1}).json()["debate_id"]
        seen = asyncio.run(watch(debate))
        assert seen == client.get(f"/api/v1/debates/{debate}/events", params={"limit": 500}).json()["events"]


def test_the_pool_has_the_size_that_was_asked_for_and_dead_workers_are_replaced(apache):
    with apache.client() as client:
        assert client.get("/readyz").status_code == 200
        before = workers(apache)
        assert 1 <= len(before) <= 2
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 20
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < until
        assert not set(before) & set(workers(apache))


def test_settings_reach_the_workers_whatever_stands_in_them(apache):
    with apache.client() as client:
        answer = client.get("/healthz", headers={"Origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert (apache.data / "run/worker.conf").stat().st_mode & 0o777 == 0o600


def test_encoded_slashes_and_dots_reach_nothing(apache):
    with apache.client() as client:
        for path in ("/api/v1/debates%2Fx", "/api/v1/%2e%2e/debates", "/api/v1/debates/%00"):
            assert client.get(path).status_code in (400, 404), path


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
def test_root_is_told_to_name_a_user(tmp_path):
    done = subprocess.run([BIN / "aragora", "serve", "--web-server", "apache", "--port", "0", "--ws-port", "0"],
                          env=clean_environment(tmp_path / "data"), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "--user" in done.stderr
