"""The worker as a CGI program: called as a web server would, and by one (RFC 3875)."""

import json
import os
import signal
import subprocess
import time

import httpx
import pytest
from cgi_request import WORKER, ask, data  # noqa: F401 - a fixture
from conftest import SLOWER, clean_environment, free_port, run

START_LIMIT_S = 0.1


@pytest.fixture(scope="module")
def key(data):
    return run(data, "apikey", "create", "cgi").stdout.strip()


def test_a_request_in_the_environment_is_answered_on_standard_output(data):
    status, headers, body = ask(data, "GET", "/healthz")
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"status": "ok"})
    assert headers["x-request-id"] and headers["content-security-policy"]


def test_readiness_is_told_though_nothing_was_asked_before(data):
    status, _, body = ask(data, "GET", "/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ready")


def test_head_has_no_body_and_options_no_more_than_its_rules(data):
    status, headers, body = ask(data, "HEAD", "/healthz")
    assert (status, headers["content-length"], body) == (200, "15", b"")
    status, headers, body = ask(data, "OPTIONS", "/api/v1/debates")
    assert (status, body) == (200, b"") and headers["access-control-allow-methods"]


def test_a_credential_and_a_query_are_read(data, key):
    assert ask(data, "GET", "/api/v1/debates")[0] == 401
    status, _, body = ask(data, "GET", "/api/v1/debates", HTTP_AUTHORIZATION=f"Bearer {key}",
                          QUERY_STRING="limit=3")
    assert (status, json.loads(body)["limit"]) == (200, 3)


def test_a_body_is_read_to_its_length_and_no_further(data, key):
    task = json.dumps({"task": "Ship on Friday? " + "x" * 3000}).encode()
    status, _, body = ask(data, "POST", "/api/v1/debates", task, behind=b"}", HTTP_AUTHORIZATION=f"Bearer {key}")
    assert status == 200
    status, _, _ = ask(data, "GET", "/api/v1/debates/" + json.loads(body)["debate_id"],
                       HTTP_AUTHORIZATION=f"Bearer {key}")
    assert status == 200


def test_a_body_that_is_shorter_than_its_length_is_refused(data, key):
    env = clean_environment(data) | {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST", "PATH_INFO": "/api/v1/debates",
        "CONTENT_LENGTH": "100", "CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": f"Bearer {key}"}
    done = subprocess.run([WORKER], input=b'{"task":', env=env, capture_output=True, timeout=20)
    assert done.returncode == 0 and done.stdout.startswith(b"Status: 400\r\n")
    for length in ("-1", "x"):
        assert ask(data, "POST", "/api/v1/debates", b"{}", CONTENT_LENGTH=length,
                   HTTP_AUTHORIZATION=f"Bearer {key}")[0] == 400


def test_limits_count_over_processes(data):
    env = {"REMOTE_ADDR": "192.0.2.7", "ARAGORA_RATE_LIMIT_PUBLIC": "2", "ARAGORA_BURST_MULTIPLIER": "1"}
    statuses = [ask(data, "GET", "/api/v1/openapi.json", **env)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("variables", [{}, {"REQUEST_METHOD": "GET"}, {"GATEWAY_INTERFACE": "CGI/1.1"}])
def test_neither_a_socket_nor_a_request_is_71_and_said(data, variables):
    done = subprocess.run([WORKER], stdin=subprocess.DEVNULL, env=clean_environment(data) | variables,
                          capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (71, "")
    assert "standard input is no listening socket" in done.stderr


def test_a_process_starts_and_answers_in_a_tenth_of_a_second(data, key):
    took = []
    for _ in range(5):  # the best of them: the machine may be busy with something else
        before = time.monotonic()
        assert ask(data, "GET", "/api/v1/debates", HTTP_AUTHORIZATION=f"Bearer {key}")[0] == 200
        took.append(time.monotonic() - before)
    assert min(took) < START_LIMIT_S * SLOWER, took


LIGHTTPD = """
server.modules = ("mod_setenv", "mod_alias", "mod_cgi")
server.document-root = "/nonexistent"
server.bind = "127.0.0.1"
server.port = {port}
setenv.set-environment = ("ARAGORA_DATA_DIR" => "{data}")
alias.url = ("/" => "{worker}/")
cgi.assign = ("aragora-fcgi" => "")
"""


@pytest.fixture
def lighttpd(data):
    port, path = free_port(), data / "cgi.conf"
    path.write_text(LIGHTTPD.format(port=port, data=data, worker=WORKER))
    env = clean_environment(data) | {"PATH": os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"}
    server = subprocess.Popen(["lighttpd", "-D", "-f", path], env=env, stderr=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False,
                      transport=httpx.HTTPTransport(retries=8)) as client:
        yield client
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=20) == 0


def test_lighttpd_calls_it_with_mod_cgi(lighttpd, key):
    owner = {"Authorization": f"Bearer {key}"}
    assert lighttpd.get("/healthz").json() == {"status": "ok"}
    assert lighttpd.get("/api/v1/debates").status_code == 401
    made = lighttpd.post("/api/v1/debates", headers=owner, json={"task": "Ship on Friday?"})
    assert made.status_code == 200, made.text
    found = lighttpd.get("/api/v1/debates/" + made.json()["debate_id"], headers=owner)
    assert found.json()["task"] == "Ship on Friday?"
    assert lighttpd.head("/healthz").content == b""
    reply = lighttpd.get("/api/v1/nope")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
