"""Several debateds on one data directory share the debates, and take over those of the dead."""

import os
import signal
import subprocess

import pytest

pytest.register_assert_rewrite("harness")
from harness import (BIN, QUESTION, Tables, Watcher, check_whole, clean_environment, seeded,  # noqa: E402
                     start_server, stream_address, until)

DEBATES, BY_HAND = 20, 3
SHARE = {"ARAGORA_MAX_CONCURRENT_DEBATES": str(DEBATES // (1 + BY_HAND))}


@pytest.fixture
def server():
    one = start_server(**SHARE)
    yield one
    assert one.stop() == 0


@pytest.fixture
def runners(server):
    """debateds that nobody starts again."""
    environment = clean_environment(server.data, **server.settings)
    some = [subprocess.Popen([BIN / "aragora-debated"], env=environment) for _ in range(BY_HAND)]
    yield some
    for one in some:
        one.terminate()
        one.wait(timeout=20)


def test_debates_of_dead_runners_are_taken_over_once(server, runners, tmp_path):
    choose = seeded("runners")
    tables, key = Tables(server), server.key()
    with server.client(key) as client:
        debates = [client.post("/api/v1/debates", json=QUESTION).json()["debate_id"] for _ in range(DEBATES)]
        watchers = [Watcher(stream_address(server), key, debate) for debate in debates]
        until(lambda: len(tables.rows("SELECT DISTINCT lease_owner FROM jobs WHERE status = 'running'")) == 1 + BY_HAND)
        for runner in choose.sample(runners, 2):
            watchers[-1].wait_for(choose.randrange(1, 30))
            os.kill(runner.pid, signal.SIGKILL)
        before = {debate: tables.steps(debate, "done") for debate in debates}
        for debate, watcher in zip(debates, watchers):
            check_whole(client, tables, debate, watcher, before[debate], tmp_path)
    lost = tables.rows("SELECT COUNT(*) AS n FROM jobs WHERE fence > 1")
    assert lost[0]["n"] > 0
