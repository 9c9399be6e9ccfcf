"""What the programs write down: each secret is looked for by its value in all of it."""

import itertools
import json
import pathlib
import time

import pytest
from conftest import Server

TOKEN = "plain-words-that-open-everything"
METRICS = "plain-words-that-show-numbers"
PASSWORD = "plain-words-of-a-database"
PROVIDER = "plain-words-of-a-provider"
SETTINGS = {"ARAGORA_API_TOKEN": TOKEN, "ARAGORA_METRICS_TOKEN": METRICS, "ARAGORA_DB_BACKEND": "sqlite",
            "ARAGORA_POSTGRES_DSN": f"postgresql://aragora:{PASSWORD}@127.0.0.1:1/x", "OPENAI_API_KEY": PROVIDER,
            "ARAGORA_DISABLE_ALL_RATE_LIMITS": "true", "ARAGORA_LOG_LEVEL": "DEBUG", "ARAGORA_DEMO_DELAY_MS": "0"}
UNKNOWN = "ara_" + "k" * 43


def places(secret):
    """Everywhere that a client may put one, by mistake or not."""
    for name in ("Authorization", "X-API-Key", "Cookie", "Origin", "X-Request-ID", "X-Trace-ID", "X-Parent-Span-ID",
                 "User-Agent", "Referer", "X-Forwarded-For", "X-Real-IP", "Content-Type", "Accept", "X-API-Version",
                 "If-None-Match", "X-Request-Timeout"):
        yield "GET", "/api/v1/debates", {name: secret}
        yield "POST", "/api/v1/debates", {name: secret}
    yield "GET", "/api/v1/debates", {"Authorization": f"Bearer {secret}"}
    for path in (f"/api/v1/debates?token={secret}", f"/api/v1/debates?{secret}=1", f"/api/v1/debates/{secret}",
                 f"/api/{secret}/x", f"/{secret}", f"/healthz?{secret}", f"/ws?token={secret}"):
        yield "GET", path, {}
        yield "PUT", path, {}
    yield secret.upper(), "/healthz", {}


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_in_any_log(tmp_path, form):
    with open(tmp_path / "log", "w+") as log:
        server = Server(stderr=log, ARAGORA_LOG_FORMAT=form, **SETTINGS)
        key = server.key()
        with server.client() as client:
            for secret in (TOKEN, METRICS, PROVIDER, PASSWORD, key, UNKNOWN):
                for method, path, headers in places(secret):
                    assert client.request(method, path, headers=headers, content=b"{" if method != "GET" else None
                                          ).status_code
            client.headers["Authorization"] = f"Bearer {key}"
            made = client.post("/api/v1/debates", json={"task": f"Is {TOKEN} safe?", "agents": ["demo", "demo-x"],
                                                        "rounds": 1, "metadata": {"a": [[[[[[[[[[[[key]]]]]]]]]]]]}})
            assert made.status_code == 400
            made = client.post("/api/v1/debates", json={"task": "Ship?", "agents": ["demo", "demo-x"], "rounds": 1})
            path = "/api/v1/debates/" + made.json()["debate_id"]
            while client.get(path).json()["status"] not in ("completed", "failed"):
                time.sleep(0.01)
        files = [pathlib.Path(log.name), *(server.data / "log").iterdir(), *(server.data / "run").glob("*.conf")]
        server.process.terminate()
        assert server.process.wait(timeout=40) == 0
        written = {file.name: file.read_text(errors="replace") for file in files}
        server.stop()
    assert written["log"].count("/api/v1/debates") > 100 and "[REDACTED]" in written["log"]
    if form == "json":
        for line in written["log"].splitlines():
            assert not line.startswith("{") or json.loads(line)["service"] == "aragora"
    for (name, text), secret in itertools.product(written.items(), (TOKEN, METRICS, PASSWORD, PROVIDER, key, UNKNOWN)):
        assert secret not in text and secret.upper() not in text, (name, secret)
