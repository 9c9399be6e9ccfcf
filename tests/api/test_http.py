"""What holds for every route: paths, methods, bodies, credentials, headers."""

import os
import signal
import socket
import time

import pytest


def raw(server, text):
    """Bytes as they are, which an HTTP library would mend."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(text)
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = s.recv(65536)
            if not more:
                break
            answer += more
    return int(answer.split()[1])


def test_probes_answer_without_a_credential(anonymous):
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    assert anonymous.get("/livez").json() == {"status": "alive"}
    assert anonymous.get("/readyz").json()["status"] == "ready"
    assert anonymous.get("/api/health").json()["status"] == "healthy"


def test_every_answer_carries_security_trace_and_version_headers(anonymous):
    for path in ("/healthz", "/api/nope", "/api/v1/debates"):
        headers = anonymous.get(path).headers
        for name in ("x-frame-options", "x-content-type-options", "content-security-policy",
                     "x-request-id", "x-trace-id", "x-span-id", "x-api-version", "vary"):
            assert name in headers, (path, name)


def test_a_good_request_id_comes_back_and_a_bad_one_is_replaced(anonymous):
    assert anonymous.get("/healthz", headers={"X-Request-ID": "a.b:c-1"}).headers["x-request-id"] == "a.b:c-1"
    assert anonymous.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"].startswith("req-")


def test_head_is_get_without_the_body(anonymous):
    get, head = anonymous.get("/healthz"), anonymous.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_options_is_answered_for_any_path_with_cors_alone(anonymous):
    reply = anonymous.options("/api/whatever", headers={"Origin": "http://localhost:3000"})
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "x-frame-options" not in reply.headers


def test_a_foreign_origin_is_not_allowed(anonymous):
    reply = anonymous.get("/healthz", headers={"Origin": "http://localhost:3000.evil.example"})
    assert "access-control-allow-origin" not in reply.headers


def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow(anonymous):
    reply = anonymous.get("/api/v1/nope")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    reply = anonymous.put("/api/v1/debates")
    assert (reply.status_code, reply.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("path", [
    b"/api/../etc/passwd", b"/api/v1/debates/..", b"/api/v1/debates/a%2Fb", b"/api/v1/debates/a%2fb",
    b"/api/v1/debates/%00", b"/api/v1/debates/%ff", b"/api/v1/debates/%0d%0ax", b"/api/%2e%2e/x",
])
def test_a_path_that_hides_something_is_400(server, path):
    assert raw(server, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 400


def test_no_credential_and_a_bad_one_are_401(server, anonymous):
    reply = anonymous.get("/api/v1/debates")
    assert (reply.status_code, reply.json()["code"]) == (401, "auth_required")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    for token in ("ara_" + "x" * 43, "nonsense", "a.b.c", "server-token-of-the-test"):
        assert anonymous.get("/api/v1/debates", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    good = {"Authorization": "bearer server-token-of-the-tests"}
    assert anonymous.get("/api/v1/debates", headers=good).status_code == 200


JSON = {"Content-Type": "application/json"}
GOOD = b'{"task":"Ship on Friday?","agents":["demo","demo-x"],"rounds":1}'


@pytest.mark.parametrize("body, status, code, field", [
    (b"", 400, "MISSING_FIELD", "task"),
    (b"{", 400, "INVALID_JSON", "body"),
    (b"[]", 400, "INVALID_BODY_TYPE", "body"),
    (b"null", 400, "INVALID_BODY_TYPE", "body"),
    (b'{"task":"a","task":"b"}', 400, "INVALID_JSON", "body"),
    (b'{"task":"\xff"}', 400, "INVALID_JSON", "body"),
    (b'{"task":"a\\u0000b"}', 400, "INVALID_JSON", "body"),
    (b"[" * 50 + b"]" * 50, 400, "invalid_request_structure", "body"),
    (b"{}", 400, "MISSING_FIELD", "task"),
    (b'{"task":"   "}', 400, "INVALID_FIELD", "task"),
    (b'{"task":5}', 400, "INVALID_FIELD", "task"),
    (b'{"task":"' + b"x" * 10001 + b'"}', 400, "INVALID_FIELD", "task"),
    (b'{"task":"Ship?","rounds":0}', 400, "INVALID_FIELD", "rounds"),
    (b'{"task":"Ship?","rounds":21}', 400, "INVALID_FIELD", "rounds"),
    (b'{"task":"Ship?","rounds":"3"}', 400, "INVALID_FIELD", "rounds"),
    (b'{"task":"Ship?","rounds":1.5}', 400, "INVALID_FIELD", "rounds"),
    (b'{"task":"Ship?","consensus":"vibes"}', 400, "INVALID_FIELD", "consensus"),
    (b'{"task":"Ship?","agents":["demo"]}', 400, "VALIDATION_ERROR", "agents"),
    (b'{"task":"Ship?","agents":7}', 400, "INVALID_FIELD", "agents"),
    (b'{"task":"Ship?","agents":["demo",7]}', 400, "VALIDATION_ERROR", "agents"),
    (b'{"task":"Ship?","agents":["demo","openai-api"]}', 400, "VALIDATION_ERROR", "agents"),
    (b'{"task":"' + b"x" * 600000 + b'"}', 413, "PAYLOAD_TOO_LARGE", None),
])
def test_a_bad_debate_is_refused_by_name_and_changes_nothing(owner, body, status, code, field):
    before = owner.get("/api/v1/debates").json()["total"]
    reply = owner.post("/api/v1/debates", content=body, headers=JSON)
    assert (reply.status_code, reply.json()["code"], reply.json().get("field")) == (status, code, field)
    assert isinstance(reply.json()["error"], str)
    assert owner.get("/api/v1/debates").json()["total"] == before


def test_a_wrong_content_type_is_415(owner):
    for headers in ({"Content-Type": "text/plain"}, {}):
        assert owner.post("/api/v1/debates", content=GOOD, headers=headers).status_code == 415


def test_an_unknown_query_name_is_400_and_named(owner):
    reply = owner.get("/api/v1/debates", params={"limt": "5"})
    assert (reply.status_code, reply.json()["field"]) == (400, "limt")


def test_a_debate_is_stored_before_the_answer_and_found_by_all_its_paths(owner):
    made = owner.post("/api/v1/debates", content=GOOD, headers=JSON)
    assert made.status_code == 200 and made.json()["status"] == "created"
    assert made.headers["x-aragora-demo"] == "1"
    debate = made.json()["debate_id"]
    assert debate.startswith("adhoc_") and len(debate) == 38
    for prefix in ("/api", "/api/v1", "/api/v2", "/api/v9"):
        assert owner.get(f"{prefix}/debates/{debate}").json()["id"] == debate
    events = owner.get(f"/api/v1/debates/{debate}/events", params={"since": 1}).json()
    assert events["events"][0]["type"] == "debate_start"
    assert [e["seq"] for e in events["events"]] == list(range(1, len(events["events"]) + 1))


def test_an_unknown_debate_is_404_and_a_malformed_id_400(owner):
    for path in ("", "/messages", "/events"):
        reply = owner.get(f"/api/v1/debates/adhoc_none{path}")
        assert (reply.status_code, reply.json()["code"]) == (404, "DEBATE_NOT_FOUND")
    assert owner.post("/api/v1/debates/adhoc_none/cancel").status_code == 404
    reply = owner.get("/api/v1/debates/" + "x" * 129)
    assert (reply.status_code, reply.json()["field"]) == (400, "id")


def test_lists_are_cut_and_say_what_is_left(owner):
    for _ in range(3):
        owner.post("/api/v1/debates", content=GOOD, headers=JSON)
    page = owner.get("/api/debates", params={"limit": 2}).json()
    assert (page["count"], page["limit"], page["has_more"]) == (2, 2, True)
    assert owner.get("/api/debates", params={"limit": 1000}).json()["limit"] == 100


def test_the_document_lists_what_the_routes_answer(owner):
    document = owner.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))
    for path, item in document["paths"].items():
        if "get" not in item or "{" in path or path == "/metrics":  # which is no JSON
            continue
        reply = owner.get(path)
        assert str(reply.status_code) in item["get"]["responses"], path
        content = item["get"]["responses"]["200"]["content"]
        assert reply.headers["content-type"] in content, path
        if "application/json" not in content:
            continue
        schema = content["application/json"]["schema"]
        assert set(reply.json()) <= set(schema.get("properties", reply.json())), path


def test_a_killed_worker_is_replaced_and_requests_go_on(server, anonymous):
    workers = [pid for pid, line in server.children() if "aragora-fcgi" in line]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while time.monotonic() < until and anonymous.get("/readyz").status_code != 200:
        pass
    assert anonymous.get("/readyz").status_code == 200
    assert not set(workers) & {pid for pid, _ in server.children()}
