"""What is answered while the database is not to be reached."""

import json
import sqlite3
import time

import contract
import pytest
from cgi_request import ask, data  # noqa: F401 - a fixture
from conftest import Server, run

# Nobody listens there.
AWAY = {"ARAGORA_DB_BACKEND": "postgres", "ARAGORA_POSTGRES_DSN": "host=127.0.0.1 port=1"}


@pytest.fixture(scope="module")
def key(data):
    return {"HTTP_AUTHORIZATION": "Bearer " + run(data, "apikey", "create", "x").stdout.strip()}


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/metrics", "/api/v1/openapi.json", "/api/openapi"])
def test_what_needs_no_database_is_answered(data, path):
    assert ask(data, "GET", path, **AWAY)[0] == 200


def test_files_are_sent(data):
    files = data / "files"
    files.mkdir()
    (files / "index.html").write_text("<p>here</p>")
    status, _, body = ask(data, "GET", "/index.html", ARAGORA_STATIC_DIR=str(files), **AWAY)
    assert (status, body) == (200, b"<p>here</p>")


def test_limits_hold_all_the_same(data):
    env = AWAY | {"REMOTE_ADDR": "192.0.2.9", "ARAGORA_RATE_LIMIT_PUBLIC": "1", "ARAGORA_BURST_MULTIPLIER": "1"}
    assert [ask(data, "GET", "/api/v1/openapi.json", **env)[0] for _ in range(2)] == [200, 429]


def test_a_key_that_cannot_be_looked_up_is_503(data, key):
    for path in ("/api/v1/debates", "/api/v1/openapi.json"):  # a credential that is sent must be good
        assert ask(data, "GET", path, **key)[0] == 200
        status, headers, body = ask(data, "GET", path, **key, **AWAY)
        assert (status, json.loads(body)["code"]) == (503, "DATABASE_ERROR")
        assert headers["retry-after"] == "1"


def test_the_servers_token_is_known_without_it(data):
    env = AWAY | {"ARAGORA_API_TOKEN": "server-token-of-the-tests",
                  "HTTP_AUTHORIZATION": "Bearer server-token-of-the-tests"}
    assert ask(data, "GET", "/api/v1/openapi.json", **env)[0] == 200
    assert ask(data, "GET", "/api/v1/debates", **env)[0] == 503


@pytest.mark.parametrize("path, state", [("/readyz", "not_ready"), ("/api/v1/health", "degraded")])
def test_a_probe_that_says_no_does_it_as_documented(data, path, state):
    document = json.loads(ask(data, "GET", "/api/v1/openapi.json")[2])
    for env, status in (({}, 200), (AWAY, 503)):
        answer, headers, body = ask(data, "GET", path, **env)
        assert answer == status and headers["content-type"] == "application/json"
        content = document["paths"][path]["get"]["responses"][str(status)]["content"]
        assert contract.mismatch(content["application/json"]["schema"], json.loads(body)) is None
    assert json.loads(body)["status"] == state and headers["retry-after"] == "1"


def test_a_database_that_fails_later_is_noticed_and_found_again():
    server = Server(ARAGORA_WORKERS="1", ARAGORA_DISABLE_ALL_RATE_LIMITS="true")
    key, tables = server.key(), ("api_keys", "schema_migrations")
    database = sqlite3.connect(server.data / "aragora.db", isolation_level=None)

    def rename(before, after):
        for table in tables:
            database.execute(f"ALTER TABLE {table}{before} RENAME TO {table}{after}")

    def becomes(status):
        until = time.monotonic() + 10
        while (probe := client.get("/readyz").status_code) != status and time.monotonic() < until:
            client.get("/api/v1/debates")
        return probe == status

    with server.client(key) as client:
        assert client.get("/api/v1/debates").status_code == 200
        rename("", "_away")
        assert becomes(503)
        assert client.get("/healthz").status_code == 200
        rename("_away", "")
        assert becomes(200)
        assert client.get("/api/v1/debates").status_code == 200
    database.close()
    assert server.stop() == 0
