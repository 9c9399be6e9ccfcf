"""Files of a front end: which are sent, as what, and which stay where they are."""

import os
import socket

import httpx
import pytest
from conftest import Server

PAGE = b"<!doctype html><title>Aragora</title>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    (root / "out" / "docs").mkdir(parents=True)
    (root / "out" / "empty").mkdir()
    (root / "secret.txt").write_text("outside")
    for name, content in {
        "index.html": PAGE, "docs/index.html": b"docs", "app-3f2a9c1b.js": b"1", "report-20240101.js": b"1",
        "a.CSS": b"b{}", "a b.txt": b"blank", "LICENSE": b"MIT", "page.3f2a9c1b.html": b"p", ".env": b"outside",
        "empty.txt": b"",
    }.items():
        (root / "out" / name).write_bytes(content)
    (root / "out" / ".git").mkdir()
    (root / "out" / ".git" / "config").write_text("outside")
    (root / "out" / "big.bin").write_bytes(os.urandom(1 << 20) * 9)
    with open(root / "out" / "huge.bin", "wb") as huge:
        huge.truncate((32 << 20) + 1)
    (root / "out" / "link.txt").symlink_to(root / "secret.txt")
    (root / "out" / "up").symlink_to("..")
    (root / "out" / "inside.html").symlink_to("index.html")
    os.mkfifo(root / "out" / "pipe")
    return root / "out"


@pytest.fixture(scope="module")
def front(site):
    server = Server(ARAGORA_STATIC_DIR=str(site))
    with server.client() as client:
        client.server = server
        yield client
    assert server.stop() == 0


def raw(client, path):
    """The whole answer to a path as it is."""
    host, port = client.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := s.recv(65536):
            answer += more
    return answer


def media_type(reply):
    """lighttpd writes the newer name of JavaScript."""
    return reply.headers["content-type"].replace("text/javascript", "application/javascript")


@pytest.mark.parametrize("path, kind, cache", [
    ("/", "text/html", "no-cache"),
    ("/index.html", "text/html", "no-cache"),
    ("/docs/", "text/html", "no-cache"),
    ("/app-3f2a9c1b.js", "application/javascript", "public, max-age=31536000, immutable"),
    ("/report-20240101.js", "application/javascript", "no-cache"),
    ("/page.3f2a9c1b.html", "text/html", "no-cache"),
    ("/a.CSS", "text/css", "no-cache"),
    ("/a%20b.txt?v=1&utm_source=x", "text/plain", "no-cache"),
    ("/empty.txt", "text/plain", "no-cache"),
    ("/LICENSE", "application/octet-stream", "no-cache"),
])
def test_a_file_has_a_type_and_lasts_as_its_name_says(front, path, kind, cache):
    reply = front.get(path)
    assert (reply.status_code, reply.headers["cache-control"]) == (200, cache)
    assert media_type(reply) == kind
    assert reply.headers["x-content-type-options"] == "nosniff" and reply.headers["etag"].startswith('"')


def test_a_name_that_is_missing_gets_the_page_under_its_own_type(front):
    for path, kind in {"/debate/adhoc_1": "text/html", "/gone-3f2a9c1b.js": "application/javascript",
                       "/LICENSE/x": "text/html", "/x.unknown": "text/html"}.items():
        reply = front.get(path)
        assert (reply.status_code, reply.content, media_type(reply)) == (200, PAGE, kind)
        assert reply.headers["cache-control"] == "no-cache"


def test_head_tells_the_length_alone(front):
    get, head = front.get("/big.bin"), front.head("/big.bin")
    assert len(get.content) == 9 << 20
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(9 << 20))
    assert head.headers["etag"] == get.headers["etag"]


def test_what_the_client_has_is_304_until_it_changes(front, site):
    (site / "live.txt").write_text("one")
    etag = front.get("/live.txt").headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        reply = front.get("/live.txt", headers={"If-None-Match": known})
        assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag)
    assert front.get("/live.txt", headers={"If-None-Match": '"x"'}).status_code == 200
    (site / "live.txt").write_text("other")
    reply = front.get("/live.txt", headers={"If-None-Match": etag})
    assert (reply.status_code, reply.text) == (200, "other")


def test_a_part_is_sent_on_request(front):
    whole = front.get("/big.bin").content
    for asked, part in {"bytes=1000000-1000009": slice(1000000, 1000010), "bytes=9437180-": slice(9437180, None),
                        "bytes=-5": slice(-5, None), "bytes=1-99999999999999999999": slice(1, None)}.items():
        reply = front.get("/big.bin", headers={"Range": asked})
        assert (reply.status_code, reply.content) == (206, whole[part])
    assert reply.headers["content-range"] == "bytes 1-9437183/9437184"
    etag = reply.headers["etag"]
    for known, status in ((etag, 206), ('"x"', 200), (f"W/{etag}", 200)):
        assert front.get("/big.bin", headers={"Range": "bytes=0-0", "If-Range": known}).status_code == status
    refused = front.get("/big.bin", headers={"Range": "bytes=9437184-"})
    assert (refused.status_code, refused.headers["content-range"]) == (416, "bytes */9437184")
    assert front.get("/api/openapi.json", headers={"Range": "bytes=0-0"}).status_code == 200


@pytest.mark.parametrize("path", [
    b"/../secret.txt", b"/docs/../../secret.txt", b"/%2e%2e/secret.txt", b"/.%2e/secret.txt", b"/%2e./secret.txt",
    b"/..%2fsecret.txt", b"/docs%2f..%2f..%2fsecret.txt", b"/..%5csecret.txt", b"/index.html%00.txt", b"/%00",
    b"/%ff", b"/docs/./index.html", b"/" + b"x" * 300,
])
def test_a_path_that_hides_something_is_400(front, path):
    answer = raw(front, path)
    assert int(answer.split()[1]) == 400 and b"outside" not in answer


@pytest.mark.parametrize("path", [b"/%252e%252e/secret.txt", b"/....//secret.txt", b"//secret.txt", b"/~root",
                                  b"/..;/secret.txt", b"/%c0%ae%c0%ae/secret.txt", b"/\\..\\secret.txt"])
def test_no_spelling_reaches_a_file_outside(front, path):
    assert b"outside" not in raw(front, path)


@pytest.mark.parametrize("path, status", [
    ("/link.txt", 403), ("/up/secret.txt", 403), ("/up", 403), ("/inside.html", 403),
    ("/.env", 404), ("/.git/config", 404), ("/.git", 404), ("/docs/.hidden", 404),
    ("/empty", 404), ("/pipe", 404), ("/huge.bin", 404),
])
def test_links_hidden_files_and_what_is_no_file_are_refused(front, path, status):
    reply = front.get(path)
    assert reply.status_code == status and "outside" not in reply.text
    assert reply.json()["error"] and reply.json()["code"]


def test_files_do_not_hide_the_api(front):
    for path in ("/api", "/api/nope", "/api/index.html"):
        reply = front.get(path)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert front.get("/healthz").json() == {"status": "ok"}
    assert front.put("/healthz").status_code == 405
    assert front.post("/index.html").status_code == 404


def test_a_page_of_many_files_meets_no_limit(front):
    assert [front.get("/a.CSS").status_code for _ in range(100)] == [200] * 100


def test_without_a_directory_there_are_no_files(server):
    for path in ("/", "/index.html", "/etc/passwd"):
        reply = httpx.get(server.url + path, trust_env=False)
        assert (reply.status_code, reply.json()["error"]) == (404, "Static directory not configured")
