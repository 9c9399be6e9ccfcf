"""Agents as people write them, from the command line to the models, and what a new user is told."""

import pathlib
import re
import subprocess

import pytest
from conftest import System, api_fixtures
from models import KEY

QUESTION = "Should we move billing to event sourcing?"
TASK = {"task": QUESTION, "rounds": 1}
NO_SERVER = f"http://127.0.0.1:{api_fixtures.free_port()}"


@pytest.fixture(scope="module")
def bare():
    """No provider is configured; the addresses are the real ones, and nobody calls them."""
    one = System(OPENAI_API_KEY="", OPENAI_BASE_URL="", OLLAMA_HOST=NO_SERVER)
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="module")
def offline():
    one = System(OPENAI_API_KEY="", OPENAI_BASE_URL="", ARAGORA_OFFLINE="true")
    yield one
    assert one.stop() == 0


def ask(system, agents, *arguments, url=None):
    if not hasattr(system, "made_key"):
        system.made_key = system.server.key()
    env = api_fixtures.clean_environment(system.server.data) | {"ARAGORA_API_KEY": system.made_key}
    return subprocess.run([api_fixtures.BIN / "aragora", "ask", "--url", url or system.server.url,
                           "--rounds", "1", "--agents", agents, *arguments, QUESTION], env=env,
                          capture_output=True, text=True, timeout=60)


def team(system, debate):
    return [tuple(row.values()) for row in system.rows(
        "SELECT agent, provider, model, persona, role FROM debate_agents WHERE debate_id = ?"
        " ORDER BY position", debate)]


def debates(system):
    return system.rows("SELECT count(*) AS n FROM debates")[0]["n"]


# --- Names ---------------------------------------------------------------------------------------

def test_models_are_named_on_the_command_line(system, tmp_path):
    receipt = tmp_path / "receipt.json"
    done = ask(system, "openai:gpt-4.1, ollama:llama3,openai:gpt-4.1,", "--receipt", str(receipt))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "demo" not in done.stdout
    for name in ("openai-api", "ollama", "openai-api_2"):
        assert f"\n{name} proposes\n" in done.stdout and f"\n{name} votes for " in done.stdout
    debate = re.search(r"^debate  (\S+)$", done.stdout, re.M)[1]
    assert team(system, debate) == [
        ("openai-api", "openai-api", "gpt-4.1", None, "proposer"),
        ("ollama", "ollama", "llama3", None, "critic"),
        ("openai-api_2", "openai-api", "gpt-4.1", None, "synthesizer")]
    assert system.models.calls_of("gpt-4.1") and system.models.calls_of("llama3")
    assert KEY not in receipt.read_text()


@pytest.mark.parametrize("agents,expected", [
    (["openai:ok:critic", "ollama:qwen3:8b:judge"],
     [("openai-api_critic", "openai-api", "ok", None, "critic"),
      ("ollama_judge", "ollama", "qwen3:8b", None, "judge")]),
    ('["openai:ok", {"provider": "ollama", "model": "ok", "name": "bob"}]',
     [("openai-api", "openai-api", "ok", None, "proposer"), ("bob", "ollama", "ok", None, "critic")]),
    (["demo:critic", "demo:skeptic", "demo:skeptic", "demo"],
     [("demo_critic", "demo", None, None, "critic"), ("demo-skeptic", "demo", None, "skeptic", "critic"),
      ("demo-skeptic_2", "demo", None, "skeptic", "synthesizer"), ("demo", "demo", None, None, "proposer")]),
    ([{"provider": "demo", "name": "a" * 32}, {"provider": "demo", "name": "a" * 32}],
     [("a" * 32, "demo", None, None, "proposer"), ("a" * 28 + "_2", "demo", None, None, "critic")]),
    (["openai-api||" + "p" * 20 + "|synthesizer", "demo"],
     [("openai-api_" + "p" * 20 + "_", "openai-api", "ok", "p" * 20, "synthesizer"),
      ("demo", "demo", None, None, "critic")]),
])
def test_every_agent_has_a_name_of_its_own(system, agents, expected):
    reply = system.client.post("/api/v1/debates", json=TASK | {"agents": agents})
    assert reply.status_code == 200, reply.text
    assert team(system, reply.json()["debate_id"]) == expected


def test_a_list_in_a_string_that_is_none_is_refused(system):
    reply = system.client.post("/api/v1/debates", json=TASK | {"agents": '["demo", "demo"'})
    assert reply.status_code == 400 and reply.json()["field"] == "agents"


@pytest.fixture(scope="module")
def known():
    """A provider at its own address: only the models that are known of it are taken."""
    one = System(OPENAI_BASE_URL="", HTTPS_PROXY=NO_SERVER)  # whoever is called is not reached
    yield one
    assert one.stop() == 0


@pytest.mark.parametrize("agent,near", [
    ("openai:gpt-4o-mni", "gpt-4o-mini"),
    ("openai:gpt-4.1.critic", "gpt-4.1"),
    ("gpt-4o", "openai-api:gpt-4o"),
    ("Ollama:llama3", "ollama"),
    ("opnai:gpt-4.1", "openai"),
])
def test_a_wrong_name_gets_its_like(known, agent, near):
    before = debates(known)
    reply = known.client.post("/api/v1/debates", json=TASK | {"agents": ["demo", agent]})
    assert reply.status_code == 400 and reply.json()["field"] == "agents"
    assert "Did you mean " in reply.json()["suggestion"] and near in reply.json()["suggestion"]
    assert debates(known) == before
    told = ask(known, f"demo,{agent}")
    assert told.returncode == 1 and near in told.stderr and told.stderr.count("\n") == 1


def test_a_model_of_a_certain_day_is_known(known):
    reply = known.client.post("/api/v1/debates",
                              json=TASK | {"agents": ["demo", "openai:gpt-4o-2024-08-06"]})
    assert reply.status_code == 200, reply.text


def test_the_manual_names_every_provider_and_what_sets_it():
    root = pathlib.Path(__file__).resolve().parents[2]
    page = (root / "man/aragora-providers.7").read_text()
    table = (root / "common/base/providers.def").read_text()
    names = re.findall(r'^(?:PROVIDER|ALIAS)\("([^"]+)"', table, re.M)
    sets = set(re.findall(r'^PROVIDER\("[^"]+", \w+, (\w+), (\w+)', table, re.M))
    assert len(names) > 30 and len(sets) > 6
    for name in names + [name for pair in sets for name in pair if name != "NONE"]:
        assert re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", page), name


# --- No stand-ins --------------------------------------------------------------------------------

@pytest.mark.parametrize("agents", ["openai", "openai,openai", "demo,openai", "demo,demo,openai:gpt-4.1"])
@pytest.mark.parametrize("which,variable", [("bare", "OPENAI_API_KEY"), ("offline", "OPENAI_BASE_URL")])
def test_without_its_key_an_agent_is_refused_and_none_stands_in(request, agents, which, variable):
    system = request.getfixturevalue(which)
    before = debates(system)
    for given in (agents, agents.split(",")):
        reply = system.client.post("/api/v1/debates", json=TASK | {"agents": given})
        assert reply.status_code == 400, reply.text
        told = reply.json()
        assert variable in told["error"] and "demo-skeptic" in told["suggestion"]
        assert told["use_playground"] is True
    done = ask(system, agents)
    assert done.returncode == 1 and not done.stdout
    assert variable in done.stderr and "demo, demo-skeptic" in done.stderr
    assert debates(system) == before and system.models.calls == []


def test_one_agent_is_told_that_it_takes_two(system):
    reply = system.client.post("/api/v1/debates", json=TASK | {"agents": ["openai:ok"]})
    assert reply.status_code == 400 and "at least 2" in reply.json()["error"]
    assert "twice" in reply.json()["suggestion"]


# --- The first time ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def wrong_key():
    one = System(OPENAI_API_KEY="sk-canary-of-another", OLLAMA_HOST=NO_SERVER)
    yield one
    assert one.stop() == 0


# Which system, agents, what the one line on standard error says
@pytest.mark.parametrize("which,agents,words", [
    ("wrong_key", "openai:ok,openai:ok", ["No agent gave a proposal", "openai-api answered 400"]),
    ("wrong_key", "ollama,ollama", ["ollama failed: the connection was refused"]),
    ("system", "openai:leaky,openai:leaky", ["openai-api answered 401", "[key]"]),
    ("system", "ollama:missing,ollama:missing", ["ollama answered 404: model 'missing' not found"]),
    ("system", "openai:hanging,ollama:hanging", ["did not begin within the limit"]),
])
def test_a_debate_that_no_provider_serves_ends_with_the_reason(request, which, agents, words):
    done = ask(request.getfixturevalue(which), agents)
    assert done.returncode == 1
    assert done.stderr.startswith("aragora: the debate failed: ") and done.stderr.count("\n") == 1
    for word in words + ["aragora doctor"]:
        assert word in done.stderr
    assert KEY not in done.stdout + done.stderr and "sk-canary" not in done.stdout + done.stderr


def test_a_cancelled_debate_is_not_said_to_have_failed(system):
    debate = system.client.post("/api/v1/debates", json=TASK | {
        "agents": ["openai:slow", "ollama:slow"]}).json()["debate_id"]
    assert system.client.post(f"/api/v1/debates/{debate}/cancel").status_code == 200
    env = api_fixtures.clean_environment(system.server.data) | {"ARAGORA_API_KEY": system.server.key()}
    done = subprocess.run([api_fixtures.BIN / "aragora", "ask", "--url", system.server.url, "--follow",
                           debate], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "aragora: the debate ended without a verdict: cancelled\n"


def test_no_server_is_told_with_how_to_start_one(system):
    done = ask(system, "demo,demo", url=NO_SERVER)
    assert done.returncode == 1 and "aragora serve" in done.stderr and NO_SERVER in done.stderr


@pytest.mark.parametrize("agents", ["", ",", " , ,"])
def test_a_list_that_names_nobody_starts_no_demonstration(system, agents):
    before = debates(system)
    done = ask(system, agents)
    assert done.returncode == 2 and "--agents" in done.stderr and debates(system) == before
