"""Programs that die by SIGKILL at a random moment of a debate: it completes, nothing is said or
told twice, and a client that reconnects gets every event once and in order. KILL_SEED=n repeats a run."""

import os
import signal
import time

import pytest

pytest.register_assert_rewrite("harness")
from harness import (EVENTS, LIMIT, QUESTION, SLOWER, Postgres, Tables, Watcher, alive, check_whole,  # noqa: E402
                     pids, seeded, start_server, stream_address, until)

PROGRAMS = ["aragora-fcgi", "aragora-debated", "aragora-streamd"]


@pytest.fixture(scope="module")
def postgres():
    one = Postgres()
    yield one
    one.stop()


class Site:
    """A server, its tables and an owner's key."""

    def __init__(self, request):
        postgres = request.getfixturevalue("postgres") if "postgres" in request.param else None
        name = postgres and postgres.new_database()
        settings = postgres and {"ARAGORA_DB_BACKEND": "postgres", "ARAGORA_POSTGRES_DSN": postgres.dsn(name)}
        self.name = request.param
        self.server = start_server(**(settings or {}))
        self.tables = Tables(self.server, postgres, name)
        self.key = self.server.key()

    def start(self, client, through_web_server=False):
        debate = client.post("/api/v1/debates", json=QUESTION).json()["debate_id"]
        return debate, Watcher(stream_address(self.server, through_web_server), self.key, debate)


def closed(site):
    yield site
    assert site.server.stop() == 0


# Each server has every program killed once: the pause before a restart grows with each death.
@pytest.fixture(scope="module", params=[f"sqlite{n}" for n in range(7)] + [f"postgres{n}" for n in range(2)])
def site(request):
    yield from closed(Site(request))


@pytest.fixture(params=["sqlite", "postgres"])
def own_site(request):
    yield from closed(Site(request))


def kill_sometime(choose, watcher, running):
    """After a random event or a random while; one of the processes, or several."""
    if choose.random() < 0.5:
        moment = choose.randrange(1, EVENTS - 2)
        print(f"kills after event {moment}")
        watcher.wait_for(moment)
    else:
        moment = choose.uniform(0, 1.5)
        print(f"kills after {moment:.3f} s")
        time.sleep(moment)
    for pid in choose.sample(running, choose.randint(1, len(running))):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_program_costs_no_step_and_no_event(site, program, tmp_path):
    choose = seeded(f"{site.name} {program}")
    began = time.monotonic()
    with site.server.client(site.key) as client:
        debate, watcher = site.start(client, choose.random() < 0.3)
        kill_sometime(choose, watcher, pids(site.server, program))
        before = site.tables.steps(debate, "done")
        check_whole(client, site.tables, debate, watcher, before, tmp_path)
    assert watcher.away < 2 * SLOWER
    assert time.monotonic() - began < LIMIT


def test_a_killed_web_server_comes_back_on_its_port(own_site, tmp_path):
    choose = seeded(f"{own_site.name} lighttpd")
    with own_site.server.client(own_site.key) as client:
        debate, watcher = own_site.start(client, through_web_server=True)
        [killed] = pids(own_site.server, "lighttpd")
        kill_sometime(choose, watcher, [killed])
        before = own_site.tables.steps(debate, "done")
        check_whole(client, own_site.tables, debate, watcher, before, tmp_path)
        assert watcher.away < 2 * SLOWER
        assert client.get("/readyz").status_code == 200
    [started] = pids(own_site.server, "lighttpd")
    assert started != killed


def test_a_killed_supervisor_takes_all_with_it_and_the_next_goes_on(own_site, tmp_path):
    choose = seeded(f"{own_site.name} serve")
    killed = own_site.server
    children = [pid for pid, _ in killed.children()]
    with killed.client(own_site.key) as client:
        debate, watcher = own_site.start(client)
    kill_sometime(choose, watcher, [killed.process.pid])
    killed.process.wait()
    until(lambda: not any(map(alive, children)))
    before = own_site.tables.steps(debate, "done")
    own_site.server = start_server(killed, **killed.settings)
    with own_site.server.client(own_site.key) as client:
        check_whole(client, own_site.tables, debate, watcher, before, tmp_path)
