"""What only time shows. It is waited for while the other tests run."""

import asyncio
import json
import threading
import time

import pytest
from conftest import TOKEN, Daemon, connected
from test_messages import Raw


class Watch:
    """Two connections to a daemon that pings every five seconds: one answers, the other never does."""

    def __init__(self):
        self.daemon = Daemon(ARAGORA_WS_HEARTBEAT="5").ready()
        self.daemon.journal.loop("watched")
        self.daemon.journal.append("watched", 7)
        self.threads = [threading.Thread(target=watch) for watch in (self.watch_mute, self.watch_answering)]
        for thread in self.threads:
            thread.start()

    def watch_mute(self):
        with Raw(self.daemon) as raw:
            raw.socket.settimeout(30)
            begun = time.monotonic()
            self.mute_code = raw.closed()
            self.mute_s = time.monotonic() - begun

    def watch_answering(self):
        async def follow():
            async with connected(self.daemon, "/ws?debate_id=watched", token=TOKEN) as client:
                begun = time.monotonic()
                while True:
                    frame = await asyncio.wait_for(client.socket.recv(), 30)
                    if '"type":"heartbeat"' in frame:
                        self.heartbeat_s = time.monotonic() - begun
                        self.heartbeat = frame
                        break
                await asyncio.to_thread(self.threads[0].join)  # outlives the one that does not answer
                await client.quiet()
                self.alive = True
        asyncio.run(follow())

    def stop(self):
        for thread in self.threads:
            thread.join()
        return self.daemon.stop()


@pytest.fixture(scope="session")
def watch(early_watch):
    for thread in early_watch.threads:
        thread.join()
    return early_watch


def test_a_heartbeat_comes_after_fifteen_seconds_and_tells_the_tenant_s_counts(watch):
    beat = json.loads(watch.heartbeat)
    assert 13 < watch.heartbeat_s < 18
    assert set(beat) == {"type", "data", "timestamp"}
    assert beat["data"].pop("server_time") == pytest.approx(time.time(), abs=120)
    assert beat["data"] == {"active_debates": 1, "connected_clients": 1, "last_seq": 7, "buffer_size": 7, "oldest_seq": 1}


def test_who_answers_no_ping_is_closed_and_who_does_is_not(watch):
    assert watch.mute_code == 1011 and 13 < watch.mute_s < 18
    assert watch.alive
