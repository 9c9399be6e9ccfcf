"""What each setting of a deployment does, seen through the running system."""

import contextlib
import json
import re
import socket
import sqlite3
import subprocess
import threading
import time

import httpx
import pytest
from conftest import BIN, Server, clean_environment, free_port, run

TOKEN = "server-token-of-the-tests"
QUIET = {"ARAGORA_DISABLE_ALL_RATE_LIMITS": "true", "ARAGORA_DEMO_DELAY_MS": "0"}
AWAY = "postgresql://127.0.0.1:1/nowhere"
TASK = {"task": "Ship on Friday?", "rounds": 1}


@contextlib.contextmanager
def served(tmp_path, *arguments, **settings):
    """A server and what it has logged so far."""
    log = tmp_path / "log"
    with log.open("w") as stderr:
        server = Server(stderr=stderr, program_arguments=arguments, **(QUIET | settings))
    server.log = log.read_text
    try:
        yield server
    finally:
        assert server.stop() == 0


def start(tmp_path, *arguments, **settings):
    """What a server that must not start says."""
    done = subprocess.run([BIN / "aragora", "serve", "--port", "0", "--ws-port", "0", *arguments],
                          env=clean_environment(tmp_path / "data", **settings), capture_output=True, text=True,
                          timeout=20)
    assert done.returncode in (1, 2) and "ready" not in done.stdout, done.stderr
    return done.stderr


def health(server):
    return httpx.get(server.url + "/api/health", trust_env=False).json()


# --- Where it listens ------------------------------------------------------------------------------

def test_bind_host_is_where_the_web_server_and_the_stream_listen(tmp_path):
    with served(tmp_path, ARAGORA_BIND_HOST="127.0.0.2") as server:
        assert server.url.startswith("http://127.0.0.2:")
        port = int(server.url.rsplit(":", 1)[1])
        for number in (port, server.ws_port):
            socket.create_connection(("127.0.0.2", number), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", number), timeout=5)


@pytest.mark.parametrize("name", ["ARAGORA_PORT", "ARAGORA_HTTP_PORT"])
def test_the_port_of_the_environment_is_the_web_servers(tmp_path, name):
    port = free_port()
    process = subprocess.Popen([BIN / "aragora", "serve"], stdout=subprocess.PIPE, text=True,
                               env=clean_environment(tmp_path / "data", **{name: str(port), "ARAGORA_WS_PORT": "0"}))
    assert process.stdout.readline() == f"aragora: ready on http://127.0.0.1:{port}\n"
    process.terminate()
    assert process.wait(timeout=40) == 0


@pytest.mark.parametrize("mode, given", [("true", True), ("false", False)])
def test_the_port_of_the_other_form_counts_in_that_form(tmp_path, mode, given):
    ports = {"ARAGORA_PORT": str(free_port()), "ARAGORA_FASTAPI_PORT": str(free_port())}
    process = subprocess.Popen([BIN / "aragora", "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=clean_environment(tmp_path / "data", ARAGORA_USE_FASTAPI=mode, ARAGORA_WS_PORT="0",
                                                     **ports))
    port = ports["ARAGORA_FASTAPI_PORT" if given else "ARAGORA_PORT"]
    assert process.stdout.readline() == f"aragora: ready on http://127.0.0.1:{port}\n"
    process.terminate()
    said = process.communicate(timeout=40)[1]
    assert ("ARAGORA_FASTAPI_PORT: has no effect without ARAGORA_USE_FASTAPI=true" in said) == (not given)


# --- Production and strict start-up ----------------------------------------------------------------

UNWISE = ["ARAGORA_API_TOKEN: production without it", "DATABASE_URL: production without it runs on SQLite",
          "ARAGORA_ENV: production without the key of any provider"]


def test_production_on_little_serves_with_warnings(tmp_path):
    with served(tmp_path, ARAGORA_ENV="production") as server:
        for text in UNWISE:
            assert f"aragora: warning: {text}" in server.log()
        assert "aragora: warning: ARAGORA_ALLOWED_ORIGINS: is not set" in server.log()
        answer = httpx.get(server.url + "/healthz", trust_env=False)
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert json.loads(server.log().splitlines()[-1])["service"] == "aragora"  # JSON is the form there


def test_a_strict_start_refuses_what_is_unwise_in_production(tmp_path):
    said = start(tmp_path, ARAGORA_ENV="production", ARAGORA_STRICT_STARTUP="true",
                 ARAGORA_ALLOWED_ORIGINS="http://intra.example")
    for text in UNWISE + ["ARAGORA_ALLOWED_ORIGINS: has an origin of http://"]:
        assert f"aragora: error: {text}" in said


def test_a_strict_start_outside_production_serves(tmp_path):
    with served(tmp_path, ARAGORA_STRICT_STARTUP="true") as server:
        assert "warning:" not in server.log() and "error:" not in server.log()


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize("settings, said", [
    ({"ARAGORA_REQUIRE_DATABASE": "true"}, "error: ARAGORA_REQUIRE_DATABASE: asks for PostgreSQL"),
    ({"ARAGORA_DB_BACKEND": "postgres"}, "error: ARAGORA_DB_BACKEND: asks for PostgreSQL"),
    ({"ARAGORA_REQUIRE_DATABASE": "true", "DATABASE_URL": AWAY, "ARAGORA_OFFLINE": "true"},
     "error: ARAGORA_REQUIRE_DATABASE: asks for PostgreSQL"),
])
def test_what_cannot_be_kept_keeps_it_from_starting(tmp_path, strict, settings, said):
    assert said in start(tmp_path, ARAGORA_STRICT_STARTUP=strict, **settings)


@pytest.mark.parametrize("name", ["ARAGORA_ALLOW_DEV_AUTH_FALLBACK", "ARAGORA_ALLOW_INSECURE_PASSWORDS",
                                  "ARAGORA_ALLOW_UNSAFE_SAML", "ARAGORA_ALLOW_FORMAT_ONLY_API_KEYS"])
def test_what_would_weaken_checks_is_refused_in_production(tmp_path, name):
    assert f"{name}: refused in production" in start(tmp_path, ARAGORA_ENV="production", **{name: "true"})
    config = tmp_path / "conf"
    config.write_text(f"{name}=yes\nARAGORA_ENV=production\n")
    assert f"{name}: refused in production" in start(tmp_path, ARAGORA_CONFIG=str(config))
    config.write_text(f"{name}=yes\n")
    done = run(tmp_path, "config", ARAGORA_CONFIG=str(config))
    assert done.returncode == 0 and f'name={name}' in done.stderr
    assert run(tmp_path, "config", **{name: "false", "ARAGORA_ENV": "production"}).stderr == ""


# --- Names -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["REDIS_URL", "METRICS_PORT", "JWT_SECRET", "ARAGORA_HANDLER_TIERS", "ANTHROPIC_API_KEY"])
def test_what_has_no_effect_is_warned_of_with_the_reason(tmp_path, name):
    said = run(tmp_path, "config", **{name: "1234"}).stderr
    assert re.search(rf'setting without effect name={name} because="[^"]+"', said), said


def test_an_unknown_name_of_ours_is_warned_of_and_another_is_not(tmp_path):
    said = run(tmp_path, "config", ARAGORA_NO_SUCH="1", NO_SUCH="1").stderr
    assert "unknown_setting name=ARAGORA_NO_SUCH" in said and "name=NO_SUCH" not in said


@pytest.mark.parametrize("other, name, value", [
    ("ARAGORA_HTTP_PORT", "ARAGORA_PORT", "81"), ("ARAGORA_TLS_ENABLED", "ARAGORA_SSL_ENABLED", "true"),
    ("ARAGORA_DISABLE_RATE_LIMIT", "ARAGORA_DISABLE_ALL_RATE_LIMITS", "true"),
])
def test_another_name_counts_where_the_settings_own_is_not_set(tmp_path, other, name, value):
    done = run(tmp_path, "config", **{other: value})
    assert f"{name}={value}\tenvironment" in done.stdout and done.stderr == ""
    assert f"{name}=1\tenvironment" in run(tmp_path, "config", **{other: value, name: "1"}).stdout
    config = tmp_path / "conf"
    config.write_text(f"{other}={value}\n")
    assert f"{name}={value}\tfile" in run(tmp_path, "config", ARAGORA_CONFIG=str(config)).stdout


# --- Log -------------------------------------------------------------------------------------------

def request_line(tmp_path, **settings):
    with served(tmp_path, **settings) as server:
        httpx.get(server.url + "/api/v1/nowhere", trust_env=False)
        return next((line for line in server.log().splitlines() if "/api/v1/nowhere" in line), None)


def test_the_log_has_the_form_and_the_level_that_was_asked_for(tmp_path):
    assert re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] \[WARNING \] ", request_line(tmp_path))
    assert re.match(r"\[WARNING \] ", request_line(tmp_path, ARAGORA_LOG_TIMESTAMP="false"))
    line = json.loads(request_line(tmp_path, ARAGORA_LOG_FORMAT="json"))
    assert line["level"] == "WARNING" and line["timestamp"].startswith("20") and line["extra"]["status"] == "404"
    assert "timestamp" not in json.loads(request_line(tmp_path, ARAGORA_LOG_FORMAT="json", ARAGORA_LOG_TIMESTAMP="false"))
    assert request_line(tmp_path, ARAGORA_LOG_LEVEL="ERROR") is None
    assert request_line(tmp_path, ARAGORA_ENV="production", ARAGORA_LOG_FORMAT="text").startswith("[")


# --- Origins ---------------------------------------------------------------------------------------

def test_only_allowed_origins_may_call(tmp_path):
    with served(tmp_path, ARAGORA_ALLOWED_ORIGINS="https://one.example/, https://two.example") as server:
        for origin, good in (("https://one.example", True), ("https://two.example", True),
                             ("http://one.example", False), ("http://localhost:3000", False)):
            answer = httpx.get(server.url + "/healthz", headers={"Origin": origin}, trust_env=False)
            assert (answer.headers.get("access-control-allow-origin") == origin) == good, origin


# --- Time ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["ARAGORA_API_TIMEOUT", "ARAGORA_REQUEST_TIMEOUT"])
def test_a_request_that_cannot_be_answered_in_time_ends(tmp_path, name):
    """The database is locked by another for longer than the limit, and for less than the default."""
    with served(tmp_path, ARAGORA_API_TOKEN=TOKEN, **{name: "1"}) as server, server.client(TOKEN) as client:
        assert client.post("/api/v1/debates", json=TASK).status_code == 200
        holder = sqlite3.connect(server.data / "aragora.db", timeout=20, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        status = client.post("/api/v1/debates", json=TASK).status_code
        took = time.monotonic() - began
        holder.execute("ROLLBACK")
        holder.close()
        assert status in (503, 504) and 0.8 < took < 4  # busy, or out of time


# --- Offline, demo, database -----------------------------------------------------------------------

class Listener:
    """Somebody whom nobody must call."""

    def __enter__(self):
        self.socket, self.calls = socket.create_server(("127.0.0.1", 0)), 0
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.socket.accept()[0].close()
                self.calls += 1

    def __exit__(self, *_):
        self.socket.close()


def test_offline_nobody_is_called_and_the_database_is_here(tmp_path):
    with Listener() as proxy, served(tmp_path, ARAGORA_OFFLINE="true", OPENAI_API_KEY="sk-x", HTTPS_PROXY=proxy.url,
                                     DATABASE_URL=AWAY) as server:
        state = health(server)
        assert (state["demo_mode"], state["db_mode"]) == (True, "sqlite")
        with server.client() as client:
            refused = client.post("/api/v1/debates", json=TASK | {"agents": ["openai", "openai"]})
            assert refused.status_code == 400 and "offline" in refused.json()["error"]
            made = client.post("/api/v1/debates", json=TASK)
            assert made.json()["demo"] is True and made.headers["x-aragora-demo"] == "1"
        assert proxy.calls == 0


def agents_of(server, **settings):
    with server.client(TOKEN) as client:
        answer = client.post("/api/v1/debates", json=TASK)
        return answer.status_code, answer.json().get("agents"), answer.json()


@pytest.mark.parametrize("settings, demo_mode, agents", [
    ({}, True, ["demo-pragmatist", "demo-skeptic", "demo-optimist"]),
    ({"ARAGORA_DEMO_MODE": "false"}, False, None),
    ({"OPENAI_API_KEY": "sk-x"}, False, ["openai-api", "openai-api_2", "openai-api_3"]),
    ({"OPENAI_API_KEY": "sk-x", "XAI_API_KEY": "x"}, False, ["grok", "openai-api", "grok_2"]),
    ({"OPENAI_API_KEY": "sk-x", "ARAGORA_DEMO_MODE": "true"}, True, ["demo-pragmatist", "demo-skeptic", "demo-optimist"]),
    ({"ARAGORA_DEFAULT_AGENTS": "demo-skeptic, demo"}, True, ["demo-skeptic", "demo"]),
])
def test_who_answers_where_nobody_is_named(tmp_path, settings, demo_mode, agents):
    with Listener() as model, served(tmp_path, ARAGORA_API_TOKEN=TOKEN, HTTPS_PROXY=model.url, **settings) as server:
        assert health(server)["demo_mode"] is demo_mode
        status, got, body = agents_of(server)
        assert got == agents
        assert status == (200 if agents else 503)
        if not agents:
            assert body["code"] == "SERVICE_UNAVAILABLE" and "no provider is configured" in body["error"]


def test_the_backend_is_the_one_that_was_chosen(tmp_path):
    with served(tmp_path, ARAGORA_DB_BACKEND="sqlite", DATABASE_URL=AWAY) as server:
        assert health(server)["db_mode"] == "sqlite" and (server.data / "aragora.db").exists()
    for backend in ("auto", "postgres", "postgresql"):  # SQLite never takes its place
        said = start(tmp_path, ARAGORA_DB_BACKEND=backend, DATABASE_URL=AWAY)
        assert "the database cannot be opened" in said
    assert not (tmp_path / "data" / "aragora.db").exists()
