"""Which agents a request may name, and what it is told of those that it may not."""

import time

import pytest
from conftest import System
from models import KEY

TASK = {"task": "Should we move billing to event sourcing?", "rounds": 1}


@pytest.fixture(scope="module")
def bare():
    """No provider is configured; the addresses are the real ones, and nobody calls them."""
    one = System(OPENAI_API_KEY="", OPENAI_BASE_URL="", OLLAMA_HOST="")
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="module")
def offline():
    one = System(ARAGORA_OFFLINE="true", OPENAI_BASE_URL="", XAI_API_KEY=KEY)
    yield one
    assert one.stop() == 0


def create(system, *agents):
    return system.client.post("/api/v1/debates", json=TASK | {"agents": list(agents)})


def refused(reply, *words):
    assert reply.status_code == 400, reply.text
    body = reply.json()
    assert body["field"] == "agents"
    told = body["error"] + body.get("message", "") + body["suggestion"]
    for word in words:
        assert word in told, (word, body)


@pytest.mark.parametrize("agent,words", [
    ("opena-api", ("opena-api", "openai-api")),
    ("olama", ("ollama",)),
    ("zzzzzz", ("zzzzzz", "demo-skeptic")),
    ("gemini", ("not available on this server", "demo-skeptic")),
    ("kilocode", ("not available on this server",)),
    ("openai-api", ("OPENAI_API_KEY", "demo-skeptic")),
    ("codex", ("OPENAI_API_KEY",)),
    ("llama", ("OPENROUTER_API_KEY",)),
    ("codestral", ("MISTRAL_API_KEY",)),
])
def test_what_cannot_answer_is_refused_with_what_would_help(bare, agent, words):
    refused(create(bare, "demo", agent), *words)


def test_a_wrong_model_is_refused_with_its_like():
    system = System(OPENAI_BASE_URL="")
    refused(create(system, "demo", "openai-api:gpt-4o-mni"), "gpt-4o-mni", "gpt-4o-mini")
    refused(create(system, "demo", "openai-api|zzzzzzzz"), "ARAGORA_PROVIDER_MODELS")
    refused(create(system, "demo", {"provider": "openai-api", "model": "gpt-4p"}), "gpt-4o")
    assert system.models.calls == []
    assert system.stop() == 0


def test_an_unknown_role_is_refused(system):
    reply = create(system, "demo", "openai-api|ok||king")
    assert reply.status_code == 400 and reply.json()["field"] == "agents"


def test_every_form_is_understood(system):
    reply = create(system, "openai-api|ok|philosopher|critic", "ollama:ok",
                   {"agent_type": "openai", "model": "ok", "name": "ann"}, "ollama:judge", "demo-x")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["agents"] == ["openai-api_philosopher_critic", "ollama", "ann", "ollama_judge", "demo-x"]
    assert body["demo"] is False and "X-Aragora-Demo" not in reply.headers
    rows = system.rows("SELECT provider, model, persona, role FROM debate_agents"
                       " WHERE debate_id = ? ORDER BY position", body["debate_id"])
    assert [tuple(row.values()) for row in rows] == [
        ("openai-api", "ok", "philosopher", "critic"), ("ollama", "ok", None, "critic"),
        ("openai-api", "ok", None, "synthesizer"), ("ollama", "llama3.2", None, "judge"),
        ("demo", None, None, "critic")]
    text = system.client.post("/api/v1/debates", json=TASK | {"agents": "demo, ollama:ok"})
    assert text.json()["agents"] == ["demo", "ollama"]


def test_no_agents_are_the_demo_agents(bare):
    reply = bare.client.post("/api/v1/debates", json=TASK)
    assert reply.json()["demo"] is True and reply.headers["X-Aragora-Demo"] == "1"
    assert bare.models.calls == []


def test_offline_serves_what_is_on_this_machine(offline):
    refused(create(offline, "demo", "openai-api"), "offline", "OPENAI_BASE_URL")
    refused(create(offline, "demo", "grok"), "offline", "XAI_BASE_URL")
    debate = create(offline, "demo", "ollama:ok").json()["debate_id"]
    end = time.monotonic() + 30
    while (found := offline.client.get(f"/api/v1/debates/{debate}").json())["status"] in ("created", "running"):
        assert time.monotonic() < end
    assert found["status"] == "completed"
    assert offline.models.calls_of("ok")
