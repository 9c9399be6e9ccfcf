"""What subscribers get: live, replayed, and in the middle of a debate."""

import json

import pytest
from conftest import TOKEN, asynchronous, connected, events, seqs
from test_debate import check_stream, ended, start, wait
from test_messages import Raw

END = "debate_end"


def text_of(frames):
    """Frames as they are written, member by member."""
    return [json.dumps(frame) for frame in frames]


def journal(client, debate):
    return client.get(f"/api/v1/debates/{debate}/events", params={"limit": 500}).json()["events"]


class Texts:
    """What a client makes of the deltas, which must follow each other from 1 or from where sync left off."""

    def __init__(self):
        self.running, self.heard = {}, []  # heard: how many deltas each ended text had
        self.cut = 0  # texts whose end came before all deltas: it may, while the state is being read

    def take(self, frame):
        key, data = (frame.get("agent"), frame.get("task_id")), frame["data"]
        if frame["type"] in ("sync", "replay_start"):
            self.running.update({(s["agent"], s["task_id"]): (s["text"], s["agent_seq"]) for s in data["streams"]})
        elif frame["type"] == "token_start":
            assert frame["agent_seq"] == 0
            self.running[key] = ("", 0)
        elif frame["type"] == "token_delta":
            text, last = self.running[key]
            assert "seq" not in frame and frame["agent_seq"] == last + 1
            assert data["token"] == data["delta"] and frame["loop_id"] == frame["debate_id"] == data["debate_id"]
            self.running[key] = (text + data["token"], last + 1)
        elif frame["type"] == "token_end":
            text, last = self.running.pop(key, ("", 0))
            whole = frame["agent_seq"] == last + 1
            assert data["full_response"] == data["full_content"]
            assert data["full_response"] == text if whole else data["full_response"].startswith(text)
            self.heard.append(last)
            self.cut += not whole


@asynchronous
async def test_a_live_debate_is_told_whole_in_order_and_as_the_api_tells_it(server, owner):
    debate = start(owner, rounds=1)
    async with connected(server, f"/ws?debate_id={debate}&last_seq=0&token={TOKEN}") as client:
        await client.until(END)
        wait(owner, debate, ended)
        stored = journal(owner, debate)
        while not seqs(client.got) or seqs(client.got)[-1] < len(stored):
            await client.next()
    assert seqs(client.got) == list(range(1, len(stored) + 1))
    assert text_of(events(client.got)) == text_of(stored)
    check_stream(events(client.got))


@asynchronous
async def test_deltas_spell_out_what_their_end_says(server, owner):
    debate = start(owner, rounds=1)
    texts = Texts()
    async with connected(server, f"/ws/debate/{debate}?last_seq=0", token=TOKEN) as client:
        for frame in await client.until(END):
            texts.take(frame)
    assert len(texts.heard) >= 10 and texts.cut <= 3 and not texts.running


@pytest.mark.parametrize("moment", [1, 25, 60])
@asynchronous
async def test_who_comes_late_gets_the_state_and_then_what_follows(server, owner, moment):
    debate = start(owner, rounds=1)
    texts = Texts()
    async with connected(server, f"/ws?debate_id={debate}&last_seq=0", token=TOKEN) as early, \
            connected(server, token=TOKEN) as late:
        for _ in range(moment):
            await early.until("token_delta")
        await late.say("subscribe", debate_id=debate)
        for frame in await late.until(END):
            texts.take(frame)
    sync, begun = late.got[2], late.got[3]
    data = sync["data"]
    assert sync["type"] == "sync" and sync["debate_id"] == sync["loop_id"] == debate
    assert data["status"] == "in_progress" and not data["ended"] and data["recovered"] is True
    assert data["cursor"] == f"{late.got[0]['data']['epoch']}:{data['as_of_seq']}"
    assert data["task"] and len(data["agents"]) == 3
    assert begun["type"] == "debate_start" and "seq" not in begun and begun["data"]["status"] == "in_progress"
    assert (begun["data"]["task"], begun["data"]["agents"]) == (data["task"], data["agents"])
    stored = journal(owner, debate)
    assert text_of(events(late.got)) == text_of(stored[data["as_of_seq"]:len(events(late.got)) + data["as_of_seq"]])
    assert seqs(late.got)[0] == data["as_of_seq"] + 1
    said = [(e["agent"], e["data"]["content"]) for e in stored[:data["as_of_seq"]] if e["type"] in ("agent_message", "critique")]
    assert [(m["agent"], m["content"]) for m in data["messages"]] == said
    assert len(texts.heard) > 3 and texts.cut <= 1 and not texts.running


@asynchronous
async def test_who_comes_after_the_end_gets_the_whole_debate(server, owner):
    debate = start(owner, rounds=1)
    found, stored = wait(owner, debate, ended)
    async with connected(server, token=TOKEN) as client:
        data = (await client.ask("subscribe", "sync", loop_id=debate))["data"]
        assert await client.quiet() == []  # no debate_start, which would say that it goes on
    assert (data["status"], data["ended"], data["streams"]) == ("completed", True, [])
    assert data["as_of_seq"] == len(stored) and data["id"] == data["debate_id"] == debate
    assert data["consensus_reached"] == found["consensus_reached"] and data["consensus_answer"] == found["final_answer"]
    assert len(data["messages"]) == 3 + 6 + 3 + 1 + 1
    assert {m["role"] for m in data["messages"]} == {"proposer", "critic", "judge", "synthesizer"}


@pytest.fixture(scope="module")
def told(daemon):
    """A loop of a thousand events that nobody works on."""
    daemon.journal.loop("told")
    daemon.journal.append("told", 1000)
    return "told"


@pytest.mark.parametrize("since", [0, 1, 500, 999, 1000])
@asynchronous
async def test_a_replay_goes_on_behind_the_number_that_the_client_has(daemon, told, since):
    async with connected(daemon, token=TOKEN) as client:
        await client.say("subscribe", debate_id=told, replay_from_seq=since)
        first, *replayed, last = await client.until("replay_end")
    epoch = client.got[0]["data"]["epoch"]
    assert first["type"] == "replay_start" and first["debate_id"] == told
    assert first["data"] == {"debate_id": told, "from_seq": since, "event_count": 1000 - since, "buffer_oldest_seq": 1,
                             "buffer_latest_seq": 1000, "gap": False, "recovered": True, "cursor": f"{epoch}:1000", "streams": []}
    assert [frame["seq"] for frame in replayed] == list(range(since + 1, 1001))
    assert last["data"] == {"debate_id": told, "replayed_count": 1000 - since, "latest_seq": 1000}


@asynchronous
async def test_the_cursor_of_an_answer_is_where_to_go_on(daemon, told):
    async with connected(daemon, token=TOKEN) as client:
        cursor = (await client.ask("subscribe", "sync", debate_id=told))["data"]["cursor"]
        assert (await client.ask("subscribe", "replay_end", debate_id=told, cursor=cursor))["data"]["replayed_count"] == 0
        cursor = cursor.replace(":1000", ":990")
        assert (await client.ask("subscribe", "replay_end", debate_id=told, cursor=cursor))["data"]["replayed_count"] == 10


@pytest.mark.parametrize("place", [{"replay_from_seq": 1001}, {"replay_from_seq": 2 ** 63 - 1}, {"cursor": "another:5"},
                                   {"cursor": "5"}, {"cursor": ""}])
@asynchronous
async def test_a_place_that_is_not_of_this_stream_gets_the_state(daemon, told, place):
    async with connected(daemon, token=TOKEN) as client:
        await client.say("subscribe", debate_id=told, **place)
        frames = await client.until("replay_end")
        assert [frame["type"] for frame in frames] == ["sync", "debate_start", "replay_start", "replay_end"]
        assert frames[0]["data"]["as_of_seq"] == 1000 and frames[0]["data"]["recovered"] is False
        assert frames[2]["data"]["gap"] is True and frames[2]["data"]["from_seq"] == 1000
        assert frames[2]["data"]["recovered"] is False and frames[2]["data"]["event_count"] == 0
        assert frames[3]["data"]["latest_seq"] == 1000


@pytest.mark.parametrize("cursor", [":5", "x", "-1"])
@asynchronous
async def test_a_cursor_of_this_epoch_without_a_number_is_refused(daemon, told, cursor):
    async with connected(daemon, token=TOKEN) as client:
        cursor = client.got[0]["data"]["epoch"] + ":" + cursor
        assert (await client.ask("subscribe", "error", debate_id=told, cursor=cursor))["data"]["error_type"] == "invalid_seq"


@asynchronous
async def test_two_loops_on_one_connection_and_one_given_up(daemon):
    for loop in ("one", "two"):
        daemon.journal.loop(loop)
    async with connected(daemon, token=TOKEN) as client:
        for loop in ("one", "two"):
            await client.ask("subscribe", "sync", debate_id=loop)
            daemon.journal.append(loop, 3)
        got = await client.until(lambda frame: len(events(client.got)) == 6)
        for loop in ("one", "two"):
            assert [frame["seq"] for frame in events(got) if frame["loop_id"] == loop] == [1, 2, 3]
        assert (await client.ask("unsubscribe", "unsubscribed", debate_id="one"))["data"] == {"debate_id": "one"}
        daemon.journal.append("one")
        daemon.journal.append("two")
        assert (await client.until("agent_message"))[-1]["loop_id"] == "two"
        assert [frame["loop_id"] for frame in events(await client.quiet())] == []
        assert (await client.ask("unsubscribe", "unsubscribed", debate_id="never"))["data"] == {"debate_id": "never"}


@asynchronous
async def test_a_second_subscribe_replaces_the_first(daemon, told):
    async with connected(daemon, token=TOKEN) as client:
        await client.ask("subscribe", "sync", debate_id=told)
        await client.say("subscribe", debate_id=told, replay_from_seq=990)
        assert seqs(await client.until("replay_end")) == list(range(991, 1001))


def test_of_subscribes_that_are_faster_than_their_answers_the_last_counts(daemon, told):
    with Raw(daemon, f"/ws?token={TOKEN}") as raw:
        raw.send_all({"type": "subscribe", "debate_id": told, "replay_from_seq": 0},
                     {"type": "unsubscribe", "debate_id": told},
                     {"type": "subscribe", "debate_id": told},
                     {"type": "subscribe", "debate_id": told, "replay_from_seq": 995})
        frames = [json.loads(raw.receive()[1])]
        while frames[-1]["type"] != "replay_end":
            frames.append(json.loads(raw.receive()[1]))
    assert [frame["type"] for frame in frames[2:] if "seq" not in frame] == ["unsubscribed", "replay_start", "replay_end"]
    assert seqs(frames) == list(range(996, 1001))


@asynchronous
async def test_who_waits_for_a_loop_gets_all_of_it_once_it_is_there(daemon):
    async with connected(daemon, token=TOKEN) as client:
        sync = await client.ask("subscribe", "sync", debate_id="to-come")
        assert sync["data"] == {"debate_id": "to-come", "status": "waiting"}
        daemon.journal.loop("to-come")
        daemon.journal.append("to-come", 4)
        assert seqs(await client.until(lambda frame: frame.get("seq") == 4)) == [1, 2, 3, 4]


# --- Who sees what -----------------------------------------------------------------------------


@asynchronous
async def test_another_organisation_sees_nothing_of_a_debate_in_any_way(server, owner, mallory):
    debate = start(owner, rounds=1)
    async with connected(server, f"/ws?debate_id={debate}&last_seq=0", token=TOKEN) as mine, \
            connected(server, f"/ws/debate/{debate}", token=mallory) as live, \
            connected(server, f"/ws?debate_id={debate}&last_seq=0", token=mallory) as replay, \
            connected(server, f"/ws?debate_id={debate}&last_seq=0") as nobody:
        await mine.until(END)
        for other in (live, replay, nobody):
            await other.say("subscribe", debate_id=debate, replay_from_seq=0)
            await other.say("subscribe", loop_id=debate, cursor=mine.got[0]["data"]["epoch"] + ":0")
            await other.say("subscribe", debate_id=debate)
            await other.quiet()
            told = json.dumps([frame for frame in other.got if frame["type"] != "sync"])
            assert debate not in told and "event sourcing" not in told
            for frame in other.got:
                assert frame["type"] in ("connection_info", "loop_list", "sync")
                assert frame["type"] != "sync" or frame["data"] == {"debate_id": debate, "status": "waiting"}
            assert not events(other.got)
    assert len(events(mine.got)) > 20


@asynchronous
async def test_the_same_id_in_two_organisations_is_two_loops(server, mallory):
    """Ids are unique, so one of them is only waited for: it must not get the other's events."""
    async with connected(server, token=mallory) as theirs, connected(server, token=TOKEN) as mine:
        for client in (theirs, mine):
            await client.ask("subscribe", "sync", debate_id="same-id")
        server.journal.loop("same-id")
        server.journal.append("same-id", 3)
        assert seqs(await mine.until(lambda frame: frame.get("seq") == 3)) == [1, 2, 3]
        assert await theirs.quiet() == []


@asynchronous
async def test_a_public_loop_is_seen_by_all_until_it_is_private(daemon):
    other = daemon.journal.organisation("public")
    daemon.journal.loop("open-house", visibility="public")
    daemon.journal.append("open-house", 2)
    async with connected(daemon) as nobody, connected(daemon, token=other) as member:
        for client in (nobody, member):
            assert (await client.ask("subscribe", "sync", debate_id="open-house"))["data"]["as_of_seq"] == 2
        daemon.journal.append("open-house")
        for client in (nobody, member):
            assert (await client.until("agent_message"))[-1]["seq"] == 3
        daemon.journal.run(("UPDATE loops SET visibility = 'private' WHERE loop_id = 'open-house'",))
        for client in (nobody, member):
            assert (await client.ask("subscribe", "sync", debate_id="open-house"))["data"]["status"] == "waiting"
        async with connected(daemon, token=TOKEN) as mine:
            await mine.ask("subscribe", "sync", debate_id="open-house")
            daemon.journal.append("open-house")
            await mine.until("agent_message")
        for client in (nobody, member):
            assert await client.quiet() == []


@asynchronous
async def test_a_deleted_debate_is_told_no_more(server, owner):
    debate = start(owner, rounds=1)
    wait(owner, debate, ended)
    server.journal.run(("UPDATE debates SET deleted_at = 1 WHERE debate_id = ?", (debate,)))
    async with connected(server, token=TOKEN) as client:
        assert (await client.ask("subscribe", "sync", debate_id=debate, replay_from_seq=0))["data"]["status"] == "waiting"
        assert await client.quiet() == []
