"""Fixtures: the running system as the API tests start it, and clients of its streams."""

import asyncio
import contextlib
import functools
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import httpx
import pytest
import websockets

API = pathlib.Path(__file__).resolve().parents[1] / "api"
sys.path.append(str(API))  # its test_debate.py knows how to start a debate
spec = importlib.util.spec_from_file_location("api_conftest", API / "conftest.py")
api = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api)
BIN, clean_environment, free_port, run, Server = (api.BIN, api.clean_environment, api.free_port, api.run,
                                                  api.Server)

TOKEN = "server-token-of-the-tests"
LIMIT_S = 10 * api.SLOWER  # nothing that is waited for takes longer


def asynchronous(test):
    """A test that is a coroutine. Fixtures stay ordinary."""
    @functools.wraps(test)
    def whole(**fixtures):
        asyncio.run(asyncio.wait_for(test(**fixtures), 60))
    return whole


def remove_data(data):
    at = os.stat(data)
    pathlib.Path(f"/dev/shm/aragora-{at.st_dev:x}-{at.st_ino:x}").unlink(missing_ok=True)
    shutil.rmtree(data)


class Journal:
    """The database of a data directory, for what no program is to be seen doing."""

    def __init__(self, data):
        self.path = data / "aragora.db"

    def run(self, *statements):
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            return [db.execute(*statement).fetchall() for statement in statements]

    def organisation(self, name):
        """With one member; returns the key of the member."""
        self.run(("INSERT INTO organizations (org_id, name, slug, created_at, updated_at) VALUES (?1, ?1, ?1, 1, 1)", (name,)),
                 ("INSERT INTO users (user_id, email, created_at, updated_at) VALUES (?1, ?1, 1, 1)", ("user-" + name,)),
                 ("INSERT INTO organization_memberships (org_id, user_id, role, joined_at) VALUES (?, ?, 'owner', 1)",
                  (name, "user-" + name)))
        return self.key("--org", name, "--user", "user-" + name)

    def key(self, *options):
        made = run(self.path.parent, "apikey", "create", "test", *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def loop(self, loop, org="default", visibility="private", status="running"):
        self.run(("INSERT INTO loops (org_id, loop_id, kind, visibility, status, moved_at) VALUES (?, ?, 'debate', ?, ?, 0)",
                  (org, loop, visibility, status)))

    def append(self, loop, count=1, type="agent_message", data=None, org="default"):
        """Commits events that no bus tells of."""
        text = json.dumps(data or {"content": "said", "role": "proposer"})
        now = time.time_ns() // 1000
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            db.execute("BEGIN IMMEDIATE")
            for _ in range(count):
                seq, = db.execute("UPDATE loops SET last_seq = last_seq + 1, moved_at = ? WHERE org_id = ? AND loop_id = ?"
                                  " RETURNING last_seq", (now, org, loop)).fetchone()
                db.execute("INSERT INTO events (org_id, loop_id, seq, type, agent, at, data) VALUES (?, ?, ?, ?, 'ann', ?, ?)",
                           (org, loop, seq, type, now, text))


class Stream(Server):
    """The whole system; what it logs is kept."""

    def __init__(self, **settings):
        self.log = pathlib.Path(tempfile.mkstemp(prefix="aragora-log-")[1])
        with self.log.open("w") as stderr:
            super().__init__(stderr=stderr, **({"ARAGORA_DEMO_DELAY_MS": "3"} | settings))
        self.journal = Journal(self.data)

    def streamd(self):
        pid, = [pid for pid, line in self.children() if "aragora-streamd" in line]
        return pid

    def healthy(self):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{self.ws_port}/health", trust_env=False).json()
        raise AssertionError("streamd does not answer")

    def stop(self):
        status = super().stop()
        check_log(self.log)
        return status


class Daemon:
    """aragora-streamd alone, on a database of its own."""

    def __init__(self, data=None, migrate=True, preexec_fn=None, **settings):
        self.data = data or pathlib.Path(tempfile.mkdtemp(prefix="aragora-stream-"))
        self.owns = data is None
        self.ws_port = free_port()
        self.journal = Journal(self.data)
        self.log = pathlib.Path(tempfile.mkstemp(prefix="aragora-log-")[1])
        if migrate:
            assert run(self.data, "migrate").returncode == 0
        settings = {"ARAGORA_WS_PORT": str(self.ws_port), "ARAGORA_API_TOKEN": TOKEN,
                    "ARAGORA_DISABLE_ALL_RATE_LIMITS": "true"} | settings
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen([BIN / "aragora-streamd"], stderr=stderr, preexec_fn=preexec_fn,
                                            env=clean_environment(self.data, **settings))

    healthy = Stream.healthy

    def ready(self):
        self.healthy()
        return self

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        if self.owns:
            remove_data(self.data)
        check_log(self.log)
        return status


def check_log(log):
    text = log.read_text()
    log.unlink()
    assert "Sanitizer" not in text and "runtime error" not in text, text


class Client:
    """One connection. got: all frames, as they came."""

    def __init__(self, socket):
        self.socket, self.got = socket, []

    async def next(self):
        text = await asyncio.wait_for(self.socket.recv(), LIMIT_S)
        self.got.append(json.loads(text))
        return self.got[-1]

    async def until(self, condition):
        """The frames up to the first of that type, or that fulfils the condition."""
        found = []
        while True:
            found.append(await self.next())
            if found[-1]["type"] == condition if isinstance(condition, str) else condition(found[-1]):
                return found

    async def say(self, type, **members):
        await self.socket.send(json.dumps({"type": type} | members))

    async def ask(self, type, answer, **members):
        await self.say(type, **members)
        return (await self.until(answer))[-1]

    async def closed(self):
        """The code of the close frame that the server sent; what came before it is got."""
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await self.next()
        return self.socket.close_code

    async def quiet(self):
        """What is still on its way: an answer out of the database comes after all that were asked for before."""
        await self.say("get_loops")
        return (await self.until("loop_list"))[:-1]


@contextlib.asynccontextmanager
async def connected(server, path="/ws", token=None, headers=(), welcome=True, port=None, secure=False, **options):
    headers = dict(headers) | ({"Authorization": f"Bearer {token}"} if token else {})
    host = headers.pop("Host", "127.0.0.1")
    options = {"max_size": None, "max_queue": None, "ping_interval": None, "close_timeout": 2} | options
    if "sock" not in options:
        options |= {"host": "127.0.0.1", "port": port or server.ws_port}
    async with websockets.connect(f"{'wss' if secure else 'ws'}://{host}{path}", extra_headers=headers, **options) as socket:
        client = Client(socket)
        if welcome:
            assert (await client.next())["type"] == "connection_info"
            assert (await client.next())["type"] == "loop_list"
        yield client


def events(frames):
    """Those of the journal."""
    return [frame for frame in frames if "seq" in frame]


def seqs(frames):
    return [frame["seq"] for frame in events(frames)]


@pytest.fixture(scope="session")
def server():
    one = Stream(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_API_TOKEN=TOKEN)
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="session")
def owner(server):
    with server.client(TOKEN) as client:
        yield client


@pytest.fixture(scope="session")
def mallory(server):
    """The key of another organisation."""
    return server.journal.organisation("mallory")


@pytest.fixture(scope="session")
def daemon():
    """No debate runs there; its journal is written by the tests."""
    one = Daemon().ready()
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="session", autouse=True)
def early_watch(request):
    """Begins to wait for what takes a quarter of a minute before the first test, if a test will ask."""
    if not any("watch" in item.fixturenames for item in request.session.items):
        yield None
        return
    from test_time import Watch
    one = Watch()
    yield one
    assert one.stop() == 0
