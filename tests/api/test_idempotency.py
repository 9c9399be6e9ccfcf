"""Creating requests that come again under their Idempotency-Key: one debate, and the first answer,
also where the worker died on the way. KILL_SEED=n repeats a run."""

import concurrent.futures
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time

import httpx
import pytest
from cgi_request import ask, data  # noqa: F401 - a fixture
from conftest import Server, run

SEED = int(os.environ.get("KILL_SEED") or random.randrange(1 << 32))
PATH = "/api/v1/debates"
QUESTION = {"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1}
BODY = json.dumps(QUESTION).encode()
LONGEST = 0.006  # seconds from a request to the kill of its worker
PYTHON_SDK = "aragora-python-sdk/2.6.3"


def start_server():
    return Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="0", ARAGORA_WORKERS="4",
                  ARAGORA_LOG_LEVEL="ERROR")


class Site:
    def __init__(self):
        self.server = start_server()
        self.key = self.server.key()
        self.client = self.server.client(self.key)

    def close(self):
        self.client.close()
        assert self.server.stop() == 0

    @contextlib.contextmanager
    def database(self):
        with contextlib.closing(sqlite3.connect(self.server.data / "aragora.db", timeout=10,
                                                isolation_level=None)) as db:
            yield db

    def sql(self, text, *values):
        with self.database() as db:
            return db.execute(text, values).fetchall()

    def workers(self):
        return [pid for pid, line in self.server.children() if "aragora-fcgi" in line]

    def debates(self):
        return self.client.get(PATH).json()["total"]

    def post(self, key=None, body=QUESTION, path=PATH, client=None, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return (client or self.client).post(path, json=body,
                                            headers=names | ({"Idempotency-Key": key} if key else {}))


@pytest.fixture(scope="module")
def site():
    one = Site()
    yield one
    one.close()


def is_replay(reply, first):
    assert (reply.status_code, reply.content) == (first.status_code, first.content)
    assert reply.headers["content-type"] == first.headers["content-type"]
    assert reply.headers["x-aragora-demo"] == first.headers["x-aragora-demo"] == "1"
    return reply.headers.get("idempotent-replay") == "true"


def test_a_repeat_gets_the_first_answer_and_creates_nothing(site):
    before = site.debates()
    first = site.post("first")
    assert first.status_code == 200 and "idempotent-replay" not in first.headers
    again = site.post("first")
    assert is_replay(again, first)
    assert again.headers["x-trace-id"] != first.headers["x-trace-id"]  # the repeat's own
    assert is_replay(site.post("first", path="/api/debates"), first)
    assert site.debates() == before + 1
    other = site.post("second")
    assert other.json()["debate_id"] != first.json()["debate_id"]
    assert site.post().json()["debate_id"] != site.post().json()["debate_id"]  # no key, no repeat
    assert site.debates() == before + 4


def test_another_request_under_the_key_is_refused(site):
    first, before = site.post("reused"), site.debates()
    for body, path in ((QUESTION | {"rounds": 2}, PATH), (QUESTION, PATH + "?a=b")):
        reply = site.post("reused", body, path)
        assert reply.status_code == 422
        assert reply.json()["code"] == "IDEMPOTENCY_KEY_REUSED" and reply.json()["field"] == "Idempotency-Key"
    assert site.debates() == before
    assert is_replay(site.post("reused"), first)


@pytest.mark.parametrize("wrong", [{"rounds": 99}, {"task": ""}, {"agents": "openai-api,demo"}])
def test_a_refusal_does_not_use_the_key_up(site, wrong):
    key = "refused-" + "-".join(wrong)
    assert [site.post(key, QUESTION | wrong).status_code for _ in range(2)] == [400, 400]
    first = site.post(key)
    assert first.status_code == 200 and "idempotent-replay" not in first.headers
    assert is_replay(site.post(key), first)


def test_a_key_is_its_callers_own(site):
    first = site.post("shared")
    for org in ("default", "elsewhere"):
        user = "user-" + org
        with site.database() as db:
            db.execute("INSERT INTO users (user_id, email, created_at, updated_at) VALUES (?1, ?1, 1, 1)", (user,))
            if org != "default":
                db.execute("INSERT INTO organizations (org_id, name, slug, created_at, updated_at)"
                           " VALUES (?1, ?1, ?1, 1, 1)", (org,))
            db.execute("INSERT INTO organization_memberships (org_id, user_id, role, joined_at)"
                       " VALUES (?, ?, 'owner', 1)", (org, user))
        made = run(site.server.data, "apikey", "create", "--org", org, "--user", user)
        with site.server.client(made.stdout.strip()) as client:
            theirs = site.post("shared", client=client)
            assert theirs.status_code == 200 and "idempotent-replay" not in theirs.headers
            assert theirs.json()["debate_id"] != first.json()["debate_id"]
            assert is_replay(site.post("shared", client=client), theirs)
    with site.server.client(site.server.key()) as client:  # the same user's other key
        assert is_replay(site.post("shared", client=client), first)


@pytest.mark.parametrize("key", ["x" * 256, "a b", "a,b", b"\xc3\xa9", b"a\tb"])
def test_a_bad_key_is_refused_by_name(site, key):
    before = site.debates()
    reply = site.post(key)
    assert reply.status_code == 400 and reply.json()["field"] == "Idempotency-Key"
    assert site.debates() == before


def test_two_keys_are_refused(site):
    before = site.debates()
    reply = site.client.post(PATH, json=QUESTION, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")])
    assert reply.status_code == 400 and reply.json()["field"] == "Idempotency-Key"
    assert site.debates() == before


@pytest.mark.parametrize("key", ["", " ", "a\nb", "a\x7fb"])
def test_what_no_client_can_send_is_refused_too(data, key):  # noqa: F811
    made = run(data, "apikey", "create")
    body = b'{"task": "Ship on Friday?", "agents": ["demo", "demo-x"]}'
    status, _, content = ask(data, "POST", PATH, body, HTTP_IDEMPOTENCY_KEY=key,
                             HTTP_AUTHORIZATION="Bearer " + made.stdout.strip())
    assert status == 400 and b'"field":"Idempotency-Key"' in content


def test_the_longest_key_is_good(site):
    key = "~" * 254 + '"'
    assert is_replay(site.post(key), site.post(key)) is False
    assert is_replay(site.post(key), site.post(key))


def test_equal_requests_at_once_make_one_debate(site):
    before, start = site.debates(), threading.Barrier(20)

    def send(_):
        with site.server.client(site.key) as client:
            start.wait()
            return site.post("parallel", client=client)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(send, range(20)))
    assert site.debates() == before + 1
    assert {reply.status_code for reply in replies} <= {200, 409}
    answered = [reply for reply in replies if reply.status_code == 200]
    assert len({reply.content for reply in answered}) == 1
    assert len([reply for reply in answered if "idempotent-replay" not in reply.headers]) == 1


def test_a_request_under_way_makes_its_repeat_wait_and_then_409(site):
    """While the database has another writer, the first request cannot be answered."""
    before = site.debates()
    with site.database() as db, concurrent.futures.ThreadPoolExecutor(1) as pool, \
            site.server.client(site.key) as client:
        db.execute("BEGIN IMMEDIATE")
        first = pool.submit(site.post, "under-way", client=client)
        until_locked(site)
        reply = site.post("under-way")
        db.execute("ROLLBACK")
        assert reply.status_code == 409 and reply.json()["code"] == "CONFLICT"
        assert reply.headers["retry-after"] == "1" and reply.json()["retry_after"] == 1
        assert first.result().status_code == 200
    assert is_replay(site.post("under-way"), first.result())
    assert site.debates() == before + 1


def until_locked(site):
    """Until a worker has a key: the kernel lists its lock."""
    inode = None
    end = time.monotonic() + 10
    path = site.server.data / "run" / "idempotency.lock"
    while time.monotonic() < end:
        inode = inode or (path.exists() and path.stat().st_ino)
        with open("/proc/locks") as locks:
            if inode and any(f":{inode} " in line and "OFDLCK" in line for line in locks):
                return
        time.sleep(0.005)
    raise AssertionError("no worker has the key")


def test_a_worker_killed_before_it_committed_leaves_the_key_free(site):
    before = site.debates()
    with site.database() as db:
        db.execute("BEGIN IMMEDIATE")
        with send_raw(site, "killed", BODY) as one:
            until_locked(site)
            for pid in site.workers():
                os.kill(pid, signal.SIGKILL)
            assert one.recv(12)[9:10] == b"5"
        db.execute("ROLLBACK")
    again = send_until_answered(site, "killed")
    assert "idempotent-replay" not in again.headers
    assert is_replay(send_until_answered(site, "killed"), again)
    assert site.debates() == before + 1


def send_raw(site, key, body):
    """A connection on which the request has just been sent."""
    host, port = site.server.url.removeprefix("http://").split(":")
    one = socket.create_connection((host, int(port)), timeout=20)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(f"POST {PATH} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
                f"Authorization: Bearer {site.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return one


def test_a_client_that_left_before_the_answer_finds_it(site):
    before = site.debates()
    with send_raw(site, "left", BODY):
        end = time.monotonic() + 10
        while not site.sql("SELECT 1 FROM idempotency WHERE key = 'left'"):
            assert time.monotonic() < end
            time.sleep(0.005)
    reply = send_until_answered(site, "left")
    assert reply.status_code == 200 and reply.headers["idempotent-replay"] == "true"
    assert site.debates() == before + 1


def test_a_key_is_kept_for_a_day(site):
    first = site.post("old")
    [(left,)] = site.sql("SELECT expires_at - CAST(strftime('%s', 'now') AS INTEGER) * 1000000 FROM idempotency"
                         " WHERE key = 'old'")
    assert 86390_000000 < left <= 86401_000000

    def age(hours):
        site.sql("UPDATE idempotency SET expires_at = expires_at - ? WHERE key = 'old'", hours * 3600_000000)

    age(23)
    assert is_replay(site.post("old"), first)
    age(1)
    again = site.post("old")
    assert again.status_code == 200 and "idempotent-replay" not in again.headers
    assert again.json()["debate_id"] != first.json()["debate_id"]
    assert is_replay(site.post("old"), again)
    age(25)
    site.post("new")
    assert site.sql("SELECT COUNT(*) FROM idempotency WHERE key = 'old'") == [(0,)]


def test_a_client_that_repeats_without_a_key_is_known_for_a_minute(site):
    body = QUESTION | {"context": "as the SDK sends it"}
    first = site.post(body=body, User_Agent=PYTHON_SDK)
    assert is_replay(site.post(body=body, User_Agent=PYTHON_SDK), first)
    assert "idempotent-replay" not in site.post(body=body | {"rounds": 2}, User_Agent=PYTHON_SDK).headers
    keyed = site.post("of-its-own", body, User_Agent=PYTHON_SDK)
    assert keyed.status_code == 200 and "idempotent-replay" not in keyed.headers
    site.sql("UPDATE idempotency SET expires_at = expires_at - 60000000 WHERE key LIKE 'sdk %'")
    assert "idempotent-replay" not in site.post(body=body, User_Agent=PYTHON_SDK).headers


# --- Workers that die at a random moment ---------------------------------------------------------

def send_until_answered(site, key):
    """As a client does that got no answer."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            reply = site.client.post(PATH, content=BODY, headers={"Content-Type": "application/json",
                                                                  "Idempotency-Key": key})
            if reply.status_code == 200:
                return reply
            assert reply.status_code >= 500 or reply.status_code == 409, reply.text
        except httpx.TransportError:
            pass
        time.sleep(0.01)
    raise AssertionError("no answer")


# The pause before a restart grows with each death.
@pytest.fixture(scope="module", params=range(5))
def fresh_site(request):
    one = Site()
    one.number = request.param
    yield one
    one.close()


@pytest.mark.parametrize("turn", range(4))
def test_a_worker_killed_at_any_moment_makes_no_second_debate(fresh_site, turn):
    """The first request takes some milliseconds: the kill comes before, in or after its commit."""
    site = fresh_site
    print(f"KILL_SEED={SEED}")
    moment = random.Random(f"{SEED} {site.number} {turn}").uniform(0, LONGEST)
    before, key, workers, told = site.debates(), f"killed-{turn}", site.workers(), b""
    with send_raw(site, key, BODY) as one:
        time.sleep(moment)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        while piece := one.recv(65536):
            told += piece
    answer = send_until_answered(site, key)
    print(f"killed after {1000 * moment:.2f} ms: {told[9:12]}, {answer.headers.get('idempotent-replay')}")
    assert site.sql("SELECT COUNT(*) FROM debates") == [(before + 1,)]
    if told[9:12] == b"200":
        assert told.endswith(answer.content) and answer.headers["idempotent-replay"] == "true"
    assert send_until_answered(site, key).content == answer.content
    assert site.sql("SELECT COUNT(*) FROM debates") == [(before + 1,)]
