"""Debates of real models: what clients, texts and attempts say when a provider does as it should
not. Each fault is met on both interfaces."""

import json
import os
import signal
import time

import pytest
from conftest import System
from models import KEY, reply_to

FINAL = ("completed", "failed", "cancelled")
BOTH = pytest.mark.parametrize("provider", ["openai-api", "ollama"])


def agent(provider, model, name):
    return {"provider": provider, "model": model, "name": name}


def start(system, *agents, rounds=1, task="Should we move billing to event sourcing?", **more):
    reply = system.client.post("/api/v1/debates",
                               json={"task": task, "rounds": rounds, "agents": list(agents)} | more)
    assert reply.status_code == 200, reply.text
    return reply.json()["debate_id"]


def look(system, debate):
    found = system.client.get(f"/api/v1/debates/{debate}").json()
    events = system.client.get(f"/api/v1/debates/{debate}/events",
                               params={"limit": 500}).json()["events"]
    return found, events


def wait(system, debate, until=lambda found, events: found["status"] in FINAL, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, events = look(system, debate)
        if until(found, events):
            return found, events
        time.sleep(0.02)
    raise AssertionError((found, events[-3:]))


def run(system, *agents, **options):
    debate = start(system, *agents, **options)
    found, events = wait(system, debate)
    check_stream(events)
    attempts = system.rows("SELECT a.* FROM provider_attempts a JOIN jobs j ON j.job_id = a.job_id"
                           " WHERE j.subject_id = ? ORDER BY a.started_at", debate)
    assert all(a["ended_at"] and a["outcome"] != "in_flight" for a in attempts)
    return found, events, attempts


def check_stream(events):
    """Each call begins and ends once; deltas that do not count were called back."""
    types = [e["type"] for e in events]
    assert types.count("token_start") == types.count("token_end") + types.count("token_discard")
    assert types.count("debate_end") == 1


def of(events, kind, name=None):
    return [e for e in events if e["type"] == kind and (name is None or e["agent"] == name)]


def test_models_debate_to_a_verdict(system):
    found, events, attempts = run(system, agent("openai-api", "ok", "ann"),
                                  agent("openai-api", "bytes", "bob"), "ollama:ok")
    assert found["status"] == "completed" and found["demo"] is False
    assert "Ünïcode survives: 漢字 🎉." in found["final_answer"]
    assert not of(events, "agent_error")
    assert len(of(events, "critique")) == 6 and len(of(events, "vote")) == 3
    assert {e["data"]["severity"] for e in of(events, "critique")} == {4}
    assert {e["data"]["choice"] for e in of(events, "vote")} == {"ann"}
    assert {a["outcome"] for a in attempts} == {"used"}
    assert len(attempts) == 3 + 6 + 3 + 3 + 1 + 1
    for attempt in attempts:
        assert attempt["model_served"].endswith("-served")
        assert attempt["tokens_out"] == 20 and not attempt["estimated"]
        assert attempt["first_byte_at"] and len(attempt["request_digest"]) == 64
    costs = {a["model_asked"]: a["cost_micro_usd"] for a in attempts}
    assert costs["bytes"] is None  # its price is not known
    priced = [a for a in attempts if a["model_asked"] == "ok" and a["provider"] == "openai-api"]
    for attempt in priced:
        assert attempt["cost_micro_usd"] == attempt["tokens_in"] * 2 + 20 * 8
    local = [a for a in attempts if a["provider"] == "ollama"]
    assert local and all(a["cost_micro_usd"] == 0 for a in local)
    assert priced and found["total_cost_usd"] == pytest.approx(sum(a["cost_micro_usd"] for a in priced) / 1e6)
    assert found["total_tokens"] == sum(a["tokens_in"] + a["tokens_out"] for a in attempts)


def judged(system, *agents):
    """By the last agent, if that can; the roles say nothing else."""
    return run(system, *agents, consensus="judge", judge_selection="last")


def test_a_judge_reads_everything_and_answers_for_all(system):
    found, events, attempts = judged(system, agent("openai-api", "ok", "ann"),
                                     agent("ollama", "ok", "bob"), "demo")
    said, = [e for e in of(events, "agent_message") if e["data"]["role"] == "judge"]
    assert said["agent"] == "bob"  # a demo agent stands in for no real one
    assert said["round"] == 2 and said["data"]["confidence_score"] == 0.8
    assert found["final_answer"] == said["data"]["content"] == reply_to("You are the judge")
    assert found["consensus_reached"] and found["confidence"] == 0.8
    assert found["consensus_mode"] == found["method"] == "judge"
    assert found["metadata"] == {"judge": "bob"} and found["winner"] == "ann"  # as the votes say
    verdict = of(events, "consensus")[-1]["data"]
    assert verdict["method"] == "judge" and verdict["metadata"] == {"judge": "bob"}
    *_, asked = [c["user"] for c in system.models.calls_of("ok") if "You are the judge" in c["user"]]
    for proposal in [e for e in of(events, "agent_message") if e["round"] == 1]:
        if proposal["data"]["role"] == "proposer":
            assert proposal["data"]["content"] in asked
    assert "critique of ann by bob" in asked and '"soon" is no date' in asked
    assert [a["outcome"] for a in attempts if a["step"] == "2/judge/bob"] == ["used"]


def test_a_judge_that_fails_is_followed_by_the_next(system):
    found, events, attempts = judged(system, agent("openai-api", "ok", "ann"),
                                     agent("openai-api", "no_judge", "bob"))
    failed, = of(events, "agent_error", "bob")
    assert failed["data"]["phase"] == "judge"
    assert found["metadata"] == {"judge": "ann"} and found["method"] == "judge"
    assert found["final_answer"] == reply_to("You are the judge")
    steps = [(a["step"], a["outcome"]) for a in attempts if "judge" in a["step"]]
    assert steps == [("2/judge/bob", "failed")] * 3 + [("2/judge/ann", "used")]


def test_without_a_judge_the_votes_decide(system):
    found, events, _ = judged(system, agent("openai-api", "no_judge", "ann"),
                              agent("ollama", "no_judge", "bob"))
    assert [e["agent"] for e in of(events, "agent_error")] == ["bob", "ann"]
    assert found["consensus_mode"] == "judge" and found["method"] == "majority"
    assert found["metadata"] == {} and found["winner"] == "ann"
    assert found["final_answer"] == reply_to("")


def test_replies_are_stored_sealed(system):
    _, _, attempts = run(system, agent("openai-api", "ok", "ann"), agent("ollama", "ok", "bob"))
    assert all(a["reply"] and b"measure" not in a["reply"] for a in attempts)


# model, error_type, attempts of its proposal, their outcome
FAULTS = [
    ("failing", "network", 3, "failed"),
    ("missing", "model", 1, "failed"),
    ("error_whole", "validation", 1, "failed"),
    ("error_inside", None, 1, "failed"),
    ("cut", "network", 2, "failed"),
    ("no_end", "protocol", 2, "failed"),
    ("empty", "empty", 2, "failed"),
    ("long", "truncated", 1, "failed"),
    ("garbled", "protocol", 2, "failed"),
    ("hanging", "timeout", 1, "failed"),
    ("stalling", "timeout", 1, "failed"),
]


@BOTH
@pytest.mark.parametrize("model,error,tries,outcome", FAULTS)
def test_a_failing_agent_is_absent_and_the_debate_goes_on(system, provider, model, error, tries,
                                                          outcome):
    before = len(system.models.calls_of(model))
    found, events, attempts = run(system, agent("openai-api", "ok", "ann"), agent("demo", "", "bob"),
                                  agent(provider, model, "bad"))
    assert found["status"] == "completed" and found["final_answer"]
    errors = of(events, "agent_error", "bad")
    assert errors and all(e["data"]["message"] and e["data"]["recoverable"] for e in errors)
    if error:
        assert {e["data"]["error_type"] for e in errors} == {error}
    assert not of(events, "agent_message", "bad") and not of(events, "vote", "bad")
    mine = [a for a in attempts if a["model_asked"] == model]
    assert {a["outcome"] for a in mine} == {outcome} and all(a["error"] for a in mine)
    assert len([a for a in mine if a["step"] == "0/proposal/bad"]) == tries
    assert len(system.models.calls_of(model)) - before == len(mine)
    texts = system.rows("SELECT content FROM debate_messages WHERE agent = 'bad'"
                        " AND debate_id = ?", found["id"])
    assert texts == []
    failures = system.rows("SELECT failures FROM debate_agents WHERE debate_id = ? AND agent = 'bad'",
                           found["id"])
    assert '"phase":"proposal"' in failures[0]["failures"]
    check_absence(system, found, events, error)


def check_absence(system, found, events, error):
    """All who look at the verdict see that one agent was not there, and one was simulated."""
    verdict = of(events, "consensus")[-1]["data"]
    for told in (verdict, found):
        assert told["demo_agents"] == ["bob"]
        absent, = told["absent_agents"]
        assert absent["agent"] == "bad" and absent["message"] and absent["provider"]
        assert absent["error_type"] == error or not error
        assert told["agent_failures"].keys() == {"bad"}
        assert absent["phase"] == told["agent_failures"]["bad"][-1]["phase"]
        assert told["agent_failures"]["bad"][0].keys() == {"phase", "error_type", "message", "provider", "timestamp"}
    native, = system.rows("SELECT native, odr, odr_v01 FROM receipts WHERE subject_id = ?", found["id"])
    signed, = json.loads(native["native"])["absent"]
    assert signed == {"agent": "bad", "phase": absent["phase"], "reason": absent["error_type"]}
    assert absent["message"] not in native["native"]
    said = f"bad was absent ({signed['phase']}: {signed['reason']})."
    for form in ("odr", "odr_v01"):
        assert json.loads(native[form])["quorum"]["independence"]["note"] == said
    observed, = json.loads(native["odr"])["reasoning"]["observations"]
    assert observed["kind"] == ("timeout" if signed["reason"] == "timeout" else "failure")
    assert observed["detail"] == said


def test_each_message_says_whether_it_was_simulated(system):
    found, events, _ = run(system, agent("openai-api", "ok", "ann"), agent("demo", "", "bob"))
    assert found["demo"] is False and found["demo_agents"] == ["bob"] and found["absent_agents"] == []
    told = of(events, "agent_message") + of(events, "critique") + of(events, "vote")
    assert {e["agent"] for e in told} == {"ann", "bob"}
    assert all(e["data"]["demo"] is (e["agent"] == "bob") for e in told)
    messages = system.client.get(f"/api/v1/debates/{found['id']}/messages").json()["messages"]
    assert all(m["demo"] is (m["agent"] == "bob") for m in messages) and messages


def test_a_refusal_is_marked_as_one(system):
    _, events, attempts = run(system, agent("openai-api", "ok", "ann"), "demo",
                              agent("openai-api", "refusing", "bad"))
    mine = [a for a in attempts if a["model_asked"] == "refusing"]
    assert {a["outcome"] for a in mine} == {"refused"}
    assert {e["data"]["error_type"] for e in of(events, "agent_error")} == {"content_policy"}


@pytest.mark.parametrize("model,seconds", [("limited", 1), ("limited_by_date", 1)])
def test_what_the_server_asks_to_wait_is_waited(system, model, seconds):
    _, events, attempts = run(system, agent("openai-api", model, "ann"), "demo")
    first, second = system.models.calls_of(model)[:2]
    assert second["at"] - first["at"] >= seconds
    assert not of(events, "agent_error")
    assert [a["outcome"] for a in attempts if a["step"] == "0/proposal/ann"] == ["failed", "used"]
    assert attempts[0]["cost_micro_usd"] == 0


def test_a_wait_that_a_provider_asks_for_is_kept_by_all_debates(system):
    before = len(system.models.calls_of("limited_again"))
    first = start(system, agent("openai-api", "limited_again", "ann"), "demo")
    wait(system, first, lambda found, events: len(of(events, "token_discard", "ann")) == 1)
    limited = system.models.calls_of("limited_again")[before]
    other = start(system, agent("openai-api", "unhurried", "bob"), "demo")
    wait(system, other)
    assert system.models.calls_of("unhurried")[0]["at"] - limited["at"] >= 1
    wait(system, first)


def test_an_agent_that_fails_three_times_in_a_row_is_asked_no_more(system):
    before = len(system.models.calls_of("missing"))
    found, events, _ = run(system, agent("openai-api", "ok", "ann"), "demo",
                           agent("openai-api", "missing", "bad"), rounds=3)
    assert found["status"] == "completed"
    assert len(of(events, "agent_error", "bad")) == 3
    assert len(system.models.calls_of("missing")) - before == 3


def test_text_of_one_attempt_only_is_kept(system):
    found, events, attempts = run(system, agent("openai-api", "cut_once", "ann"), "demo")
    assert [a["outcome"] for a in attempts if a["step"] == "0/proposal/ann"] == ["failed", "used"]
    mine = [e for e in events if e.get("task_id") == "ann:0/proposal/ann"]
    assert [e["type"] for e in mine] == ["token_start", "token_discard", "token_start", "token_end",
                                         "agent_message"]
    assert mine[0]["data"]["attempt_id"] == mine[1]["data"]["attempt_id"]
    assert mine[2]["data"]["attempt_id"] != mine[0]["data"]["attempt_id"]
    assert "mid-" not in mine[-1]["data"]["content"]


@pytest.mark.parametrize("model", ["odd", "thinker"])
def test_a_parameter_that_is_refused_is_left_out_once(system, model):
    _, events, attempts = run(system, agent("openai-api", model, "ann"), "demo")
    assert not of(events, "agent_error")
    proposals = [a for a in attempts if a["step"] == "0/proposal/ann"]
    assert [a["outcome"] for a in proposals] == ["used"]
    assert len(system.models.calls_of(model)) == 2 * len(attempts)


def test_one_proposal_is_no_debate(system):
    found, events, _ = run(system, agent("openai-api", "ok", "ann"),
                           agent("openai-api", "missing", "bad"))
    assert found["status"] == "completed" and found["consensus_reached"] is False
    assert "measure" in found["final_answer"]
    verdict = of(events, "consensus")[-1]["data"]
    assert verdict["status"] == "insufficient_participation"
    assert not of(events, "critique")


def test_no_proposal_is_an_error_that_says_why(system):
    found, events, _ = run(system, agent("openai-api", "missing", "ann"),
                           agent("openai-api", "missing", "bob"))
    assert found["status"] == "failed" and "not found" in found["error"]


def test_the_key_appears_nowhere(system):
    found, events, _ = run(system, agent("openai-api", "ok", "ann"), "demo",
                           agent("openai-api", "leaky", "bad"))
    assert of(events, "agent_error")[0]["data"]["error_type"] == "auth"
    assert KEY not in str(events) and KEY not in str(found)
    assert b"debate claimed" in system.log_text() and KEY.encode() not in system.log_text()
    for file in system.server.data.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file


@BOTH
@pytest.mark.parametrize("model", ["hanging", "stalling"])
def test_a_cancel_closes_the_connection_within_a_second(provider, model):
    system = System(ARAGORA_FIRST_BYTE_TIMEOUT="60", ARAGORA_STREAM_CHUNK_TIMEOUT="60")
    debate = start(system, agent(provider, model, "ann"), "demo")
    end = time.monotonic() + 10
    while not system.models.calls_of(model) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)  # its text, if any, has arrived
    call = system.models.calls_of(model)[0]
    cancelled = time.monotonic()
    assert system.client.post(f"/api/v1/debates/{debate}/cancel").status_code == 200
    found, events = wait(system, debate)
    while not call["closed"] and time.monotonic() < cancelled + 5:
        time.sleep(0.01)
    assert call["closed"] and call["closed"] - cancelled < 1
    assert found["status"] == "cancelled"
    attempt, = system.rows("SELECT * FROM provider_attempts")
    assert attempt["outcome"] == "discarded" and attempt["estimated"]
    partial = system.rows("SELECT content FROM debate_messages WHERE agent = 'ann' AND is_partial = 1")
    assert [p["content"] for p in partial] == ([] if model == "hanging" else ["We should "])
    assert system.stop() == 0


def test_a_kill_repeats_only_the_calls_in_flight():
    system = System(ARAGORA_FIRST_BYTE_TIMEOUT="60", ARAGORA_STREAM_CHUNK_TIMEOUT="60")
    debate = start(system, agent("openai-api", "slow", "ann"), agent("ollama", "slow", "bob"))
    wait(system, debate, lambda found, events: len(of(events, "critique")) >= 1 or found["status"] in FINAL)
    time.sleep(0.2)
    for pid, line in system.server.children():
        if "aragora-debated" in line:
            os.kill(pid, signal.SIGKILL)
    found, events = wait(system, debate)
    assert found["status"] == "completed"
    check_stream(events)
    attempts = system.rows("SELECT * FROM provider_attempts")
    lost = [a for a in attempts if a["outcome"] == "lost"]
    used = [a for a in attempts if a["outcome"] == "used"]
    assert 1 <= len(lost) <= 2 and len(used) == 2 + 2 + 2 + 2 + 1 + 1
    assert len(attempts) == len(lost) + len(used)
    assert len(system.models.calls) == len(attempts)
    for attempt in lost:
        assert attempt["estimated"] and attempt["cost_micro_usd"] == attempt["reserved_micro_usd"]
        assert attempt["tokens_out"] == 4096 and attempt["ended_at"]
    assert system.stop() == 0
