"""The rules that every route keeps without doing anything for them, row by row of the API's own document."""

import json
import re
import socket

import pytest
from cgi_request import ask, data  # noqa: F401 - a fixture
from conftest import Server

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TOKEN = "server-token-of-the-tests"
SUNSET = ("x-api-deprecated", "x-api-sunset", "sunset", "deprecation", "x-deprecation-level", "link")


def filled(path):
    """A concrete path, whose ids nobody has."""
    return re.sub(r"\{[^}]*\}", "nobody-has-this", path)


@pytest.fixture(scope="module")
def rows(anonymous):
    """path: methods, of every operation that the server knows."""
    document = anonymous.get("/api/openapi.json").json()
    return {filled(path): {m.upper() for m in item if m.upper() in METHODS}
            for path, item in document["paths"].items()}


def allowed(reply):
    return set(reply.headers["allow"].split(", "))


@pytest.fixture(scope="module")
def document(anonymous):
    return anonymous.get("/api/openapi.json").json()


def operations(document, *methods):
    """Method, concrete path, operation."""
    return [(m.upper(), filled(path), op) for path, item in document["paths"].items()
            for m, op in item.items() if m.upper() in methods]


# --- Paths, versions, methods (http.md 2, 12) ---------------------------------------------------


def test_every_path_tells_its_methods_and_refuses_the_others(rows, anonymous):
    for path, methods in rows.items():
        reply = anonymous.options(path)
        assert (reply.status_code, reply.content) == (200, b""), path
        expected = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        assert allowed(reply) >= expected, path
        assert reply.headers["allow"] == ", ".join(sorted(allowed(reply))), path
        for method in set(METHODS) - allowed(reply):
            refused = anonymous.request(method, path)
            assert (refused.status_code, refused.json()["code"]) in (
                (405, "METHOD_NOT_ALLOWED"), (405, "method_not_allowed")), (method, path)
            assert allowed(refused) == allowed(reply), (method, path)


def test_options_of_what_is_not_there_is_answered_too(anonymous):
    for path, methods in {"/api/v1/nope": "OPTIONS", "/api": "OPTIONS", "/index.html": "GET, HEAD, OPTIONS",
                          "/apix": "GET, HEAD, OPTIONS"}.items():
        reply = anonymous.options(path)
        assert (reply.status_code, reply.content, reply.headers["allow"]) == (200, b"", methods), path


def test_head_of_every_get_is_its_head(rows, owner):
    for path, methods in rows.items():
        if "GET" in methods:
            get, head = owner.get(path), owner.head(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert head.headers.get("content-type") == get.headers.get("content-type"), path
            assert "content-length" in head.headers, path


def test_every_version_of_a_path_leads_to_a_row(rows, owner):
    """A path with two rows has one for each version; every other is the same in all."""
    for path, methods in rows.items():
        rest = re.sub(r"^/api(/v[0-9]+)?/", "", path)
        if "GET" not in methods or rest == path:
            continue
        answers = {owner.get(f"/api/{version}{rest}").status_code for version in ("", "v1/", "v2/", "v9/")}
        assert answers == {owner.get(path).status_code}, path


@pytest.mark.parametrize("path, headers, version, legacy", [
    ("/api/v1/health", {}, "v1", False),
    ("/api/v2/health", {}, "v2", False),
    ("/api/v9/health", {}, "v2", False),
    ("/api/health", {}, "v1", True),
    ("/api/health", {"X-API-Version": "2"}, "v2", False),
    ("/api/health", {"X-API-Version": "v2"}, "v2", False),
    ("/api/health", {"X-API-Version": "1.0"}, "v1", False),
    ("/api/health", {"X-API-Version": "7"}, "v1", True),
    ("/api/health", {"Accept": "application/vnd.aragora.v2+json"}, "v2", False),
    ("/api/health", {"Accept": "application/vnd.aragora.v3+json"}, "v1", True),
    ("/api/v1/health", {"X-API-Version": "2"}, "v1", False),  # the path wins
    ("/api/v2/nope", {}, "v2", False),
    ("/api/nope", {}, "v1", True),
    ("/healthz", {}, "v2", False),
])
def test_the_version_is_told_and_the_end_of_the_first(anonymous, path, headers, version, legacy):
    got = anonymous.get(path, headers=headers).headers
    assert (got["x-api-version"], got["x-api-supported-versions"]) == (version, "v1,v2")
    assert got["x-api-release"] == anonymous.get("/api/v1/health").json()["version"]
    assert ("x-api-legacy" in got, "x-api-migration" in got) == (legacy, legacy)
    if version == "v2":
        assert not set(SUNSET) & set(got)
        return
    assert (got["x-api-sunset"], got["sunset"]) == ("2026-06-01", "Mon, 01 Jun 2026 00:00:00 GMT")
    assert (got["deprecation"], got["x-api-deprecated"]) == ("true", "true")
    rest = path.removeprefix("/api").removeprefix("/v1")
    assert got["link"] == f'</api/v2{rest}>; rel="successor-version"'


def test_a_version_in_a_header_chooses_the_row(anonymous):
    assert "subsystems" not in anonymous.get("/api/health").json()
    assert "subsystems" in anonymous.get("/api/health", headers={"X-API-Version": "2"}).json()


def test_the_successor_of_every_path_of_the_first_version_is_there(rows, owner):
    seen = 0
    for path, methods in rows.items():
        if "GET" not in methods or not (reply := owner.get(path)).headers.get("link"):
            continue
        target = re.fullmatch(r'<([^>]+)>; rel="successor-version"', reply.headers["link"])[1]
        assert owner.get(target).status_code == reply.status_code, path
        assert "link" not in owner.get(target).headers
        seen += 1
    assert seen > 3


def test_links_stand_under_the_public_address(data):  # noqa: F811
    _, headers, _ = ask(data, "GET", "/api/v1/ä>", ARAGORA_PUBLIC_URL="https://x.example/aragora/")
    assert headers["link"] == '<https://x.example/aragora/api/v2/%C3%A4%3E>; rel="successor-version"'


def test_settings_leave_out_what_tells_of_the_end_and_end_it(data):  # noqa: F811
    quiet = ask(data, "GET", "/api/v1/openapi.json", ARAGORA_DISABLE_V1_DEPRECATION="true")
    assert quiet[0] == 200 and quiet[1]["x-api-version"] == "v1" and not set(SUNSET) & {k.lower() for k in quiet[1]}
    closed = {"ARAGORA_BLOCK_SUNSET_ENDPOINTS": "true"}
    status, headers, body = ask(data, "GET", "/api/v1/openapi.json", **closed)
    assert (status, headers["sunset"][:16]) == (410, "Mon, 01 Jun 2026")
    assert b'"code":"ENDPOINT_REMOVED"' in body and b"Use /api/v2/openapi.json" in body
    for path in ("/api/v2/openapi.json", "/api/openapi.json"):
        assert ask(data, "GET", path, **closed)[0] == 200
    assert ask(data, "GET", "/api/v1/health", **closed)[0] != 410


@pytest.mark.parametrize("method, path, status, error", [
    ("GET", "/api/v1/nope", 404, "API endpoint not found: /api/v1/nope"),
    ("GET", "/api//v1///nope/", 404, "API endpoint not found: /api/v1/nope"),
    ("POST", "/api/v1/nope", 404, "Unknown POST endpoint: /api/v1/nope"),
    ("DELETE", "/nope", 404, "Unknown DELETE endpoint: /nope"),
    ("PATCH", "/api/v1/debates", 405, "Method not allowed"),
    ("TRACE", "/api/v1/debates", 501, "Unsupported method ('TRACE')"),
    ("GET", "/api/v1/debates/a%2Fb", 400, "Path traversal not allowed"),
    ("GET", "/api/v1/debates/%ff", 400, "Invalid path"),
])
def test_what_no_row_answers_is_told_apart(anonymous, method, path, status, error):
    reply = anonymous.request(method, path)
    assert (reply.status_code, reply.json()["error"]) == (status, error)
    assert reply.json()["message"] == error and reply.json()["trace_id"] == reply.headers["x-trace-id"]


# --- Queries and bodies (http.md 3, 4) ----------------------------------------------------------

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("query, error", [
    ("zzz=1", "Unknown query parameter: zzz"), ("zzz", None), ("zzz=", None),
    ("zzz=%ff", "Invalid value for zzz"),
    ("zzz=%00", "Invalid value for zzz"), ("%ff=1", "Invalid query parameter name"),
    ("z" * 100 + "=1", "Unknown query parameter: " + "z" * 64),
])
def test_every_get_refuses_a_query_that_it_does_not_know(document, owner, query, error):
    for _, path, _ in operations(document, "GET"):
        reply = owner.get(f"{path}?{query}")
        if error:
            assert (reply.status_code, reply.json()["error"]) == (400, error), path
        else:
            assert reply.status_code == owner.get(path).status_code, path


def test_a_value_is_not_longer_than_its_parameter_says(document, owner):
    seen = 0
    for _, path, operation in operations(document, "GET"):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["schema"].get("type") == "string":
                reply = owner.get(path, params={parameter["name"]: "a" * 2001})
                assert reply.status_code in (400, 422), (path, parameter["name"])
                seen += 1
    assert seen


def deep(n):
    return b"[" * n + b"]" * n


def wide(n):
    return ",".join(f'"k{i}":1' for i in range(n)).encode()


@pytest.mark.parametrize("headers, body, status, code, error", [
    (JSON, b"{", 400, "INVALID_JSON", "Invalid JSON body"),
    (JSON, b'{"a":1}x', 400, "INVALID_JSON", "Invalid JSON body"),
    (JSON, b'{"a":"\xff"}', 400, "INVALID_JSON", "Invalid JSON body: Invalid UTF-8 encoding in request body"),
    (JSON, b'{"a":1,"a":2}', 400, "INVALID_JSON", "Invalid JSON body"),
    (JSON, b"[]", 400, "INVALID_BODY_TYPE", "Request body must be a JSON object"),
    (JSON, b"null", 400, "INVALID_BODY_TYPE", "Request body must be a JSON object"),
    (JSON, b'{"a":' + deep(12) + b"}", 400, "invalid_request_structure", "JSON nesting depth exceeds limit of 10"),
    (JSON, b'{"a":[' + b"1," * 1000 + b"1]}", 400, "invalid_request_structure", "JSON array has 1001 items (max 1000)"),
    (JSON, b"{" + wide(501) + b"}", 400, "invalid_request_structure", "JSON object has 501 keys (max 500)"),
    ({}, b"{}", 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type header required for POST with body"),
    ({"Content-Type": "text/plain"}, b"{}", 415, "UNSUPPORTED_MEDIA_TYPE",
     "Unsupported Content-Type: text/plain. Expected application/json"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=1", 415, "UNSUPPORTED_MEDIA_TYPE",
     "Unsupported Content-Type: application/x-www-form-urlencoded. Expected application/json"),
    (JSON | {"Content-Encoding": "gzip"}, b"{}", 415, "UNSUPPORTED_MEDIA_TYPE",
     "Unsupported Content-Encoding. Send the body as it is"),
], ids=range(13))
def test_every_body_is_refused_alike(document, owner, headers, body, status, code, error):
    changing = operations(document, "POST", "PUT", "PATCH")
    for method, path, _ in changing:
        reply = owner.request(method, path, content=body, headers=headers)
        assert (reply.status_code, reply.json()["error"][:len(error)]) == (status, error), path
        if not path.startswith("/api/v2/"):
            assert reply.json()["code"] == code
    assert len(changing) > 2


def test_a_body_is_taken_with_any_parameter_of_its_type_and_as_it_is(owner):
    for headers in (JSON | {"Content-Encoding": "identity"}, {"Content-Type": "Application/JSON; charset=utf-8"},
                    {"Content-Type": "text/json"}):
        reply = owner.post("/api/v1/debates", content=b'{"task":7}', headers=headers)
        assert reply.json()["field"] == "task"


def raw(server, text):
    """Status, headers, body of an answer to bytes as they are."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(text)
        answer = b""
        while more := s.recv(65536):
            answer += more
    head, body = answer.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), head.decode().lower(), body


@pytest.mark.parametrize("lines, status, code", [
    (b"POST /api/v1/debates HTTP/1.1\r\nContent-Length: 209715200", 413, "PAYLOAD_TOO_LARGE"),
    (b"POST /api/v1/debates HTTP/1.1\r\nContent-Length: -5", 400, "BAD_REQUEST"),
    (b"POST /api/v1/debates HTTP/1.1\r\nContent-Length: many", 400, "BAD_REQUEST"),
    (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 30000, 431, "HEADERS_TOO_LARGE"),
    (b"GET /healthz HTTP/1.1\r\nHost: y", 400, "BAD_REQUEST"),
], ids=["too large", "negative", "no number", "much header", "two hosts"])
def test_what_the_web_server_refuses_has_the_same_form(server, lines, status, code):
    got, head, body = raw(server, lines + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (got, json.loads(body)["code"]) == (status, code)
    assert json.loads(body)["error"] == json.loads(body)["message"] and "content-type: application/json" in head


def test_a_chunked_body_has_the_limit_of_its_row(server, owner):
    size = 600000
    chunked = (b"POST /api/v1/debates HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " +
               owner.headers["authorization"].encode() +
               b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    status, _, body = raw(server, chunked + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
    assert (status, json.loads(body)["code"]) == (413, "PAYLOAD_TOO_LARGE")


DEEP = json.dumps({"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1, "metadata": {"a": [[[[[[[[[[[1]]]]]]]]]]]}})


@pytest.mark.parametrize("settings, status, warns", [
    ({"ARAGORA_VALIDATION_BLOCKING": "true"}, 400, False),
    ({"ARAGORA_VALIDATION_BLOCKING": "false"}, 200, True),
    ({"ARAGORA_VALIDATION_MODE": "warn"}, 200, True),
    ({"ARAGORA_VALIDATION_MODE": "disabled"}, 200, False),
    ({"ARAGORA_VALIDATION_MODE": "blocking", "ARAGORA_VALIDATION_BLOCKING": "false"}, 400, False),
])
def test_a_setting_says_what_becomes_of_a_fault_of_form(tmp_path, settings, status, warns):
    log = open(tmp_path / "log", "w+")
    server = Server(stderr=log, ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_WORKERS="1", **settings)
    with server.client(server.key()) as client:
        for reply in (client.get("/api/v1/debates?zzz=1"), client.post("/api/v1/debates", content=DEEP, headers=JSON)):
            assert (reply.status_code, "warning" in reply.headers) == (status, warns)
        assert client.post("/api/v1/debates?zzz=1", content=DEEP, headers=JSON).status_code == status
        # A field that is wrong is wrong in every mode.
        assert client.post("/api/v1/debates", content='{"task":7}', headers=JSON).status_code == 400
    assert server.stop() == 0
    log.seek(0)
    assert log.read().count("lenient validation") == (3 if warns else 0)


def test_an_unknown_mode_is_refused(data):  # noqa: F811
    with pytest.raises(AssertionError, match="ARAGORA_VALIDATION_MODE"):
        ask(data, "GET", "/healthz", ARAGORA_VALIDATION_MODE="maybe")


# --- Headers of every answer, errors, what the client has (http.md 5, 6) ------------------------

ORIGIN = {"Origin": "http://localhost:3000"}
EVERY = ("access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers",
         "access-control-max-age", "vary", "x-frame-options", "x-content-type-options", "x-xss-protection",
         "referrer-policy", "content-security-policy", "x-request-id", "x-trace-id", "x-span-id", "x-api-version",
         "cache-control")


def answers(document, client):
    """Of every row, and of each stage that refuses."""
    for method, path, _ in operations(document, "GET", "POST", "PUT", "PATCH", "DELETE"):
        yield client.request(method, path, headers=ORIGIN, content=b"[]" if method != "GET" else None)
    bad = ORIGIN | {"Authorization": "Bearer nobody"}
    for method, path, headers in (("GET", "/api/nope", ORIGIN), ("PUT", "/api/v1/debates", ORIGIN), ("TRACE", "/x", ORIGIN),
                                  ("GET", "/api/v1/debates/%ff", ORIGIN), ("GET", "/api/v1/debates", bad),
                                  ("GET", "/no/file", ORIGIN)):
        yield client.request(method, path, headers=headers)


def test_every_answer_has_the_headers_and_every_error_the_form(document, owner):
    seen = set()
    for reply in answers(document, owner):
        what = f"{reply.request.method} {reply.request.url} {reply.status_code}"
        assert not [name for name in EVERY if name not in reply.headers], what
        assert reply.headers["access-control-allow-origin"] == ORIGIN["Origin"], what
        assert reply.headers["access-control-allow-credentials"] == "true", what
        if reply.headers["cache-control"].startswith("no-store"):
            assert (reply.headers["pragma"], reply.headers["expires"]) == ("no-cache", "0"), what
        else:  # as its operation says; never an error
            assert reply.status_code == 200 and "pragma" not in reply.headers, what
        seen.add(reply.status_code)
        if reply.status_code < 400:
            continue
        error = reply.json()
        assert reply.headers["content-type"] == "application/json" and not reply.content.endswith(b"\n"), what
        assert isinstance(error["error"], str) and error["error"] == error["message"] and error["code"], what
        assert error["trace_id"] == reply.headers["x-trace-id"], what
    assert seen >= {200, 400, 401, 404, 405, 415, 501}


def test_no_answer_names_a_header_twice(document, owner):
    for reply in answers(document, owner):
        names = [name for name, _ in reply.headers.multi_items() if name != "set-cookie"]
        assert len(names) == len(set(names)), reply.request.url


def test_what_the_client_has_is_304_until_it_changes(document, owner):
    made = owner.post("/api/v1/debates", json={"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1})
    path = "/api/v1/debates/" + made.json()["debate_id"]
    while owner.get(path).json()["status"] not in ("completed", "failed"):
        pass
    stable = ["/api/openapi.json", "/api/v1/debates", path, path + "/messages", path + "/events", "/api/v2/receipts"]
    for url in stable:
        first = owner.get(url)
        etag = first.headers["etag"]
        assert re.fullmatch('"[0-9a-f]{16}"', etag), url
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            for method in ("GET", "HEAD"):
                reply = owner.request(method, url, headers={"If-None-Match": known} | ORIGIN)
                assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag), url
                assert "content-type" not in reply.headers and reply.headers["vary"] == "Origin"
        other = owner.get(url, headers={"If-None-Match": '"0123456789abcdef"'})
        assert (other.status_code, other.content) == (200, first.content)
    etag = owner.get("/api/v1/debates").headers["etag"]
    owner.post("/api/v1/debates", json={"task": "Ship on Monday?", "agents": ["demo", "demo-x"], "rounds": 1})
    assert owner.get("/api/v1/debates", headers={"If-None-Match": etag}).status_code == 200
    assert "etag" not in owner.get("/healthz").headers
    assert owner.get("/api/v1/debates/nobody", headers={"If-None-Match": "*"}).status_code == 404


@pytest.mark.parametrize("settings, present, absent", [
    ({}, {"x-frame-options": "DENY"}, {"strict-transport-security"}),
    ({"ARAGORA_ENV": "production"}, {"strict-transport-security": "max-age=31536000; includeSubDomains"}, set()),
    ({"ARAGORA_ENV": "production", "ARAGORA_HSTS_ENABLED": "false"}, {}, {"strict-transport-security"}),
    ({"ARAGORA_HSTS_ENABLED": "true", "ARAGORA_STRICT_TRANSPORT_SECURITY": "max-age=9"},
     {"strict-transport-security": "max-age=9"}, set()),
    ({"ARAGORA_X_FRAME_OPTIONS": "SAMEORIGIN"}, {"x-frame-options": "SAMEORIGIN"}, set()),
    ({"ARAGORA_X_CONTENT_TYPE_OPTIONS": "a"}, {"x-content-type-options": "a"}, set()),
    ({"ARAGORA_X_XSS_PROTECTION": "0"}, {"x-xss-protection": "0"}, set()),
    ({"ARAGORA_REFERRER_POLICY": "no-referrer"}, {"referrer-policy": "no-referrer"}, set()),
    ({"ARAGORA_CONTENT_SECURITY_POLICY": "default-src 'none'"}, {"content-security-policy": "default-src 'none'"}, set()),
    ({"ARAGORA_SECURITY_HEADERS_ENABLED": "false", "ARAGORA_HSTS_ENABLED": "true"}, {"x-api-version": "v2"},
     {"x-frame-options", "content-security-policy", "strict-transport-security"}),
])
def test_security_headers_are_as_the_settings_say(data, settings, present, absent):  # noqa: F811
    _, headers, _ = ask(data, "GET", "/healthz", **settings)
    headers = {k.lower(): v for k, v in headers.items()}
    assert {name: headers.get(name) for name in present} == present and not absent & set(headers)


@pytest.mark.parametrize("settings, origin, allowed_", [
    ({}, "https://aragora.ai", True), ({}, "http://localhost:3000", True), ({}, "http://localhost:3001", False),
    ({}, "", False), ({}, "null", False), ({}, "https://aragora.ai.evil.example", False),
    ({"ARAGORA_ENV": "production"}, "http://localhost:3000", False),
    ({"ARAGORA_ALLOWED_ORIGINS": "https://a.example/, https://b.example:8443"}, "https://a.example", True),
    ({"ARAGORA_ALLOWED_ORIGINS": "https://a.example/, https://b.example:8443"}, "https://b.example:8443", True),
    ({"ARAGORA_ALLOWED_ORIGINS": "https://a.example"}, "https://aragora.ai", False),
    ({"ARAGORA_ALLOWED_ORIGINS": "*"}, "https://any.example", True),
    ({"ARAGORA_ALLOWED_ORIGINS": "*"}, "", False),
    ({"ARAGORA_PUBLIC_URL": "https://x.example/aragora/"}, "https://x.example", True),
])
def test_an_origin_is_allowed_as_the_settings_say(data, settings, origin, allowed_):  # noqa: F811
    for method in ("GET", "OPTIONS"):
        _, headers, _ = ask(data, method, "/healthz", HTTP_ORIGIN=origin, **settings)
        assert headers.get("Access-Control-Allow-Origin") == (origin if allowed_ else None)


@pytest.mark.parametrize("settings", [
    {"ARAGORA_ALLOWED_ORIGINS": "a.example"}, {"ARAGORA_ALLOWED_ORIGINS": "ftp://a.example"},
    {"ARAGORA_ALLOWED_ORIGINS": "https://"}, {"ARAGORA_ALLOWED_ORIGINS": "https://a.example/path"},
    {"ARAGORA_ALLOWED_ORIGINS": "https://a.example, b"}, {"ARAGORA_ALLOWED_ORIGINS": "https://*.a.example"},
    {"ARAGORA_ALLOWED_ORIGINS": "*", "ARAGORA_ENV": "production"},
])
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(data, settings):  # noqa: F811
    with pytest.raises(AssertionError, match="ARAGORA_ALLOWED_ORIGINS"):
        ask(data, "GET", "/healthz", **settings)


def test_in_production_a_failure_of_ours_says_nothing_of_it(data):  # noqa: F811
    away = {"ARAGORA_DB_BACKEND": "postgres", "ARAGORA_POSTGRES_DSN": "host=127.0.0.1 port=1",
            "HTTP_AUTHORIZATION": "Bearer " + TOKEN, "ARAGORA_API_TOKEN": TOKEN}
    for environment, error in (("development", "Database unavailable"), ("production", "Internal server error")):
        status, headers, body = ask(data, "GET", "/api/v1/debates", ARAGORA_ENV=environment, **away)
        assert (status, json.loads(body)["error"], json.loads(body)["retry_after"]) == (503, error, 1)
        assert headers["retry-after"] == "1" and b"127.0.0.1" not in body
