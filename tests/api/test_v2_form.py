"""ARAGORA_USE_FASTAPI: paths of version 2 in its own form, the rest as ever."""

import time

import pytest
from conftest import Server

TOKEN = "server-token-of-the-tests"


@pytest.fixture(scope="module")
def caller():
    server = Server(ARAGORA_USE_FASTAPI="true", ARAGORA_API_TOKEN=TOKEN, ARAGORA_DISABLE_ALL_RATE_LIMITS="true",
                    ARAGORA_DEMO_DELAY_MS="0")
    with server.client(TOKEN) as client:
        yield client
    assert server.stop() == 0


@pytest.fixture(scope="module")
def debate(caller):
    made = caller.post("/api/v2/debates", json={"task": "Ship on Friday?", "rounds": 2, "agents": ["demo", "demo-x"]})
    id = made.json()["debate_id"]
    until = time.monotonic() + 20
    while caller.get(f"/api/v1/debates/{id}").json()["status"] != "completed":
        assert time.monotonic() < until
        time.sleep(0.02)
    return id


def test_a_list_has_summaries(caller, debate):
    body = caller.get("/api/v2/debates").json()
    assert (body["total"], body["limit"], body["offset"]) == (1, 50, 0) and "has_more" not in body
    one, = body["debates"]
    assert one | {"created_at": None} == {
        "id": debate, "task": "Ship on Friday?", "status": "completed", "created_at": None, "round_count": one["round_count"],
        "agent_count": 2, "has_consensus": True}
    assert one["round_count"] == caller.get(f"/api/v1/debates/{debate}").json()["rounds_used"]
    assert caller.get("/api/v2/debates", params={"status": "running"}).json()["debates"] == []


def test_one_has_its_rounds(caller, debate):
    one = caller.get(f"/api/v2/debates/{debate}").json()
    said = caller.get(f"/api/v1/debates/{debate}/messages", params={"limit": 200}).json()["messages"]
    assert one["agents"] == ["demo", "demo-x"] and one["protocol"]["rounds"] == 2
    assert one["consensus"]["reached"] is True and one["metadata"] == {}
    assert [part["round"] for part in one["rounds"]] == list(range(len(one["rounds"])))
    for part in one["rounds"]:
        assert [m["content"] for m in part["messages"]] == [
            m["content"] for m in said if m["round"] == part["round"] and not m.get("target")]
        assert [(m["agent"], m["target"]) for m in part["critiques"]] == [
            (m["agent"], m["target"]) for m in said if m["round"] == part["round"] and m.get("target")]
    assert {vote["agent"] for vote in one["rounds"][-1]["votes"]} == {"demo", "demo-x"}


def test_messages_come_in_pages(caller, debate):
    path = f"/api/v2/debates/{debate}/messages"
    whole = caller.get(path).json()
    assert set(whole) == {"debate_id", "messages", "total", "has_more"} and whole["has_more"] is False
    part = caller.get(path, params={"limit": 2, "offset": 1}).json()
    assert part["messages"] == whole["messages"][1:3] and part["has_more"] is True


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1"])
def test_what_is_out_of_range_is_refused_not_bent(caller, query):
    assert caller.get(f"/api/v2/debates?{query}").status_code == 422
    assert caller.get(f"/api/v1/debates?{query}").status_code in (200, 400)


def test_an_unknown_debate_is_not_found(caller):
    answer = caller.get("/api/v2/debates/adhoc_none")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_version_1_and_what_has_no_form_of_its_own_stay(caller, debate):
    assert "has_more" in caller.get("/api/v1/debates").json() and "has_more" in caller.get("/api/debates").json()
    assert caller.get(f"/api/v2/debates/{debate}/events").json() == caller.get(f"/api/v1/debates/{debate}/events").json()
    document = caller.get("/api/v1/openapi.json").json()
    assert document["paths"]["/api/v2/debates"]["get"]["operationId"] != document["paths"]["/api/v1/debates"]["get"]["operationId"]


def test_without_the_setting_version_2_is_another_name_of_version_1(owner):
    assert owner.get("/api/v2/debates").json() == owner.get("/api/v1/debates").json()
