"""Debates through the real server: as fast as demo agents answer, and many that wait for models."""

import contextlib
import json
import signal
import sqlite3
import statistics
import subprocess
import threading
import time

from provider import PATH, models
from subject import ROOT, Subject, ask, private_kb, program, spent_ms, start
from table import row

DEBATES, ROUNDS = 100, 3
AT_ONCE = 100        # debates that wait for the provider
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


class Provider:
    """The model server, with a certificate that it signed itself."""

    def __init__(self, stack, directory):
        self.certificate, key = directory / "certificate.pem", directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
                        "-out", self.certificate, "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
        server = start(stack, ["/usr/bin/python3", ROOT / "tests/bench/provider.py",
                               self.certificate, key], signal.SIGTERM, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True)
        self.port, tls_port = (int(server.stdout.readline()) for _ in range(2))
        self.plain, self.tls = f"http://127.0.0.1:{self.port}", f"https://127.0.0.1:{tls_port}"
        stack.enter_context(server.stdout)

    def book(self):
        """Calls so far, the last one's body."""
        _, body = ask(self.port, "GET", "/book", {})
        return json.loads(body).values()


def spent_on_provider(directory, server, base):
    """Milliseconds of debated for each call, and kilobytes for each debate. Offline, it would open
    a connection for each call."""
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory, offline=False, ARAGORA_LOG_LEVEL="ERROR",
                          ARAGORA_MAX_CONCURRENT_DEBATES=str(AT_ONCE),
                          ARAGORA_CA_BUNDLE=str(server.certificate),
                          OPENAI_API_KEY=models.KEY, OPENAI_BASE_URL=base + "/v1",
                          ARAGORA_PROVIDER_MODELS="openai-api:ok=2/8")
        runner, = subject.processes("aragora-debated")
        agents = [{"provider": "openai-api", "model": "ok", "name": name}
                  for name in ("ann", "bob", "eve")]
        before_calls, _ = server.book()
        before_ms, before_kb = spent_ms(runner), private_kb(runner)
        with Peak(runner) as peak:
            seconds = debates_of(subject, AT_ONCE, agents=agents)
        cpu_ms = spent_ms(runner) - before_ms
        after_calls, _ = server.book()
        calls = after_calls - before_calls
        print(f"{AT_ONCE} debates of {calls} calls to {base} in {seconds:.1f} s", flush=True)
        return cpu_ms / calls, (peak.kb - before_kb) / AT_ONCE, calls


def provider(directory, _options):
    """100 debates at once against a provider that takes a second for each answer, without and with
    TLS. The floor makes the same calls by libcurl alone, and does nothing with them."""
    with contextlib.ExitStack() as stack:
        server = Provider(stack, directory)
        rows = []
        for name, base in (("provider_100", server.plain), ("provider_100_tls", server.tls)):
            cpu_ms, kb, calls = spent_on_provider(directory / name, server, base)
            _, body = server.book()
            (directory / "body").write_text(body)
            floor, = program("calls", base + PATH, models.KEY, directory / "body", calls,
                             CALLS_AT_ONCE, server.certificate)
            rows += [row(name + "_cpu_per_call", cpu_ms, "ms", floor, floor / cpu_ms, digits=3),
                     row(name + "_memory_per_debate", kb, "kB")]
        return rows
