"""GET /metrics and the state of the parts, through the running system."""

import re
import sqlite3

import pytest
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
