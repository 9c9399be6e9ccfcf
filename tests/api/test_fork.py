"""Forks over HTTP and on the command line, on the real programs; demo agents answer."""

import re
import sqlite3
import subprocess
import time

import pytest
from conftest import BIN, Server, clean_environment, run
from test_debate import check_stream, ended, start, wait


@pytest.fixture(scope="module")
def lone():
    """A server of its own: debates are erased."""
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="0")
    server.made_key = server.key()
    with server.client(server.made_key) as client:
        yield server, client
    assert server.stop() == 0


@pytest.fixture(scope="module")
def parent(lone):
    return wait(lone[1], start(lone[1]), ended)[0]


def fork(client, debate, **body):
    return client.post(f"/api/v1/debates/{debate}/fork", json=body)


def messages(client, debate):
    return client.get(f"/api/v1/debates/{debate}/messages", params={"limit": 200}).json()["messages"]


def follow(server, debate):
    env = clean_environment(server.data) | {"ARAGORA_API_KEY": server.made_key}
    return subprocess.run([BIN / "aragora", "ask", "--url", server.url, "--follow", debate], env=env,
                          capture_output=True, text=True, timeout=60)


def test_a_fork_is_a_debate_that_begins_with_the_messages_asked_for(lone, parent):
    server, client = lone
    reply = fork(client, parent["id"], branch_point=5, new_premise="The date has moved")
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert re.fullmatch(rf"fork-{parent['id']}-r5-[0-9a-f]{{8}}", made["fork_id"])
    assert made["branch_id"] == made["fork_id"] and made["success"] is True and made["status"] == "created"
    assert made["parent_id"] == made["parent_debate_id"] == parent["id"]
    assert made["branch_point"] == made["messages_inherited"] == 5
    assert made["modified_context"] == "The date has moved" and made["step"].startswith("1/critique/")
    found, events = wait(client, made["fork_id"], ended)
    check_stream(events)
    start_data = events[0]["data"]
    assert start_data["parent_debate_id"] == parent["id"] and start_data["fork_step"] == made["step"]
    assert (found["parent_debate_id"], found["branch_point"]) == (parent["id"], 5)
    assert found["context"] == "The date has moved" and found["final_answer"] == parent["final_answer"]
    taken = messages(client, parent["id"])[:5]
    assert messages(client, made["fork_id"])[:5] == taken
    shown = follow(server, made["fork_id"])
    assert shown.returncode == 0 and shown.stdout.count(" proposes") == 3


def test_a_fork_asked_for_twice_under_one_key_is_made_once(lone, parent):
    client, key = lone[1], {"Idempotency-Key": "fork-once"}
    url, body = f"/api/v1/debates/{parent['id']}/fork", {"branch_point": 4}
    first, again = (client.post(url, json=body, headers=key) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.json() == again.json()


def test_a_fork_by_step_may_begin_between_messages(lone, parent):
    made = fork(lone[1], parent["id"], step="2/vote/demo").json()
    total = len(messages(lone[1], parent["id"]))
    assert made["step"] == "2/vote/demo" and made["messages_inherited"] == total - 2  # judge, synthesis


@pytest.mark.parametrize("body, field", [
    ({"branch_point": 1000}, "branch_point"), ({"step": "3/vote/demo"}, "step"), ({}, "branch_point"),
    ({"step": "2/start", "rounds": 1}, "rounds")])
def test_a_fork_that_cannot_begin_is_refused_by_name(lone, parent, body, field):
    client = lone[1]
    before = client.get("/api/v1/debates").json()["total"]
    reply = fork(client, parent["id"], **body)
    assert reply.status_code == 400 and reply.json()["field"] == field, reply.text
    if field == "step":
        assert "2/vote/demo" in reply.json()["details"]["steps"]
    assert client.get("/api/v1/debates").json()["total"] == before


def test_another_organisation_can_neither_fork_nor_see_forks(lone, parent):
    server, client = lone
    with sqlite3.connect(next(server.data.glob("*.db"))) as db:
        db.execute("INSERT INTO organizations (org_id, name, slug, created_at, updated_at)"
                   " VALUES ('org_other', 'o', 'o', 1, 1)")
        db.execute("INSERT INTO users (user_id, email, created_at, updated_at) VALUES ('u', 'u@x', 1, 1)")
        db.execute("INSERT INTO organization_memberships (org_id, user_id, role, joined_at)"
                   " VALUES ('org_other', 'u', 'owner', 1)")
    key = run(server.data, "apikey", "create", "--org", "org_other", "--user", "u")
    assert key.returncode == 0, key.stderr
    with server.client(key.stdout.strip()) as other:
        assert fork(other, parent["id"], branch_point=1).status_code == 404
        assert other.get(f"/api/v1/debates/{parent['id']}/forks").status_code == 404


def test_forks_are_listed_as_a_tree(lone):
    client = lone[1]
    root = wait(client, start(client, rounds=1), ended)[0]["id"]
    first = fork(client, root, branch_point=0).json()["fork_id"]
    second = fork(client, root, branch_point=3).json()["fork_id"]
    wait(client, first, ended)
    child = fork(client, first, branch_point=2).json()["fork_id"]
    wait(client, child, ended)
    listed = client.get(f"/api/v1/debates/{root}/forks").json()
    assert [one["branch_id"] for one in listed["forks"]] == [first, second, child] and listed["total"] == 3
    tree = listed["tree"]
    assert (tree["id"], tree["type"], tree["total_nodes"], tree["max_depth"]) == (root, "root", 4, 2)
    assert [node["id"] for node in tree["children"]] == [first, second]
    assert [node["id"] for node in tree["children"][0]["children"]] == [child]
    assert tree["children"][1]["children"] == [] and tree["children"][1]["messages_inherited"] == 3
    leaf = client.get(f"/api/v1/debates/{child}/forks").json()
    assert leaf["forks"] == [] and leaf["tree"] == {"id": child, "type": "root", "children": [],
                                                    "total_nodes": 1, "max_depth": 0}


def test_a_replay_is_shown_as_one_and_waits_for_no_receipt(lone, parent):
    server, client = lone
    made = run(server.data, "debate", "replay", parent["id"])
    assert made.returncode == 0, made.stdout + made.stderr
    replay = made.stdout.split()[0]
    begun = time.monotonic()
    shown = follow(server, replay)
    assert shown.returncode == 0 and ", a replay" in shown.stdout and time.monotonic() - begun < 5


def test_erasing_tells_who_holds_the_texts_too(lone):
    server, client = lone
    root = wait(client, start(client, rounds=1), ended)[0]["id"]
    made = fork(client, root, branch_point=2).json()["fork_id"]
    wait(client, made, ended)
    erased = run(server.data, "debate", "erase", root)
    assert erased.returncode == 0 and made in erased.stderr
    assert "no such debate" in run(server.data, "debate", "fork", root, "--at", "1/start").stderr
    again = run(server.data, "debate", "erase", made)
    assert again.returncode == 0 and again.stderr == ""
