"""What goes wrong between the journal and a client costs no event: lost news, dead programs, slow readers."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import time

import pytest
import websockets
from conftest import TOKEN, Daemon, Stream, asynchronous, connected, events, run, seqs
from test_debate import start
from test_events import journal, text_of

END = "debate_end"


@pytest.fixture(scope="module")
def own():
    """A system whose stream daemon may die, with a short queue."""
    one = Stream(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_API_TOKEN=TOKEN, ARAGORA_WS_MAX_QUEUE_SIZE="65536")
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="module")
def api(own):
    with own.client(TOKEN) as client:
        yield client


@asynchronous
async def test_an_event_that_the_bus_lost_comes_within_two_seconds(daemon):
    daemon.journal.loop("lost-news")
    async with connected(daemon, "/ws?debate_id=lost-news", token=TOKEN) as client:
        await client.until("sync")
        for seq in range(1, 4):
            daemon.journal.append("lost-news")
            before = time.monotonic()
            assert (await client.until("agent_message"))[-1]["seq"] == seq
            assert time.monotonic() - before < 2


@asynchronous
async def test_a_gap_is_filled_before_what_follows_it(server, owner):
    """Between two events that the bus tells of, one is committed that it does not."""
    debate = start(owner, rounds=1)
    async with connected(server, f"/ws?debate_id={debate}&last_seq=0", token=TOKEN) as client:
        for _ in range(3):
            await client.until("token_start")
            server.journal.append(debate)
        await client.until(END)
    assert seqs(client.got) == list(range(1, seqs(client.got)[-1] + 1))
    assert len([frame for frame in events(client.got) if frame["agent"] == "ann"]) == 3


@asynchronous
async def test_a_killed_stream_daemon_costs_no_event(own, api):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    debate, got = start(api, rounds=1), []
    while not got or got[-1]["type"] != END:
        moment = len(got) + choose.randrange(1, 40)
        with contextlib.suppress(websockets.ConnectionClosed):
            async with connected(own, token=TOKEN) as client:
                await client.say("subscribe", debate_id=debate, replay_from_seq=got[-1]["seq"] if got else 0)
                while not got or got[-1]["type"] != END:
                    got += events([await client.next()])
                    if moment and len(got) >= moment:
                        os.kill(own.streamd(), signal.SIGKILL)
                        moment = 0
        own.healthy()
    assert [frame["seq"] for frame in got] == list(range(1, len(got) + 1))
    assert text_of(got) == text_of(journal(api, debate)[:len(got)])


@asynchronous
async def test_a_debate_that_nobody_streamed_is_told_afterwards(server, owner):
    """The daemon stands still while the debate runs."""
    pid = server.streamd()
    async with connected(server, token=TOKEN) as client:
        debate = start(owner, rounds=1)
        await client.ask("subscribe", "replay_end", debate_id=debate, replay_from_seq=0)
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 30
        while owner.get(f"/api/v1/debates/{debate}").json()["status"] != "completed" and time.monotonic() < end:
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGCONT)
        await client.until(END)
    assert seqs(client.got) == list(range(1, seqs(client.got)[-1] + 1))


class Slow:
    """A connection that takes what comes only when it is asked to, through a small window."""

    def __init__(self, server):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", server.ws_port))
        self.options = {"sock": one, "read_limit": 1024, "max_queue": 1, "close_timeout": 0.2}


@asynchronous
async def test_a_client_that_stops_reading_is_sent_away_and_loses_nothing(own, api):
    agents = ["demo", "demo-skeptic", "demo-optimist", "demo-ann", "demo-bob"]
    debate = start(api, rounds=2, agents=agents)
    path = f"/ws?debate_id={debate}&last_seq=0"
    async with connected(own, path, token=TOKEN) as good, connected(own, path, token=TOKEN, **Slow(own).options) as slow:
        await slow.until("replay_end")
        await good.until(END)
        assert await slow.closed() == 1013 and slow.socket.close_reason == "Slow consumer"
    last = seqs(slow.got)[-1]
    stored = journal(api, debate)
    assert seqs(good.got) == list(range(1, len(events(good.got)) + 1)) and len(events(good.got)) >= len(stored) - 1
    assert 1 <= last < len(events(good.got)) and seqs(slow.got) == list(range(1, last + 1))
    async with connected(own, token=TOKEN) as again:
        await again.say("subscribe", debate_id=debate, replay_from_seq=last)
        await again.until("replay_end")
        assert seqs(again.got) == list(range(last + 1, len(stored) + 1))


@asynchronous
async def test_a_replay_that_is_longer_than_the_queue_waits_for_its_reader(own):
    own.journal.loop("long-replay")
    own.journal.append("long-replay", 400, data={"content": "x" * 2000, "role": "proposer"})
    async with connected(own, "/ws?debate_id=long-replay&last_seq=0", token=TOKEN, **Slow(own).options) as slow, \
            connected(own, "/ws?debate_id=long-replay&last_seq=0", token=TOKEN) as fast:
        await fast.until("replay_end")
        own.journal.append("long-replay")
        assert (await fast.until("agent_message"))[-1]["seq"] == 401
        await slow.until(lambda frame: frame.get("seq") == 401)
        for client in (slow, fast):
            assert seqs(client.got) == list(range(1, 402))
        # A state that is greater than the queue comes all the same.
        sync = await slow.ask("subscribe", "sync", debate_id="long-replay")
        assert len(sync["data"]["messages"]) == 401 and len(str(sync)) > 10 * 65536
        await slow.quiet()


# --- The daemon's own life ---------------------------------------------------------------------


@asynchronous
async def test_sigterm_sends_what_is_queued_and_then_1001():
    daemon = Daemon().ready()
    daemon.journal.loop("farewell")
    daemon.journal.append("farewell", 300, data={"content": "x" * 2000, "role": "proposer"})
    async with connected(daemon, "/ws?debate_id=farewell&last_seq=0", token=TOKEN, **Slow(daemon).options) as slow, \
            connected(daemon, "/ws?debate_id=farewell", token=TOKEN) as idle:
        await slow.until("replay_start")
        await idle.until("debate_start")
        daemon.process.send_signal(signal.SIGTERM)
        assert await idle.closed() == 1001 and idle.socket.close_reason == "Server shutting down"
        with pytest.raises(OSError):  # nobody new
            async with connected(daemon):
                pass
        assert daemon.process.poll() is None  # the other has not read yet
        assert await slow.closed() == 1001
        assert seqs(slow.got) == list(range(1, seqs(slow.got)[-1] + 1)) and len(events(slow.got)) > 20
    assert daemon.stop() == 0


@asynchronous
async def test_a_client_that_does_not_take_its_farewell_is_waited_for_five_seconds():
    daemon = Daemon().ready()
    daemon.journal.loop("no-farewell")
    daemon.journal.append("no-farewell", 300, data={"content": "x" * 2000, "role": "proposer"})
    async with connected(daemon, "/ws?debate_id=no-farewell&last_seq=0", token=TOKEN, **Slow(daemon).options) as slow:
        await slow.until("agent_message")  # the rest is on its way, and stays there
        before = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(daemon.process.wait, 20)
        assert status == 0 and 4 < time.monotonic() - before < 8
    daemon.stop()


def test_a_second_daemon_on_the_same_directory_refuses_and_the_first_goes_on(daemon):
    second = Daemon(daemon.data, migrate=False)
    assert second.process.wait(timeout=20) == 69
    assert "another aragora-streamd runs here" in second.log.read_text()
    second.stop()
    assert daemon.healthy()["status"] == "healthy" and daemon.process.poll() is None


def test_a_port_that_is_taken_refuses_to_start(daemon):
    second = Daemon(ARAGORA_WS_PORT=str(daemon.ws_port))
    assert second.process.wait(timeout=20) == 69
    assert "port not bound" in second.log.read_text()
    second.stop()


def test_a_daemon_that_waits_for_the_schema_can_be_stopped_and_starts_once_it_is_there():
    daemon = Daemon(migrate=False)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(timeout=0.5)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=2) == 0
    late = Daemon(daemon.data, migrate=False)
    assert run(daemon.data, "migrate").returncode == 0
    late.ready()
    assert late.stop() == 0
    daemon.stop()


def test_without_descriptors_it_rests_and_then_goes_on():
    daemon = Daemon(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))).ready()
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", daemon.ws_port), timeout=10))
        end = time.monotonic() + 10
        while "connection not taken" not in daemon.log.read_text() and time.monotonic() < end:
            time.sleep(0.01)
    daemon.healthy()
    assert daemon.log.read_text().count("connection not taken") < 5
    assert daemon.stop() == 0
