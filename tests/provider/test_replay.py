"""Replays of real models' debates call nobody and say the same; forks call for what is left only."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import System, api_fixtures
from test_provider import agent, of, run, start, wait

BIN = api_fixtures.BIN


@pytest.fixture(scope="module")
def source(system):
    """One debate with what a provider can do: pieces of any size, another try, refused parameters,
    failures; and a demo agent."""
    found, events, attempts = run(
        system, agent("openai-api", "ok", "ann"), agent("openai-api", "bytes", "bob"),
        agent("ollama", "ok", "cleo"), agent("openai-api", "cut_once", "dan"),
        agent("openai-api", "missing", "eve"), agent("openai-api", "odd", "finn"), "demo", rounds=2)
    assert found["status"] == "completed"
    assert {"failed", "used"} == {a["outcome"] for a in attempts}
    return found, events, attempts


def aragora(system, *arguments, **settings):
    return api_fixtures.run(system.server.data, "debate", *arguments, **settings)


def replay(system, debate, **settings):
    """(id of the replay, what was printed), of one that came out the same."""
    done = aragora(system, "replay", debate, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    first, *lines = done.stdout.splitlines()
    made, word, of_what = first.split()
    assert (word, of_what) == ("replays", debate)
    assert lines[-1] == "the same texts, the same verdict" and len(lines) == 2
    return made, lines[0]


def steps(system, debate):
    lines = aragora(system, "steps", debate).stdout.splitlines()
    return [line.split("\t") for line in lines]


def texts(system, debate):
    reply = system.client.get(f"/api/v1/debates/{debate}/messages", params={"limit": 200}).json()
    return sorted((m["round"], m["role"], m["agent"], m["target"], m["content"])
                  for m in reply["messages"])


def check_replay(system, made, source):
    found, events, attempts = source
    again, journal = wait(system, made)
    assert again["replay_of"] == found["id"] and "replay_of" not in found
    assert journal[0]["data"]["replay_of"] == found["id"]
    for name in ("status", "winner", "confidence", "final_answer", "rounds_used", "consensus_reached"):
        assert again.get(name) == found.get(name), name
    assert texts(system, made) == texts(system, found["id"])
    told, now = ({e["task_id"]: e["data"] for e in of(some, "agent_error")} for some in (events, journal))
    assert told and now == told
    assert "receipt_id" not in again and not of(journal, "receipt_generated")
    assert system.rows("SELECT * FROM provider_attempts a JOIN jobs j ON j.job_id = a.job_id"
                       " WHERE j.subject_id = ?", made) == []
    cost, = system.rows("SELECT total_cost_micro_usd, total_tokens FROM debates WHERE debate_id = ?", made)
    assert set(cost.values()) == {0}


def test_a_replay_calls_nobody_and_says_the_same(system, source):
    before = len(system.models.calls)
    made, summary = replay(system, source[0]["id"])
    assert len(system.models.calls) == before
    replies = sum(a["outcome"] == "used" for a in source[2])
    assert f"{replies} stored replies read, 0 calls, 0 micro-USD" in summary
    check_replay(system, made, source)


def test_a_replay_can_be_replayed(system, source):
    made, _ = replay(system, source[0]["id"])
    again, summary = replay(system, made)
    assert f"{sum(a['outcome'] == 'used' for a in source[2])} stored replies read" in summary


def test_a_replay_of_a_step_that_was_changed_says_so_and_fails(system):
    found, _, _ = run(system, agent("openai-api", "ok", "ann"), "demo")
    with sqlite3.connect(next(system.server.data.glob("*.db"))) as db:
        db.execute("UPDATE job_steps SET text = 'We' || substr(text, 3, 5) || 'not' WHERE step ="
                   " '1/revision/ann' AND job_id IN (SELECT job_id FROM jobs WHERE subject_id = ?)",
                   (found["id"],))
        db.execute("UPDATE debates SET winner = 'nobody' WHERE debate_id = ?", (found["id"],))
    done = aragora(system, "replay", found["id"])
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:3] == ["1/revision/ann: the text differs from its byte 8 on",
                                             "winner: nobody before, now ann"]
    assert done.stdout.endswith("2 differences\n")


def test_what_cannot_be_replayed_is_told_before_anything_is_made():
    system = System(ARAGORA_KEEP_PROVIDER_REPLIES="false")
    found, _, _ = run(system, "demo", agent("openai-api", "ok", "ann"))
    done = aragora(system, "replay", found["id"])
    assert done.returncode == 1 and not done.stdout
    assert "step 0/proposal/ann: its provider's reply was not kept" in done.stderr
    assert "no such debate" in aragora(system, "replay", "adhoc_nothing").stderr
    assert "no such debate" in aragora(system, "replay", found["id"], "--org", "org_other").stderr
    assert aragora(system, "replay", found["id"], "--at", "1/start").returncode == 2
    assert ["0/proposal/ann", "done", "none"] in steps(system, found["id"])
    assert system.client.get("/api/v1/debates").json()["total"] == 1
    assert system.stop() == 0


@pytest.fixture
def lonely():
    """An ended debate; then a server without a key, and no model server to be reached."""
    system = System()
    source = run(system, agent("openai-api", "ok", "ann"), agent("ollama", "ok", "bob"),
                 agent("openai-api", "missing", "eve"))
    key = system.client.headers["Authorization"].split()[1]
    system.models.stop()
    system.server.process.send_signal(signal.SIGTERM)
    assert system.server.process.wait(timeout=40) == 0
    settings = system.server.settings | {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
    system.server = api_fixtures.Server(before=system.server, stderr=system.log, **settings)
    system.client.close()
    system.client = system.server.client(key)
    yield system, source
    system.client.close()
    assert system.server.stop() == 0


def test_a_replay_needs_no_model_server_and_no_key(lonely):
    system, source = lonely
    made, _ = replay(system, source[0]["id"])
    check_replay(system, made, source)
    reply = system.client.post(f"/api/v1/debates/{source[0]['id']}/fork", json={"branch_point": 1})
    assert reply.status_code == 400 and "OPENAI_API_KEY" in reply.text  # a fork would have to call


def runner(system):
    return next(pid for pid, line in system.server.children() if "aragora-debated" in line)


HELD = """CREATE TRIGGER held BEFORE INSERT ON debate_votes WHEN (SELECT replay_of FROM debates
    WHERE debate_id = NEW.debate_id) IS NOT NULL BEGIN SELECT RAISE(ABORT, 'held by the test'); END"""


def execute(system, statement):
    with sqlite3.connect(next(system.server.data.glob("*.db")), timeout=20) as db:
        db.execute(statement)


def test_a_replay_goes_on_after_a_kill_without_a_call(system):
    """It cannot get past its votes, where its runner is killed; another ends it."""
    found, events, attempts = run(system, agent("openai-api", "ok", "ann"), agent("ollama", "ok", "bob"),
                                  rounds=2)
    early = sum(a["step"].split("/")[1] not in ("vote", "judge", "synthesis") for a in attempts)
    done = ("SELECT s.step FROM job_steps s JOIN jobs j ON j.job_id = s.job_id JOIN debates d"
            " ON d.debate_id = j.subject_id WHERE d.replay_of = ? AND s.status = 'done' AND s.agent IS NOT NULL")
    before = len(system.models.calls)
    execute(system, HELD)
    command = subprocess.Popen([BIN / "aragora", "debate", "replay", found["id"]], text=True,
                               stdout=subprocess.PIPE,
                               env=api_fixtures.clean_environment(system.server.data))
    end = time.monotonic() + 30
    while len(system.rows(done, found["id"])) < early:
        assert time.monotonic() < end and command.poll() is None
        time.sleep(0.01)
    killed = runner(system)
    os.kill(killed, signal.SIGKILL)
    execute(system, "DROP TRIGGER held")
    output, _ = command.communicate(timeout=60)
    assert command.returncode == 0, output
    assert output.endswith("the same texts, the same verdict\n") and "0 calls, 0 micro-USD" in output
    assert runner(system) != killed and len(system.models.calls) == before
    made, = system.rows("SELECT fence FROM jobs WHERE subject_id = ?", output.split()[0])
    assert made["fence"] == 2  # claimed twice


# --- Forks ---------------------------------------------------------------------------------------

STEPS = ["0/proposal/bob", "1/start", "1/critique/ann/bob", "1/revision/ann", "2/critique/bob/ann",
         "2/convergence", "2/vote/ann", "3/judge/", "2/synthesis/ann"]


@pytest.fixture(scope="module")
def pair(system):
    return run(system, agent("openai-api", "ok", "ann"), agent("ollama", "ok", "bob"), rounds=2)


@pytest.mark.parametrize("step", STEPS)
def test_a_fork_calls_for_what_is_left(system, pair, step):
    found, events, attempts = pair
    names = [name for name, _, _ in steps(system, found["id"])]
    step = next(name for name in names if name.startswith(step))  # who judges is a matter of chance
    left = [name for name in names[names.index(step):] if name.count("/") > 1]
    before = len(system.models.calls)
    done = aragora(system, "fork", found["id"], "--at", step)
    assert done.returncode == 0, done.stderr
    fork = done.stdout.strip()
    again, journal = wait(system, fork)
    assert len(system.models.calls) - before == len(left)
    assert {e["task_id"].split(":")[1] for e in of(journal, "token_start")} == set(left)
    assert again["status"] == "completed" and again["final_answer"] == found["final_answer"]
    assert again["parent_debate_id"] == found["id"] and again["fork_step"] == step
    assert again["receipt_id"] != found["receipt_id"]
    assert texts(system, fork) == texts(system, found["id"])
    assert [e["seq"] for e in journal] == list(range(1, len(journal) + 1))


def test_a_fork_tells_its_premise_to_who_speaks_from_then_on(system, pair):
    before = len(system.models.calls)
    done = aragora(system, "fork", pair[0]["id"], "--at", "2/vote/ann", "--rounds", "4", "--premise",
                   "The date has moved to Monday")
    again, journal = wait(system, done.stdout.strip())
    assert again["context"] == "The date has moved to Monday"
    assert again["rounds_used"] == 3  # nothing new was said, so that the last was left out
    prompts = [call["user"] for call in system.models.calls[before:]]
    assert len(prompts) == 2 + 2 + 2 + 1 + 1  # critiques, revisions, votes, judge, synthesis
    assert all("The date has moved to Monday" in prompt for prompt in prompts)


@pytest.mark.parametrize("options, word", [
    (["--at", "7/vote/ann"], "debate steps"), ([], "--at"), (["--at", "2/start", "--rounds", "1"], "--rounds"),
    (["--at", "2/start", "--rounds", "many"], "--rounds")])
def test_a_fork_that_cannot_begin_says_what_is_wrong(system, pair, options, word):
    done = aragora(system, "fork", pair[0]["id"], *options)
    assert done.returncode in (1, 2) and not done.stdout and word in done.stderr


def test_a_fork_of_a_failed_agent_knows_its_failures(system, source):
    fork = aragora(system, "fork", source[0]["id"], "--at", "2/vote/ann").stdout.strip()
    _, journal = wait(system, fork)
    before, now = ({row["agent"]: json.loads(row["failures"]) for row in system.rows(
        "SELECT agent, failures FROM debate_agents WHERE debate_id = ?", one)} for one in (source[0]["id"], fork))
    assert now == before and any(now.values())
