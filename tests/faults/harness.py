"""What the fault tests share: a client that follows a debate through every disconnect, the tables
as they are, a PostgreSQL server that goes with the tests, and what must hold of a debate at its end."""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import httpx
import websockets

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
from conftest import BIN, SLOWER, Server, clean_environment  # noqa: E402,F401 - not its fixtures

SEED = int(os.environ.get("KILL_SEED") or random.randrange(1 << 32))
QUESTION = {"task": "Should we move billing to event sourcing?", "rounds": 2,
            "agents": ["demo", "demo-skeptic", "demo-optimist"]}
SPOKEN = {"agent_message": 3 + 2 * 3 + 1 + 1, "critique": 2 * 3 * 2, "vote": 3}
FINAL = ("completed", "failed", "cancelled", "error", "timeout")
EVENTS = 85   # of an undisturbed debate
LIMIT = 15    # seconds; half a lease, so that nobody can have waited for one


def seeded(name):
    """Every test draws from the seed alone, so that it can be run again by itself."""
    print(f"KILL_SEED={SEED}")
    return random.Random(f"{SEED} {name}")


def start_server(before=None, host="127.0.0.1", **settings):
    return Server(before, host, **{"ARAGORA_DISABLE_ALL_RATE_LIMITS": "true", "ARAGORA_LOG_LEVEL": "ERROR",
                                   "ARAGORA_DEMO_DELAY_MS": "3"} | settings)


def pids(server, program):
    return [pid for pid, line in server.children() if program in line]


def alive(pid):
    """A zombie that nobody waits for is as dead."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def until(condition, seconds=LIMIT, pause=0.01):
    """What condition() returns, once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause)
    return found


def ask(client, path, **query):
    """The answer; a request that died with its worker is asked again."""
    def answer():
        try:
            reply = client.get(path, params=query)
        except httpx.TransportError:
            return None
        return reply if reply.status_code < 500 else None
    return until(answer)


class Watcher(threading.Thread):
    """Subscribes to a debate, and after each disconnect again, from the last event it saw on."""

    def __init__(self, address, key, debate):
        super().__init__(daemon=True)
        self.address, self.key, self.debate = address, key, debate
        self.events, self.faults, self.disorder = [], [], []
        self.away = 0  # the longest time from a disconnect to the next subscription
        self.texts = {}  # what is being said, by task
        self.heard = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self.task = self.loop.create_task(self.follow())
        self.start()

    def run(self):
        try:
            self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            pass
        self.loop.close()

    async def follow(self):
        left = None
        while True:
            try:
                async with websockets.connect(self.address, ping_interval=None, open_timeout=5, close_timeout=1,
                                              extra_headers={"Authorization": f"Bearer {self.key}"}) as socket:
                    await socket.send(json.dumps({"type": "subscribe", "debate_id": self.debate,
                                                  "replay_from_seq": len(self.events)}))
                    if left:
                        self.away, left = max(self.away, time.monotonic() - left), None
                    async for frame in socket:
                        self.hear(json.loads(frame))
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            left = left or time.monotonic()
            await asyncio.sleep(0.02)

    def hear(self, frame):
        if frame["type"] in ("error", "sync") or frame["type"] == "replay_start" and frame["data"]["gap"]:
            self.faults.append(frame)
        elif frame["type"] == "token_delta":
            self.hear_delta(frame)
        elif "seq" in frame:
            self.hear_text(frame)
            with self.heard:
                self.events.append(frame)
                self.heard.notify_all()

    def hear_delta(self, frame):
        """Deltas may be missed over a disconnect, but stand between start and end of their attempt
        and in order."""
        attempt, text = self.texts.get(frame["task_id"], (None, []))
        if frame["data"]["attempt"] != attempt or text and frame["agent_seq"] <= text[-1]["agent_seq"]:
            self.disorder.append(frame)
        else:
            text.append(frame)

    def hear_text(self, frame):
        if frame["type"] == "token_start":
            self.texts[frame["task_id"]] = frame["data"]["attempt"], []
        elif frame["type"] in ("token_end", "token_discard"):
            attempt, text = self.texts.pop(frame["task_id"], (frame["data"]["attempt"], []))
            if frame["data"]["attempt"] != attempt:
                self.disorder.append(frame)
            whole = frame["type"] == "token_end" and len(text) == frame["agent_seq"] - 1
            if whole and "".join(d["data"]["token"] for d in text) != frame["data"]["full_response"]:
                self.disorder.append(frame)

    def wait_for(self, count, seconds=LIMIT):
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.events) >= count, seconds), len(self.events)

    def stop(self):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.join()


class Postgres:
    """A server of its own directory, reached by a socket there; initdb refuses to be root."""
    BIN = pathlib.Path("/usr/lib/postgresql/15/bin")

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="aragora-pg-")
        self.databases = 0
        self.account = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            self.account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.call("initdb", "-D", f"{self.directory}/data", "-U", "aragora", "-A", "trust", "-E", "UTF8", "--no-sync",
                  "--no-locale")
        self.process = subprocess.Popen(
            [self.BIN / "postgres", "-D", f"{self.directory}/data", "-k", self.directory, "-h", "", "-F",
             "-c", "log_min_messages=panic"], cwd="/", stdout=subprocess.DEVNULL, **self.account)
        until(lambda: self.sql("postgres", "SELECT 1"))

    def call(self, program, *arguments):
        return subprocess.run([self.BIN / program, *arguments], cwd="/", check=True, stdout=subprocess.DEVNULL,
                              **self.account)

    def dsn(self, name):
        return f"host={self.directory} user=aragora dbname={name}"

    def sql(self, name, text):
        """What the statement prints; empty when it fails."""
        return subprocess.run([self.BIN / "psql", "-XAtqc", text, self.dsn(name)], capture_output=True,
                              text=True).stdout

    @contextlib.contextmanager
    def holding(self, name, statement):
        """In a transaction that stays open meanwhile."""
        process = subprocess.Popen([self.BIN / "psql", "-XAtq", self.dsn(name)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        process.stdin.write(f"BEGIN; {statement}; SELECT 'held';\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate()

    def new_database(self):
        self.databases += 1
        name = f"aragora{self.databases}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return name

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        shutil.rmtree(self.directory)


class Tables:
    """The database's rows, read beside the programs."""

    def __init__(self, server, postgres=None, name=None):
        self.path, self.postgres, self.name = server.data / "aragora.db", postgres, name

    def rows(self, sql):
        if self.postgres:
            return json.loads(self.postgres.sql(self.name, f"SELECT json_agg(r) FROM ({sql}) r") or "null") or []
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10) as db:
            db.row_factory = sqlite3.Row
            found = [dict(row) for row in db.execute(sql)]
        db.close()
        return found

    def steps(self, debate, status=""):
        found = self.rows("SELECT s.step, s.status, s.task_id, s.attempts, s.text, s.updated_at FROM job_steps s"
                          " JOIN jobs j ON j.org_id = s.org_id AND j.job_id = s.job_id"
                          f" WHERE j.subject_id = '{debate}'")
        return {row["step"]: row for row in found if status in ("", row["status"])}


def stream_address(server, through_web_server=False):
    if through_web_server:
        return server.url.replace("http:", "ws:") + "/ws"
    return f"ws://127.0.0.1:{server.ws_port}/ws"


def check_stream(events, heard):
    """Told once, in order, and nothing else than what the table has."""
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert [e["seq"] for e in heard] == [e["seq"] for e in events]
    assert heard == events
    types = [e["type"] for e in events]
    assert types[0] == "debate_start" and types[-3:] == ["consensus", "debate_end", "receipt_generated"]
    types = [e["type"] for e in events if not e["data"].get("is_convergence_check")]
    for once in ("debate_start", "consensus", "debate_end", "receipt_generated"):
        assert types.count(once) == 1, once
    for said, count in SPOKEN.items():
        assert types.count(said) == count, said


def check_steps(events, before, after):
    """What was done before the kill stands as it was, and only a discarded attempt was made again."""
    told = {kind: collections.Counter(e["task_id"] for e in events if e["type"] == kind)
            for kind in ("token_start", "token_end", "token_discard")}
    rounds = QUESTION["rounds"]  # each is announced, and from the second on checked for convergence
    assert len(after) == sum(SPOKEN.values()) + rounds + rounds - 1
    for name, step in after.items():
        assert step["status"] == "done", name
        task = step["task_id"]
        assert step["attempts"] == 1 + (told["token_discard"][task] if task else 0), name
        if task:
            assert told["token_end"][task] == 1 and told["token_start"][task] == step["attempts"], name
    for name, step in before.items():
        assert after[name] == step


def check_messages(tables, debate):
    messages = tables.rows("SELECT round, role, agent, target, content, is_partial FROM debate_messages"
                           f" WHERE debate_id = '{debate}'")
    keys = {(m["round"], m["role"], m["agent"], m["target"]) for m in messages}
    assert len(messages) == len(keys) == SPOKEN["agent_message"] + SPOKEN["critique"]
    assert not any(m["is_partial"] for m in messages)


def check_receipt(client, receipt, folder):
    """Offline, with the key that the receipt names."""
    found = ask(client, f"/api/v2/receipts/{receipt}").json()
    exported = ask(client, f"/api/v2/receipts/{receipt}/export", format="json")
    key = ask(client, "/api/v2/receipts/signing-key", key_id=found["signature_metadata"]["key_id"])
    (folder / "receipt.json").write_bytes(exported.content)
    (folder / "key.pem").write_text(key.json()["public_key_pem"])
    done = subprocess.run([BIN / "aragora", "verify", folder / "receipt.json", "--pubkey", folder / "key.pem"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout.startswith("verified"), done


def events_of(client, debate):
    return ask(client, f"/api/v1/debates/{debate}/events", limit=500).json()["events"]


def completed(client, debate):
    """The debate once it has ended, asked for all the while."""
    found = until(lambda: (d := ask(client, f"/api/v1/debates/{debate}").json())["status"] in FINAL and d)
    assert found["status"] == "completed", found
    return found


def check_whole(client, tables, debate, watcher, before, folder):
    """All that must hold of a debate, whatever was killed under it."""
    found = completed(client, debate)
    events = events_of(client, debate)
    watcher.wait_for(len(events))
    watcher.stop()
    assert watcher.faults == []
    assert watcher.disorder == []
    check_stream(events, watcher.events)
    check_steps(events, before, tables.steps(debate))
    check_messages(tables, debate)
    check_receipt(client, found["receipt_id"], folder)
