"""Debates of models and demo agents, under programs that die by SIGKILL at a random moment: of the
calls that the model server has in its book, those in flight at the kill are repeated, and no other.
KILLS=n sets how many kills (make check-faults: 200), KILL_SEED=n repeats them."""

import collections
import concurrent.futures
import os
import pathlib
import random
import signal
import sys
import threading
import time
import traceback

import pytest

pytest.register_assert_rewrite("harness")
from harness import (EVENTS, LIMIT, QUESTION, SEED, Postgres, Tables, Watcher, alive, ask, check_whole,  # noqa: E402
                     pids, start_server, stream_address, until)

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "provider"))
from models import KEY, Models  # noqa: E402

KILLS = int(os.environ.get("KILLS") or 10)
LANES = 4  # servers at a time
BATCH = 5  # kills of one server: the pause before a restart grows with each death
DEBATE_S = 2.5  # about as long as an undisturbed debate takes
RUNNER, STREAM, WORKER, WEB = "aragora-debated", "aragora-streamd", "aragora-fcgi", "lighttpd"
SERVE, ALL = "serve", "all"
SHARES = {RUNNER: 10, STREAM: 4, WORKER: 4, WEB: 1, SERVE: 1, ALL: 1}  # how often each is chosen
NAMES = ("ann", "bob", "cid")


class Figures:
    """What the kills came to."""

    def __init__(self):
        self.lock = threading.Lock()
        self.kills, self.databases, self.calls = (collections.Counter() for _ in range(3))
        self.slowest = collections.defaultdict(float)  # seconds to recovery, by program
        self.failed = []

    def add(self, site, program, debates, took):
        with self.lock:
            self.kills[program] += 1
            self.databases[site.name] += 1
            self.slowest[program] = max(self.slowest[program], took)
            self.calls["debates"] += len(debates)
            for debate in debates:
                self.calls.update(debate.calls)

    def print(self, seconds):
        told = self.calls
        print(f"\nkills: {sum(self.kills.values())} ("
              + ", ".join(f"{name} {count}" for name, count in self.kills.most_common()) + ")")
        print("databases: " + ", ".join(f"{name} {count}" for name, count in self.databases.most_common()))
        print(f"debates completed: {told['debates']}")
        print(f"calls made: {told['made']} for {told['steps']} steps")
        print(f"calls repeated that were in flight: {told['unfinished'] + told['uncommitted']}"
              f" ({told['unfinished']} not answered, {told['uncommitted']} answered and not yet stored)")
        print(f"longest recovery: {max(self.slowest.values(), default=0):.2f} s ("
              + ", ".join(f"{name} {took:.2f}" for name, took in self.slowest.items()) + ")")
        print(f"calls repeated without need: {told['made'] - told['steps'] - told['unfinished'] - told['uncommitted']}")
        print(f"kills with a fault: {len(self.failed)}")
        print(f"took: {seconds:.0f} s")
        print(f"KILL_SEED={SEED}")


class Debate:
    """One that runs, with its watcher, and with what stood at the kill."""

    def __init__(self, site, client, choose, tag, address):
        self.site, self.tag = site, tag
        real = ["openai-api", "ollama"]
        kinds = [choose.choice(real), *choose.choices(real + ["demo"], weights=[3, 3, 1], k=2)]
        choose.shuffle(kinds)
        agents = [{"provider": kind, "model": "" if kind == "demo" else f"brisk:{tag}-{name}", "name": name}
                  for kind, name in zip(kinds, NAMES)]
        self.models = {agent["name"]: agent["model"] for agent in agents if agent["model"]}
        reply = client.post("/api/v1/debates", json=QUESTION | {"agents": agents})
        assert reply.status_code == 200, reply.text
        self.id = reply.json()["debate_id"]
        self.watcher = Watcher(address, site.key, self.id)
        self.done, self.asked, self.told = {}, [], None

    def book(self):
        """The model server's, of this debate: (model, digest, answered) of each call."""
        with self.site.models.lock:
            return [(call["model"], call["digest"], call["answered"]) for call in self.site.models.calls
                    if call["model"] in self.models.values()]

    def remember(self):
        """What is stored and what was asked, when the runner is dead and the next one not started."""
        self.done, self.asked = self.site.tables.steps(self.id, "done"), self.book()
        loop, = self.site.tables.rows(f"SELECT last_seq, ended_at FROM loops WHERE loop_id = '{self.id}'")
        self.told = None if loop["ended_at"] else loop["last_seq"]

    def wait_to_go_on(self):
        if self.told is not None:
            self.watcher.wait_for(self.told + 1)

    def check(self, client, folder):
        check_whole(client, self.site.tables, self.id, self.watcher, self.done, folder)
        self.check_calls()

    def check_calls(self):
        steps = {name: row for name, row in self.site.tables.steps(self.id).items()
                 if row["task_id"] and row["task_id"].split(":")[0] in self.models}
        step_of = self.check_prompts(steps)
        book = self.book()
        before = collections.Counter(step_of[digest] for _, digest, _ in self.asked)
        after = collections.Counter(step_of[digest] for _, digest, _ in book[len(self.asked):])
        assert before.keys() | after.keys() == steps.keys()
        for name in steps:
            assert after[name] == (0 if name in self.done else 1), name
            assert before[name] == 1 if name in self.done else before[name] <= 1, name
        again = [answered for _, digest, answered in self.asked if step_of[digest] not in self.done]
        self.calls = {"made": len(book), "steps": len(steps), "uncommitted": sum(again),
                      "unfinished": len(again) - sum(again)}

    def check_prompts(self, steps):
        """The step that each prompt belongs to: no other has the same, and no second try has another."""
        step_of = {}
        for row in self.site.tables.rows("SELECT a.step, a.model_asked, a.request_digest FROM provider_attempts a"
                                         " JOIN jobs j ON j.org_id = a.org_id AND j.job_id = a.job_id"
                                         f" WHERE j.subject_id = '{self.id}'"):
            assert step_of.setdefault(row["request_digest"], row["step"]) == row["step"]
            assert row["model_asked"] == self.models[steps[row["step"]]["task_id"].split(":")[0]]
        assert len(step_of) == len(set(step_of.values()))
        return step_of


class Site:
    """A server whose providers are a model server of its own."""

    def __init__(self, postgres):
        name = postgres and postgres.new_database()
        self.name = "postgres" if postgres else "sqlite"
        self.models = Models()
        settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.models.url + "/v1", "OLLAMA_HOST": self.models.url,
                    "HTTP_PROXY": "", "HTTPS_PROXY": ""}
        if postgres:
            settings |= {"ARAGORA_DB_BACKEND": "postgres", "ARAGORA_POSTGRES_DSN": postgres.dsn(name)}
        self.server = start_server(**settings)
        self.tables = Tables(self.server, postgres, name)
        self.key = self.server.key()

    def complete(self):
        return all(pids(self.server, program) for program in (RUNNER, STREAM, WORKER, WEB))

    def kill(self, choose, program, debates):
        """Returns when all is being started again. A runner's successor waits until the book is read."""
        server = self.server.process.pid
        children = [pid for pid, _ in self.server.children()]
        if program in (SERVE, ALL):
            victims = [server] + (children if program == ALL else [])
        else:
            running = pids(self.server, program)
            victims = choose.sample(running, choose.randint(1, len(running)))
        if program == RUNNER:
            os.kill(server, signal.SIGSTOP)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if program in (RUNNER, SERVE, ALL):
            if program != RUNNER:
                self.server.process.wait()
            until(lambda: not any(map(alive, victims if program == RUNNER else children)))
            until(self.models.is_quiet)
            for debate in debates:
                debate.remember()
        if program == RUNNER:
            os.kill(server, signal.SIGCONT)
        elif program in (SERVE, ALL):
            self.server = start_server(self.server, **self.server.settings)

    def stop(self):
        for pid, _ in self.server.children():
            os.kill(pid, signal.SIGCONT)
        status = self.server.stop()
        self.models.stop()
        return status


def wait_for_moment(choose, debates):
    """After a random event or a random while."""
    if choose.random() < 0.5:
        moment = choose.randrange(1, EVENTS - 2)
        debates[0].watcher.wait_for(moment)
        return f"event {moment}"
    moment = choose.uniform(0, DEBATE_S)
    time.sleep(moment)
    return f"{moment:.3f} s"


def run(site, number, choose, program, folder, figures):
    through = program not in (SERVE, ALL) and choose.random() < 0.3
    address = stream_address(site.server, through or program == WEB)
    with site.server.client(site.key) as client:
        debates = [Debate(site, client, choose, f"{number}.{n}", address) for n in range(choose.choice([1, 1, 1, 2]))]
    moment = wait_for_moment(choose, debates)
    killed = time.monotonic()
    site.kill(choose, program, debates)
    with site.server.client(site.key) as client:
        ask(client, f"/api/v1/debates/{debates[0].id}")
        for debate in debates:
            debate.wait_to_go_on()
        took = time.monotonic() - killed
        for debate in debates:
            debate.check(client, folder)
    took = max([took] + [debate.watcher.away for debate in debates])
    assert took < LIMIT
    figures.add(site, program, debates, took)
    repeated = sum(d.calls["unfinished"] + d.calls["uncommitted"] for d in debates)
    print(f"{number}: {site.name}, {program} after {moment}: {repeated} of {sum(d.calls['made'] for d in debates)}"
          f" calls repeated, {took:.2f} s", flush=True)
    until(site.complete)


def run_batch(numbers, postgres, folder, figures):
    """On one server; after a failure the next kill gets a new one."""
    site = None
    folder.mkdir()
    for number in numbers:
        choose = random.Random(f"{SEED} calls {number}")
        program, = choose.choices(list(SHARES), weights=SHARES.values())
        try:
            site = site or Site(postgres)
            run(site, number, choose, program, folder, figures)
        except Exception:
            figures.failed.append(f"kill {number} of {program}: {traceback.format_exc()}")
            if site:
                site.stop()
            site = None
    if site and site.stop() != 0:
        figures.failed.append(f"the server of kills {numbers} did not end in order")


def test_only_calls_in_flight_at_a_kill_are_repeated(tmp_path, capsys):
    figures, began = Figures(), time.monotonic()
    postgres = Postgres()
    print(f"KILL_SEED={SEED}")
    batches = [range(first, min(first + BATCH, KILLS)) for first in range(0, KILLS, BATCH)]
    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        running = [lanes.submit(run_batch, numbers, postgres if n % 4 == 1 else None, tmp_path / str(n), figures)
                   for n, numbers in enumerate(batches)]
    postgres.stop()
    for batch in running:
        batch.result()
    with capsys.disabled():
        figures.print(time.monotonic() - began)
    assert not figures.failed, "\n".join(figures.failed)
    assert sum(figures.kills.values()) == KILLS
