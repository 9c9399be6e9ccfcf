"""The rules that every route keeps without doing anything for them, row by row of the API's own document."""

import re

import httpx
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
