"""The provider's key, looked for by its value in all that leaves the programs, however a provider
fails that repeats what it was sent."""

import json
import subprocess
import time

import pytest
from conftest import System, api_fixtures
from models import KEY, Handler

ECHO = f"Authorization: Bearer {KEY} was refused; the key {KEY}{KEY} is wrong"
STACK = 'File "/srv/model.py", line 1, headers={"X-Internal": "10.0.0.1"}'
STATUSES = (400, 401, 402, 403, 404, 413, 429, 500, 503)


class Leaks(Handler):
    def behave(self, model):
        if model.removeprefix("leaks_").isdigit():
            return self.refuse(int(model.removeprefix("leaks_")), ECHO)
        super().behave(model)

    def do_GET(self):
        data = json.dumps({"error": {"message": ECHO}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def be_leaks_as_detail(self):
        self.whole(422, {"detail": ECHO})

    def be_leaks_as_page(self):
        self.send_response(500, ECHO)
        self.send_header("Content-Length", str(len(ECHO)))
        self.send_header("X-Echo", ECHO)
        self.end_headers()
        self.wfile.write(ECHO.encode())

    def be_leaks_whole(self):
        self.whole(200, {"error": {"message": ECHO, "code": 400}})

    def be_leaks_inside(self):
        self.begin()
        self.piece(self.text("We should "))
        self.piece(self.record({"error": {"message": ECHO}}))
        self.end()

    def be_leaks_reason(self):
        self.begin()
        self.piece(self.finish(KEY))
        self.end()

    def be_leaks_garbled(self):
        self.begin()
        self.piece(f"data: {{{ECHO}\n\n".encode())
        self.end()

    def be_leaks_cut(self):
        self.begin()
        self.piece(f"data: {{\"echo\": \"{ECHO}".encode())
        self.break_off()

    def be_leaks_elsewhere(self):
        self.send_response(307)
        self.send_header("Location", f"http://localhost:1/?key={KEY}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def be_leaks_stack(self):
        self.refuse(500, "the model fell over\nTraceback (most recent call last):\n  " + STACK)

    def be_leaks_wait(self):
        self.refuse(429, ECHO, [("Retry-After", KEY)])


MODES = [f"leaks_{status}" for status in STATUSES] + [name[3:] for name in vars(Leaks) if name.startswith("be_")]


@pytest.fixture(scope="module")
def leaks():
    one = System(ARAGORA_PROVIDER_RETRIES="0")
    one.models.RequestHandlerClass = Leaks
    one.made_key = one.server.key()
    yield one
    for file in one.server.data.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    log = one.log_text()
    assert one.stop() == 0
    assert b"debate claimed" in log and KEY.encode() not in log


def run(system, command, *arguments):
    env = api_fixtures.clean_environment(system.server.data) | system.server.settings
    env |= {"ARAGORA_API_KEY": system.made_key, "ARAGORA_HTTP_PORT": "0", "ARAGORA_WS_PORT": "0"}
    done = subprocess.run([api_fixtures.BIN / "aragora", command, *arguments], env=env,
                          capture_output=True, text=True, timeout=60)
    assert KEY not in done.stdout + done.stderr, (command, done.stdout, done.stderr)
    return done


def answer(system, path):
    reply = system.client.get(path)
    assert reply.status_code == 200, reply.text
    assert KEY not in reply.text and KEY not in str(reply.headers), path
    return reply.json()


@pytest.mark.parametrize("mode", MODES)
def test_no_failure_shows_the_key(leaks, mode, tmp_path):
    reply = leaks.client.post("/api/v1/debates", json={
        "task": "Should we move billing to event sourcing?", "rounds": 1, "agents": [
            "openai:ok", "demo", {"provider": "openai", "model": mode, "name": "bad"}]})
    debate, end = reply.json()["debate_id"], time.monotonic() + 30
    while (found := answer(leaks, f"/api/v1/debates/{debate}"))["status"] in ("created", "running"):
        assert time.monotonic() < end
    assert found["status"] == "completed"
    events = answer(leaks, f"/api/v1/debates/{debate}/events?limit=500")["events"]
    errors = [e["data"]["message"] for e in events if e["type"] == "agent_error"]
    assert errors and all("openai-api" in message for message in errors)
    assert all("Traceback" not in message and "X-Internal" not in message for message in errors)
    answer(leaks, f"/api/v1/debates/{debate}/messages")
    answer(leaks, f"/api/v2/receipts/{found['receipt_id']}")
    answer(leaks, f"/api/v2/receipts/{found['receipt_id']}/export?format=json")
    attempts = leaks.rows("SELECT * FROM provider_attempts WHERE model_asked = ?", mode)
    assert attempts and all(a["error"] and KEY not in str(a) for a in attempts)
    run(leaks, "receipt", "export", found["receipt_id"], "-o", str(tmp_path / "receipt.json"))
    assert KEY not in (tmp_path / "receipt.json").read_text()
    failed = run(leaks, "ask", "--url", leaks.server.url, "--rounds", "1", "--agents",
                 f"openai:{mode},openai:{mode}", "Should we?")
    assert failed.returncode == 1 and failed.stderr.startswith("aragora: the debate failed: ")


def test_no_command_shows_the_key(leaks):
    assert "does not take the key of OPENAI_API_KEY" in run(leaks, "doctor").stdout
    assert "OPENAI_API_KEY=(set)" in run(leaks, "config").stdout
    assert KEY not in leaks.client.get("/metrics").text
