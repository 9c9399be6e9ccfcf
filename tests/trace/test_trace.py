"""The trace of a debate as a collector gets it: from the request over the job to each call of a
provider and the streams, joined whoever runs it, and without secrets."""

import asyncio
import collections
import json
import os
import secrets
import signal
import time

import websockets
from conftest import Traced
from models import KEY

TASK = "Should we move billing to event sourcing? canary-of-the-task"
SERVER, CLIENT, CONSUMER = 2, 3, 5


def ids():
    return secrets.token_hex(16), secrets.token_hex(8)


def debate(system, *agents, flags="01", trace=None, **headers):
    """The reply to its creation, the trace, and the span that it claims to come from."""
    trace, parent = trace or ids()
    reply = system.client.post("/api/v1/debates", json={"task": TASK, "rounds": 1, "agents": list(agents)},
                               headers={"traceparent": f"00-{trace}-{parent}-{flags}"} | headers)
    assert reply.status_code == 200, reply.text
    return reply, trace, parent


def agent(provider, model, name):
    return {"provider": provider, "model": model, "name": name}


def of(spans, trace):
    return [span for span in spans if span["traceId"] == trace]


def named(spans, start):
    return [span for span in spans if span["name"].startswith(start)]


def jobs(spans, trace):
    return named(of(spans, trace), "job debate")


def whole(system, trace, count=1):
    """All spans of the trace, once that many of its jobs have ended and the rest has had a turn to come."""
    def ended(spans):
        return len(jobs(spans, trace)) >= count and named(of(spans, trace), "POST ") and of(spans, trace)
    return system.collector.wait(ended, 60)


def service(span):
    return span["resource"]["service.name"]


def test_a_debate_is_one_trace_from_the_request_to_every_call(traced):
    reply, trace, parent = debate(traced, agent("openai-api", "ok", "ann"), agent("ollama", "ok", "bob"),
                                  tracestate="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    spans = whole(traced, trace)
    by_id = {span["spanId"]: span for span in spans}
    assert len(by_id) == len(spans)
    assert [s["name"] for s in spans if s.get("parentSpanId") not in by_id] == ["POST /api/v1/debates"]

    (request,) = named(spans, "POST ")
    assert request["parentSpanId"] == parent and request["kind"] == SERVER
    assert request["traceState"] == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    assert reply.headers["X-Trace-ID"] == trace and reply.headers["X-Span-ID"] == request["spanId"]
    assert reply.headers["X-Parent-Span-ID"] == parent
    assert service(request) == "aragora-fcgi" and request["attributes"]["service"] == "aragora-api"
    assert request["attributes"]["http.status_code"] == 200
    assert request["attributes"]["http.path"] == "/api/v1/debates"

    (handler,) = named(spans, "handler.debates.")
    assert handler["parentSpanId"] == request["spanId"]
    inserts = [s for s in spans if s["name"] == "INSERT debates"]
    assert [s["parentSpanId"] for s in inserts] == [handler["spanId"]]
    assert inserts[0]["kind"] == CLIENT and inserts[0]["attributes"]["db.system.name"] == "sqlite"

    (job,) = jobs(spans, trace)
    assert job["parentSpanId"] == request["spanId"] and job["kind"] == CONSUMER
    assert service(job) == "aragora-debated" and job.get("status", {}) == {}
    assert job["attributes"]["debate.id"] == reply.json()["debate_id"]
    phases = named(spans, "phase ")
    assert collections.Counter(p["name"] for p in phases) == {
        f"phase {p}": 1 for p in ("proposal", "critique", "revision", "vote", "judge", "synthesis")}
    assert {p["parentSpanId"] for p in phases} == {job["spanId"]}
    assert job["startTimeUnixNano"] <= min(p["startTimeUnixNano"] for p in phases)
    assert job["endTimeUnixNano"] >= max(p["endTimeUnixNano"] for p in phases)
    check_calls(traced, reply.json()["debate_id"], spans, phases, trace)


def check_calls(traced, debate_id, spans, phases, trace):
    """One span for each attempt that is stored, and what it was sent with."""
    calls = named(spans, "chat ok")
    attempts = traced.rows("SELECT a.* FROM provider_attempts a JOIN jobs j ON j.job_id = a.job_id"
                           " WHERE j.subject_id = ?", debate_id)
    assert len(calls) == len(attempts) == 2 + 2 + 2 + 2 + 1 + 1
    assert {c["kind"] for c in calls} == {CLIENT} and {c["parentSpanId"] for c in calls} <= {p["spanId"] for p in phases}
    assert (sorted((c["attributes"]["gen_ai.usage.input_tokens"], c["attributes"]["gen_ai.usage.output_tokens"])
                   for c in calls) == sorted((a["tokens_in"], a["tokens_out"]) for a in attempts))
    for call in calls:
        found = call["attributes"]
        assert found["gen_ai.operation.name"] == "chat" and found["gen_ai.request.model"] == "ok"
        assert found["gen_ai.response.model"] == "ok-served"
        assert found["gen_ai.system"] == {"ann": "openai", "bob": "ollama"}[found["agent.name"]]
        assert found["debate.id"] == debate_id and found["debate.round_number"] in (0, 1, 2)  # the judge speaks after the last
    with traced.models.lock:
        sent = [c["headers"].get("traceparent") for c in traced.models.calls]
    assert {f"00-{trace}-{c['spanId']}-01" for c in calls} <= set(sent)


def test_an_unsampled_parent_is_obeyed_and_passed_on(traced):
    _, unsampled, _ = debate(traced, agent("openai-api", "ok", "ann"), agent("openai-api", "ok", "bob"), flags="00")

    def told():
        with traced.models.lock:
            return [c["headers"]["traceparent"] for c in traced.models.calls if unsampled in c["headers"]["traceparent"]]
    end = time.monotonic() + 20
    while len(told()) < 10 and time.monotonic() < end:
        time.sleep(0.02)
    assert len(told()) == 10 and {t[-3:] for t in told()} == {"-00"}
    _, sampled, _ = debate(traced, "demo", "demo-skeptic")
    spans = whole(traced, sampled)
    assert named(spans, "chat") and not of(spans, unsampled)
    assert not traced.collector.found(trace_id=unsampled)


def test_ids_that_are_no_trace_context_find_their_trace(traced):
    traced.client.get("/api/v1/debates", headers={"X-Trace-ID": "my.trace:1", "X-Parent-Span-ID": "b7"})
    traced.client.get("/api/v1/debates", headers={"X-Trace-ID": "my.trace:1"})
    found = traced.collector.wait(lambda spans: (f := [
        s for s in spans if s["attributes"].get("aragora.trace_id") == "my.trace:1"]) and len(f) == 2 and f)
    assert len({s["traceId"] for s in found}) == 1
    assert sorted(s.get("parentSpanId", "") for s in found) == ["", "00000000000000b7"]


def test_a_parent_of_another_trace_is_none(traced):
    (trace, parent), other = ids(), secrets.token_hex(16)
    reply = traced.client.get("/api/v1/debates", headers={"traceparent": f"00-{trace}-{parent}-01",
                                                          "X-Trace-ID": other})
    assert reply.headers["X-Trace-ID"] == other and "X-Parent-Span-ID" not in reply.headers
    (span,) = traced.collector.wait(lambda spans: named(of(spans, other), "GET "))
    assert "parentSpanId" not in span


def test_requests_that_fail_say_so_and_probes_say_nothing(traced):
    (wrong, parent), (probe, _) = ids(), ids()
    traced.client.get("/healthz", headers={"traceparent": f"00-{probe}-{parent}-01"})
    traced.client.get("/readyz", headers={"traceparent": f"00-{probe}-{parent}-01"})
    traced.client.get("/api/v1/debates/adhoc_none", headers={"traceparent": f"00-{wrong}-{parent}-01"})
    (span,) = traced.collector.wait(lambda spans: named(of(spans, wrong), "GET "))
    assert span["name"] == "GET /api/v1/debates/{id}"
    assert span["attributes"]["http.path"] == "/api/v1/debates/adhoc_none"
    assert span["status"] == {"code": 2, "message": "HTTP 404"}
    assert not traced.collector.found(trace_id=probe)


def test_each_try_of_a_call_is_a_span_with_its_fault(traced):
    _, trace, _ = debate(traced, agent("openai-api", "failing", "ann"), agent("ollama", "cut", "bob"),
                         agent("openai-api", "ok", "eve"))
    spans = whole(traced, trace)
    tries = [s for s in named(spans, "chat failing") if s["attributes"]["debate.phase"] == "proposal"]
    assert sorted(s["attributes"]["aragora.attempt"] for s in tries) == [1, 2, 3]
    for span in tries + named(spans, "chat cut"):
        assert span["status"] == {"code": 2, "message": "network"} and span["attributes"]["error.type"] == "network"


def test_no_secret_and_no_text_is_in_any_span(traced):
    _, trace, _ = debate(traced, agent("openai-api", "leaky", "ann"), agent("openai-api", "ok", "bob"),
                         agent("ollama", "ok", "eve"))
    key = traced.client.headers["Authorization"].split()[1]
    (read, parent) = ids()
    with traced.server.client() as client:
        client.get("/api/v1/debates", params={"token": key}, headers={"traceparent": f"00-{read}-{parent}-01"})
        client.get(f"/api/v1/debates/{key}", headers={"traceparent": f"00-{read}-{parent}-01", "User-Agent": f"x {key}"})
    whole(traced, trace)
    traced.collector.wait(lambda spans: len(named(of(spans, read), "GET ")) == 2)
    text = traced.collector.text().decode()
    assert trace in text and read in text
    for secret in (KEY, key, key[4:24], "canary-of-the-task", "Ünïcode survives", "A plan needs a day", "Incorrect API"):
        assert secret not in text


def test_streams_are_joined_and_replayed_in_their_traces(traced):
    reply, _, _ = debate(traced, "demo", "demo-skeptic")
    trace, parent = ids()
    key = traced.client.headers["Authorization"]

    async def follow():
        async with websockets.connect(f"ws://127.0.0.1:{traced.server.ws_port}/ws", extra_headers={
                "Authorization": key, "traceparent": f"00-{trace}-{parent}-01"}) as socket:
            await socket.send(json.dumps({"type": "subscribe", "debate_id": reply.json()["debate_id"],
                                          "replay_from_seq": 0}))
            while json.loads(await asyncio.wait_for(socket.recv(), 20))["type"] != "replay_end":
                pass
    asyncio.run(follow())
    (replay,) = traced.collector.wait(lambda spans: named(of(spans, trace), "stream replay"))
    spans = of(traced.collector.wait(lambda spans: named(of(spans, trace), "stream join") and spans), trace)
    (join,) = named(spans, "stream join")
    assert join["parentSpanId"] == parent and join["kind"] == SERVER and service(join) == "aragora-streamd"
    assert replay["parentSpanId"] == join["spanId"]
    assert replay["attributes"]["debate.id"] == reply.json()["debate_id"]
    assert replay["attributes"]["aragora.replay.events"] >= 1
    reads = [s for s in spans if s["kind"] == CLIENT]
    assert {s["parentSpanId"] for s in reads} == {join["spanId"], replay["spanId"]}


def test_a_debate_whose_runner_was_killed_stays_in_its_trace():
    system = Traced(ARAGORA_STREAM_CHUNK_TIMEOUT="5", ARAGORA_FIRST_BYTE_TIMEOUT="5")
    try:
        _, trace, _ = debate(system, agent("openai-api", "slow", "ann"), agent("ollama", "slow", "bob"))
        system.collector.wait(lambda spans: named(of(spans, trace), "phase proposal"))
        (pid,) = [pid for pid, line in system.server.children() if "aragora-debated" in line]
        os.kill(pid, signal.SIGKILL)
        spans = whole(system, trace)
        (request,) = named(spans, "POST ")
        (job,) = jobs(spans, trace)
        assert job["parentSpanId"] == request["spanId"] and job["attributes"]["aragora.job.losses"] == 1
        assert {"phase vote", "phase synthesis"} <= {s["name"] for s in spans if s["parentSpanId"] == job["spanId"]}
        known = {s["spanId"] for s in spans} | {request["parentSpanId"]}
        orphans = [s for s in spans if s["parentSpanId"] not in known]  # of the one that was killed
        assert {s["resource"]["process.pid"] for s in orphans} == {pid}
        assert job["resource"]["process.pid"] != pid
    finally:
        assert system.stop() == 0
