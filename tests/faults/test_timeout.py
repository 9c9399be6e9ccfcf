"""A statement that does not end, and a lock that is not let go: the request ends at its limit all the same, and
nothing of it comes later. On both databases, through the running programs."""

import contextlib
import sqlite3
import time

import pytest

pytest.register_assert_rewrite("harness")
from harness import FINAL, QUESTION, Postgres, start_server, until  # noqa: E402

ENDLESS = ("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
           " SELECT COUNT(*) FROM n) AS endless")
LIMIT = {"X-Request-Timeout": "1"}


class Site:
    def __init__(self, request):
        self.postgres = request.getfixturevalue("postgres") if request.param == "postgres" else None
        self.name = self.postgres and self.postgres.new_database()
        settings = self.postgres and {"ARAGORA_DB_BACKEND": "postgres",
                                      "ARAGORA_POSTGRES_DSN": self.postgres.dsn(self.name)}
        self.server = start_server(**(settings or {}))
        self.path = self.server.data / "aragora.db"

    def run(self, *statements):
        if self.postgres:
            self.postgres.sql(self.name, ";".join(("SET search_path TO aragora", *statements)))
        else:
            with contextlib.closing(sqlite3.connect(self.path, timeout=20)) as database:
                for statement in statements:
                    database.execute(statement)

    @contextlib.contextmanager
    def slow_debates(self):
        """Whoever reads the table waits for what does not end."""
        self.run("ALTER TABLE debates RENAME TO debates_away",
                 f"CREATE VIEW debates AS SELECT debates_away.* FROM debates_away, {ENDLESS}")
        try:
            yield
        finally:
            self.run("DROP VIEW debates", "ALTER TABLE debates_away RENAME TO debates")


@pytest.fixture(scope="module")
def postgres():
    one = Postgres()
    yield one
    one.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request):
    one = Site(request)
    yield one
    assert one.server.stop() == 0


@pytest.fixture
def client(site):
    with site.server.client(site.server.key()) as one:
        yield one


def check_timed_out(reply, seconds):
    assert (reply.status_code, reply.json()["code"]) == (504, "request_timeout")
    assert reply.json()["error"] == "Request timed out after 1.0s"
    assert reply.json()["details"] == {"timeout_seconds": 1.0}
    assert (reply.headers["x-timeout-seconds"], reply.headers["retry-after"]) == ("1.0", "1")
    assert 0.9 < seconds < 6


def timed(call):
    from_ = time.monotonic()
    reply = call()
    return reply, time.monotonic() - from_


def test_a_statement_that_does_not_end_is_ended(site, client):
    debate = client.post("/api/v1/debates", json=QUESTION).json()["debate_id"]
    # Its runner would wait as well, for as long as a statement may take, and keep the table meanwhile.
    until(lambda: client.get(f"/api/v1/debates/{debate}").json()["status"] in FINAL)
    with site.slow_debates():
        check_timed_out(*timed(lambda: client.get("/api/v1/debates", headers=LIMIT)))
        assert client.get("/healthz").status_code == 200
    reply, seconds = timed(lambda: client.get("/api/v1/debates"))  # the next request has its whole time again
    assert (reply.status_code, "x-timeout-seconds" in reply.headers) == (200, False)


def test_of_a_write_that_waited_too_long_nothing_is_stored(site, client):
    before = client.get("/api/v1/debates").json()["total"]
    with contextlib.ExitStack() as held:
        if site.postgres:
            holder = held.enter_context(site.postgres.holding(site.name, "LOCK TABLE aragora.debates"))
        else:
            holder = held.enter_context(contextlib.closing(sqlite3.connect(site.path, isolation_level=None)))
            holder.execute("BEGIN IMMEDIATE")
        check_timed_out(*timed(lambda: client.post("/api/v1/debates", json=QUESTION, headers=LIMIT)))
    assert client.get("/api/v1/debates").json()["total"] == before
    assert client.post("/api/v1/debates", json=QUESTION, headers=LIMIT).status_code == 200


@pytest.fixture(scope="module")
def short():
    server = start_server(ARAGORA_REQUEST_TIMEOUT="2", ARAGORA_MAX_REQUEST_TIMEOUT="3")
    with server.client(server.key()) as client:
        client.database = server.data / "aragora.db"
        yield client
    assert server.stop() == 0


@pytest.mark.parametrize("asked, limit", [
    (None, "2.0"), ("many", "2.0"), ("0", "1.0"), ("-5", "1.0"), ("1.5", "1.5"), ("900", "3.0")])
def test_a_client_may_ask_for_another_limit_up_to_the_greatest(short, asked, limit):
    with contextlib.closing(sqlite3.connect(short.database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        reply = short.post("/api/v1/debates", json=QUESTION, headers={"X-Request-Timeout": asked} if asked else {})
    assert (reply.status_code, reply.headers["x-timeout-seconds"]) == (504, limit)
