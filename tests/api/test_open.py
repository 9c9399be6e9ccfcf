"""Open mode: who is the owner without a credential, and who is not."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import httpx
import pytest
from conftest import BIN, Server, clean_environment, run

DEBATE = {"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1}


@pytest.fixture(scope="module")
def opened():
    server = Server(ARAGORA_OFFLINE="true", ARAGORA_RATE_LIMIT_ADMIN="1", ARAGORA_RATE_LIMIT_DEBATE_CREATE="1",
                    ARAGORA_RATE_LIMIT_PUBLIC="1000",
                    ARAGORA_BURST_MULTIPLIER="1", ARAGORA_DEMO_DELAY_MS="0")
    yield server
    assert server.stop() == 0


def create(server, **headers):
    with server.client() as client:
        return client.post("/api/v1/debates", json=DEBATE, headers=headers)


def test_the_local_owner_needs_no_credential_and_has_no_limit(opened):
    for _ in range(4):
        reply = create(opened)
        assert (reply.status_code, reply.json()["status"]) == (200, "created")
    with opened.client() as client:
        assert client.get("/api/v1/debates").json()["total"] >= 4


@pytest.mark.parametrize("headers", [
    {"Origin": "http://localhost:3000"}, {"Host": "localhost:1"}, {"Host": "[::1]:8080"}, {"Host": "127.9.9.9"},
])
def test_a_page_of_ours_and_any_loopback_name_count(opened, headers):
    assert create(opened, **headers).status_code == 200


def test_a_page_that_the_server_itself_sent_counts(opened):
    assert create(opened, Origin=opened.url).status_code == 200


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "localhost.evil.example:8080"}, {"Host": "0.0.0.0"},
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:3000.evil.example"},
    {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Host": "localhost"}, {"X-Forwarded-Proto": "http"},
    {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Via": "1.1 proxy"},
])
def test_a_lured_browser_and_a_proxy_are_nobody(opened, headers):
    reply = create(opened, **headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "auth_required")


def test_a_bad_credential_stays_bad(opened):
    for headers in ({"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"},
                    {"X-API-Key": "ara_" + "x" * 43}):
        assert create(opened, **headers).status_code == 401


AS_ANOTHER = """
import http.client, os, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
connection = http.client.HTTPConnection(sys.argv[2])
connection.request("POST", "/api/v1/debates", sys.argv[3], {"Content-Type": "application/json"})
print(connection.getresponse().status)
"""


def post_as(uid, server):
    done = subprocess.run([sys.executable, "-I", "-c", AS_ANOTHER, str(uid), server.url.removeprefix("http://"),
                           json.dumps(DEBATE)], capture_output=True, text=True, timeout=30, check=True)
    return int(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_of_the_machine_is_nobody(opened):
    assert post_as(0, opened) == 200
    assert post_as(65533, opened) == 401


@pytest.mark.parametrize("settings", [
    {"ARAGORA_OFFLINE": "true", "ARAGORA_API_TOKEN": "server-token-of-the-tests"},
    {"ARAGORA_OFFLINE": "true", "ARAGORA_AUTH_REQUIRED": "true"},
    {"ARAGORA_OFFLINE": "true", "ARAGORA_BIND_HOST": "0.0.0.0"},
    {"ARAGORA_PRIVATE_OPEN_MODE": "0"},
])
def test_a_configured_server_asks_everyone(settings):
    server = Server(**settings)
    try:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert create(server).status_code == 401
        with server.client() as client:
            assert client.get("/api/health").json()["open_mode"] is False
    finally:
        assert server.stop() == 0


def test_open_mode_by_its_own_setting():
    server = Server(ARAGORA_AUTH_REQUIRED="false")
    try:
        assert create(server).status_code == 200
        with server.client() as client:
            assert client.get("/api/health").json()["open_mode"] is True
        assert create(server, Host="evil.example").status_code == 401
    finally:
        assert server.stop() == 0


def test_open_mode_on_an_open_address_refuses_to_start(tmp_path):
    for host in ("0.0.0.0", "::"):
        started = subprocess.run(
            [BIN / "aragora", "serve", "--port", "0", "--host", host],
            env=clean_environment(tmp_path, ARAGORA_AUTH_REQUIRED="false"), capture_output=True, text=True,
            timeout=30)
        assert started.returncode == 1 and not started.stdout
        assert f"needs a loopback address to bind, not {host}\n" in started.stderr
        assert "owner key" not in started.stderr


def test_a_server_with_users_passes_the_wish_over(tmp_path):
    data = tmp_path / "data"
    assert run(data, "migrate").returncode == 0
    with sqlite3.connect(data / "aragora.db") as db:
        db.execute("INSERT INTO users (user_id, email, created_at, updated_at) VALUES ('u', 'u@x', 1, 1)")
    process = subprocess.Popen([BIN / "aragora", "serve", "--port", "0"], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=clean_environment(data, ARAGORA_AUTH_REQUIRED="false"))
    url = process.stdout.readline().split()[-1]
    try:
        assert httpx.get(url + "/api/v1/debates", trust_env=False).status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=40)[1]
        os.unlink(f"/dev/shm/aragora-{data.stat().st_dev:x}-{data.stat().st_ino:x}")
    assert "ARAGORA_AUTH_REQUIRED=false is passed over: there are users" in said
