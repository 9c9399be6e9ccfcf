"""GET /metrics and the state of the parts, through the running system."""

import asyncio
import json
import re
import sqlite3
import subprocess
import time

import pytest
import websockets
from conftest import Server

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?)")
SUFFIXES = {"counter": {""}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}}
TOKEN = "token-of-the-metrics"


def parse(text):
    """{(name, frozenset of label texts): value}; refuses what a strict reader would."""
    samples, seen, family, kind = {}, set(), None, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family, kind = re.fullmatch(rf"# HELP ({NAME}) .+", line)[1], None
            assert family not in seen, f"{family} comes twice"
            seen.add(family)
        elif line.startswith("# TYPE "):
            name, kind = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line).groups()
            assert name == family, line
        else:
            found = SAMPLE.fullmatch(line)
            assert found and kind, line
            name, labels, value = found.groups()
            assert name in {family + suffix for suffix in SUFFIXES[kind]}, line
            key = (name, frozenset(re.findall(LABEL, labels or "")))
            assert key not in samples, f"twice: {line}"
            samples[key] = float(value)
    return samples


def value(samples, name, **labels):
    return samples.get((name, frozenset(f'{k}="{v}"' for k, v in labels.items())), 0)


def scrape(client):
    return parse(client.get("/metrics").text)


@pytest.fixture(scope="module")
def strict():
    server = Server(ARAGORA_RATE_LIMIT_ADMIN="1", ARAGORA_BURST_MULTIPLIER="6",
                    ARAGORA_METRICS_TOKEN=TOKEN)
    yield server
    assert server.stop() == 0


def test_the_answer_has_the_type_that_prometheus_expects(anonymous):
    reply = anonymous.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert parse(reply.text)


@pytest.mark.parametrize("send, method, endpoint, status", [
    (lambda c: c.get("/healthz"), "GET", "/healthz", 200),
    (lambda c: c.head("/health"), "GET", "/healthz", 200),
    (lambda c: c.get("/api/v2/debates/adhoc_none"), "GET", "/api/v1/debates/{id}", 404),
    (lambda c: c.get("/api/debates/adhoc_nil"), "GET", "/api/v1/debates/{id}", 404),
    (lambda c: c.post("/api/v1/debates", json={}), "POST", "/api/v1/debates", 400),
    (lambda c: c.get("/api/v1/nope/x"), "GET", "other", 404),
    (lambda c: c.put("/api/v1/debates"), "PUT", "other", 405),
    (lambda c: c.options("/api/v1/debates"), "OTHER", "other", 200),
    (lambda c: c.request("PROPFIND", "/x"), "OTHER", "other", 501),
])
def test_each_answer_counts_once_whichever_worker_gave_it(owner, send, method, endpoint, status):
    labels = {"method": method, "endpoint": endpoint, "status": status}
    names = ["aragora_http_requests_total", "aragora_http_request_duration_seconds_count"]
    before = scrape(owner)
    for _ in range(12):
        assert send(owner).status_code == status
    after = scrape(owner)
    for name in names:
        assert value(after, name, **labels) - value(before, name, **labels) == 12
    latency = "aragora_http_request_latency_seconds_count"
    assert value(after, latency, endpoint=endpoint) - value(before, latency, endpoint=endpoint) == 12
    others = {k for k in after if k[0] == names[0] and after[k] != before.get(k, 0)}
    assert len(others) == 2  # and the scrape before


def test_no_path_of_a_client_becomes_a_label(owner):
    owner.get("/api/v1/debates/adhoc_secret")
    owner.get("/secret")
    assert "secret" not in owner.get("/metrics").text


def test_histograms_are_cumulative_and_end_in_their_count(owner):
    owner.get("/api/v1/debates")
    samples, series = scrape(owner), {}
    for (name, labels), count in samples.items():
        if name.endswith("_bucket"):
            bound = next(label for label in labels if label.startswith("le="))
            le = float(bound[4:-1].replace("+Inf", "inf"))
            series.setdefault((name[:-7], labels - {bound}), []).append((le, count))
    assert series
    for (name, labels), buckets in series.items():
        counts = [count for _, count in sorted(buckets)]
        assert counts == sorted(counts)
        assert sorted(buckets)[-1] == (float("inf"), samples[name + "_count", labels])
        assert samples[name + "_sum", labels] > 0


def test_refusals_by_a_rate_limit_are_counted(strict):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    hits = "aragora_rate_limit_hits_total"
    with strict.client() as prometheus, strict.client(strict.key()) as client:
        prometheus.headers.update(bearer)
        before = scrape(prometheus)
        statuses = [client.get("/api/v1/debates").status_code for _ in range(9)]
        after = scrape(prometheus)
    assert statuses == [200] * 6 + [429] * 3
    assert value(after, hits, limit_type="default") - value(before, hits, limit_type="default") == 3
    assert value(after, hits, limit_type="create") == 0
    assert value(after, "aragora_rate_limit_tokens_tracked") == 2  # the key's owner and the organisation


def test_where_a_token_is_set_it_is_asked_for(strict):
    with strict.client() as client:
        for sent in (None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN):
            reply = client.get("/metrics", headers={"Authorization": sent} if sent else {})
            assert reply.status_code == 401, sent
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert "aragora_" not in reply.text
        assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_state_of_each_part_is_told_and_a_lost_schema_degrades(strict):
    with strict.client() as client:
        good = client.get("/api/v2/health")
        assert good.status_code == 200
        body = good.json()
        assert re.fullmatch(r"(\d+d )?(\d+h )?(\d+m )?\d+s", body["uptime"])
        assert body["timestamp"].endswith("Z")
        assert body["version"]["api"] == "2.0.0" and body["version"]["server"].startswith("aragora/")
        assert (body["status"], body["environment"]) == ("healthy", "development")
        assert body["subsystems"] == {"storage": {"status": "healthy"},
                                      "shared_memory": {"status": "healthy"}}
        with sqlite3.connect(next(strict.data.glob("*.db"))) as database:
            lost = database.execute("SELECT * FROM schema_migrations ORDER BY version DESC").fetchone()
            database.execute("DELETE FROM schema_migrations WHERE version = ?", lost[:1])
        bad = client.get("/api/v2/health")
        with sqlite3.connect(next(strict.data.glob("*.db"))) as database:
            database.execute(f"INSERT INTO schema_migrations VALUES ({','.join('?' * len(lost))})", lost)
        assert (bad.status_code, bad.json()["status"]) == (200, "degraded")
        assert bad.json()["subsystems"]["storage"] == {"status": "unhealthy"}
        assert client.get("/api/v2/health").json()["status"] == "healthy"


# --- What the other parts count --------------------------------------------------------------------

def until(condition, what):
    end = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


def run_debate(client):
    made = client.post("/api/v1/debates", json={"task": "Ship on Friday?", "rounds": 1, "agents": ["demo", "demo-x"],
                                                "consensus": "majority"})
    path = f"/api/v1/debates/{made.json()['debate_id']}"
    until(lambda: client.get(path).json()["status"] == "completed", "the debate does not end")
    return path


def change(before, after, name, **labels):
    return value(after, name, **labels) - value(before, name, **labels)


def test_debates_and_calls_of_agents_are_counted(owner):
    before = scrape(owner)
    run_debate(owner)
    outcome = "consensus"
    after = until(lambda: change(before, now := scrape(owner), "aragora_debates_total", outcome=outcome) and now, "no debate")
    for name in ("aragora_debates_total", "aragora_debate_completion_duration_seconds_count", "aragora_debate_rounds_total_sum"):
        assert change(before, after, name, outcome=outcome) == 1, name
    calls = change(before, after, "aragora_agent_provider_calls_total", provider="demo", status="success", error_type="none")
    assert calls == change(before, after, "aragora_agent_provider_latency_seconds_count", provider="demo")
    assert calls == 2 + 2 + 2 + 2 + 1  # proposals, critiques, revisions, votes, the summary
    for phase in ("proposal", "critique", "revision", "vote", "synthesis"):
        assert change(before, after, "aragora_debate_phase_duration_seconds_count", phase=phase) == 1, phase
    reached = [key for key in after if key[0] == "aragora_consensus_reached_total" and after[key] - before.get(key, 0) == 1]
    assert len(reached) == 1 and 'domain="general"' in reached[0][1]
    until(lambda: value(scrape(owner), "aragora_active_debates") == 0, "it still counts as running")


def test_statements_of_sql_are_counted(owner):
    before = scrape(owner)
    for _ in range(5):
        owner.get("/api/v1/debates")
    after = scrape(owner)
    labels = {"operation": "select", "table": "debates"}
    assert change(before, after, "aragora_db_queries_total", **labels) >= 5
    assert change(before, after, "aragora_db_query_duration_seconds_count", **labels) == \
        change(before, after, "aragora_db_queries_total", **labels)


@pytest.fixture
def narrow():
    server = Server(ARAGORA_RATE_LIMIT_ADMIN="1", ARAGORA_BURST_MULTIPLIER="6")
    yield server
    assert server.stop() == 0


def test_refusals_decisions_and_version_1_are_counted(narrow):
    with narrow.client() as prometheus:
        before = scrape(prometheus)
        with narrow.client() as anonymous:
            assert anonymous.get("/api/v1/debates/x").status_code == 401
        with narrow.client(narrow.key()) as client:
            statuses = [client.get("/api/v1/debates/x").status_code for _ in range(8)]
        after = scrape(prometheus)
    endpoint = "/api/v1/debates/{id}"
    assert statuses == [404] * 6 + [429] * 2
    assert change(before, after, "aragora_auth_failures_total", reason="auth_required", endpoint=endpoint) == 1
    for decision, count in (("allowed", 7), ("rejected", 2)):
        assert change(before, after, "aragora_rate_limit_decisions_total", endpoint=endpoint, decision=decision) == count
    assert change(before, after, "aragora_v1_api_requests_total", endpoint=endpoint, method="GET") == 9
    assert change(before, after, "aragora_api_requests_total", endpoint=endpoint, method="GET", status="404") == 6
    assert change(before, after, "aragora_api_latency_seconds_count", endpoint=endpoint, method="GET") == 9


def test_stream_connections_and_messages_are_counted(server, owner):
    async def follow(path):
        async with websockets.connect(f"ws://127.0.0.1:{server.ws_port}/ws",
                                      extra_headers={"Authorization": "Bearer server-token-of-the-tests"}) as ws:
            await ws.send(json.dumps({"type": "subscribe", "debate_id": path.rsplit("/", 1)[1], "replay_from_seq": 0}))
            await ws.send(json.dumps({"type": "nonsense-" + "x" * 50}))
            while json.loads(await asyncio.wait_for(ws.recv(), 20))["type"] != "debate_end":
                pass
            until(lambda: value(scrape(owner), "aragora_websocket_connections_active") == 1, "not counted")

    path = run_debate(owner)
    before = scrape(owner)
    asyncio.run(follow(path))
    after = until(lambda: (now := scrape(owner)) and value(now, "aragora_websocket_connections_active") == 0 and now, "stays")
    name = "aragora_websocket_messages_total"
    assert change(before, after, name, direction="received", message_type="subscribe") == 1
    assert change(before, after, name, direction="received", message_type="other") == 1
    assert change(before, after, name, direction="sent", message_type="debate_end") == 1
    assert "nonsense" not in owner.get("/metrics").text


def test_promtool_finds_nothing_wrong(owner):
    run_debate(owner)
    checked = subprocess.run(["promtool", "check", "metrics"], input=owner.get("/metrics").text, capture_output=True, text=True)
    assert checked.returncode in (0, 3), checked.stderr  # 3: matters of taste alone, in names that are given
    faults = {line.split(" ", 1)[1] for line in checked.stderr.splitlines() if line}
    assert faults <= {'non-counter metrics should not have "_total" suffix'}, checked.stderr
