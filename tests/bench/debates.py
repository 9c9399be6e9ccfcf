"""Debates through the real server: as fast as demo agents answer, and many that wait for models."""

import contextlib
import json
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

from provider import PATH, models
from subject import ROOT, Subject, ask, private_kb, program, spent_ms, start
from table import row

DEBATES, ROUNDS = 100, 3
AT_ONCE = 100       # debates that wait for the provider
CALLS_AT_ONCE = 600  # of these debates at most: 6 critiques each


def debates_of(subject, count, **request):
    """Seconds until all are completed."""
    before = time.monotonic()
    subject.wait_for([subject.new_debate(rounds=2, **request) for _ in range(count)], 120)
    return time.monotonic() - before


# --- Demo agents


def stored_bare(path, events, count):
    """Seconds that a bare SQLite takes to store these events so often; each text that ends a step
    is on the disk before the next."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "CREATE TABLE IF NOT EXISTS events (debate INT, seq INT, data TEXT,"
                         " PRIMARY KEY (debate, seq)); DELETE FROM events;")
        before = time.monotonic()
        for debate in range(count):
            db.execute("BEGIN IMMEDIATE")
            for event in events:
                db.execute("INSERT INTO events VALUES (?, ?, ?)",
                           (debate, event["seq"], json.dumps(event)))
                if event["type"] == "token_end":
                    db.execute("COMMIT")
                    db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")
        return time.monotonic() - before


def debates(directory, _options):
    """Three demo agents, two rounds."""
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject", ARAGORA_LOG_LEVEL="ERROR")
        runner, = subject.processes("aragora-debated")
        debate_id = subject.new_debate(rounds=2)
        subject.wait_for([debate_id], 10)
        _, body = ask(subject.port, "GET", f"/api/v1/debates/{debate_id}/events?limit=500",
                      subject.key)
        events = json.loads(body)["events"]
        turns = []
        for _ in range(ROUNDS):
            before = spent_ms(runner)
            value = DEBATES / debates_of(subject, DEBATES)
            cpu_ms = (spent_ms(runner) - before) / DEBATES
            floor = DEBATES / stored_bare(directory / "floor.db", events, DEBATES)
            turns.append((value, floor, value / floor, cpu_ms))
        value, floor, ratio, cpu_ms = map(statistics.median, zip(*turns))
        return [row("debates_per_second", value, "debates/s", floor, ratio, digits=1),
                row("debate_cpu", cpu_ms, "ms", digits=1)]


# --- Models


class Peak:
    """The greatest private memory of a process while the block runs."""

    def __init__(self, pid):
        self.pid, self.kb = pid, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.1):
            self.kb = max(self.kb, private_kb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def book(port):
    _, body = ask(port, "GET", "/book", {})
    return json.loads(body)


def provider(directory, _options):
    """What debated spends and keeps while 100 debates run against a provider that takes a second
    for each answer. The floor makes the same calls by libcurl alone, and does nothing with them."""
    with contextlib.ExitStack() as stack:
        server = start(stack, ["/usr/bin/python3", ROOT / "tests/bench/provider.py"], signal.SIGTERM,
                       stdout=subprocess.PIPE, text=True)
        port = int(stack.enter_context(server.stdout).readline())
        base = f"http://127.0.0.1:{port}"
        subject = Subject(stack, directory / "subject", ARAGORA_LOG_LEVEL="ERROR",
                          ARAGORA_MAX_CONCURRENT_DEBATES=str(AT_ONCE),
                          OPENAI_API_KEY=models.KEY, OPENAI_BASE_URL=base + "/v1",
                          ARAGORA_PROVIDER_MODELS="openai-api:ok=2/8")
        runner, = subject.processes("aragora-debated")
        agents = [{"provider": "openai-api", "model": "ok", "name": name}
                  for name in ("ann", "bob", "eve")]
        before_ms, before_kb = spent_ms(runner), private_kb(runner)
        with Peak(runner) as peak:
            seconds = debates_of(subject, AT_ONCE, agents=agents)
        cpu_ms = spent_ms(runner) - before_ms
        calls, last = book(port).values()
        print(f"provider_100: {AT_ONCE} debates of {calls} calls in {seconds:.1f} s", flush=True)
        (directory / "body").write_text(last)
        floor, = program("calls", base + PATH, models.KEY, directory / "body", calls, CALLS_AT_ONCE)
        return [row("provider_100_cpu_per_call", cpu_ms / calls, "ms", floor,
                    floor / (cpu_ms / calls), digits=3),
                row("provider_100_memory_per_debate", (peak.kb - before_kb) / AT_ONCE, "kB")]
