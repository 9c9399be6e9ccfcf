"""Debates that really run: to their end, and cancelled. Killed ones are in tests/faults."""

import time

import pytest
from conftest import Server

QUESTION = {"task": "Should we move billing to event sourcing?", "rounds": 2,
            "agents": ["demo", "demo-skeptic", "demo-optimist"]}
FINAL = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def slow():
    """Words come one by one, so that a signal finds a debate under way."""
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="5")
    with server.client(server.key()) as client:
        yield server, client
    assert server.stop() == 0


def wait(client, debate, until, seconds=60):
    """The debate once until(debate, events) holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = client.get(f"/api/v1/debates/{debate}").json()
        events = client.get(f"/api/v1/debates/{debate}/events", params={"limit": 500}).json()["events"]
        if until(found, events):
            return found, events
        time.sleep(0.02)
    raise AssertionError((found["status"], len(events)))


def ended(found, events):
    return found["status"] in FINAL


def start(client, **changes):
    return client.post("/api/v1/debates", json=QUESTION | changes).json()["debate_id"]


def check_stream(events):
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    types = [e["type"] for e in events]
    assert types[0] == "debate_start"
    # A receipt is the one thing that follows the end, where something was decided.
    assert types[-1] == "debate_end" or types[-2:] == ["debate_end", "receipt_generated"]
    assert types.count("debate_start") == types.count("debate_end") == 1
    for said in ("agent_message", "critique", "vote"):
        steps = [(e["task_id"], e["type"]) for e in events if e["type"] == said]
        assert len(steps) == len(set(steps)), said


def test_a_debate_runs_to_its_verdict(owner):
    debate = start(owner)
    found, events = wait(owner, debate, ended)
    assert found["status"] == "completed"
    assert found["final_answer"] and 0 <= found["confidence"] <= 1
    assert found["rounds_used"] == 2 and found["demo"] is True
    check_stream(events)
    types = [e["type"] for e in events]
    # three proposals, and in each round three agents on two others and three revisions
    assert types.count("critique") == 2 * 3 * 2 and types.count("vote") == 3
    assert types.index("consensus") < types.index("debate_end")
    messages = owner.get(f"/api/v1/debates/{debate}/messages", params={"limit": 200}).json()
    assert messages["total"] == 3 + 2 * (6 + 3) + 1 + 1
    assert debate in [d["id"] for d in owner.get("/api/debates", params={"status": "completed"}).json()["debates"]]


def test_an_agent_decides_where_nothing_else_is_asked_for(owner):
    found, events = wait(owner, start(owner, rounds=1), ended)
    assert found["consensus_mode"] == found["method"] == "judge"
    message, = [e for e in events if e["data"].get("role") == "judge"]
    assert found["metadata"] == {"judge": message["agent"]} and found["final_answer"] == message["data"]["content"]
    verdict, = [e for e in events if e["type"] == "consensus"]
    assert verdict["data"]["metadata"] == found["metadata"]
    for told in (verdict["data"], found):
        assert told["absent_agents"] == [] and told["agent_failures"] == {} and told["demo_agents"] == QUESTION["agents"]
    assert found["winner"] in {e["data"]["choice"] for e in events if e["type"] == "vote"}


def test_votes_decide_where_that_is_asked_for(owner):
    found, events = wait(owner, start(owner, rounds=1, consensus="majority"), ended)
    assert found["method"] == "majority" and found["metadata"] == {}
    assert "judge" not in {e["data"].get("role") for e in events}


@pytest.mark.parametrize("selection", ["voted", "elo_ranked", "calibrated", "crux_aware", ""])
def test_a_judge_is_not_chosen_by_what_is_not_there(owner, selection):
    reply = owner.post("/api/v1/debates", json=QUESTION | {"judge_selection": selection})
    assert reply.status_code == 400 and reply.json()["field"] == "judge_selection"


def test_a_cancelled_debate_keeps_what_it_has_and_ends_once(slow):
    _, client = slow
    debate = start(client)
    wait(client, debate, lambda found, events: any(e["type"] == "agent_message" for e in events))
    assert client.post(f"/api/v1/debates/{debate}/cancel").json()["status"] == "cancelled"
    found, events = wait(client, debate, ended)
    assert found["status"] == "cancelled"
    check_stream(events)
    assert events[-1]["data"]["status"] == "cancelled"
    assert client.get(f"/api/v1/debates/{debate}/messages").json()["total"] >= 1
    assert client.post(f"/api/v1/debates/{debate}/cancel").status_code == 400
    assert debate in [d["id"] for d in client.get("/api/debates", params={"status": "cancelled"}).json()["debates"]]
