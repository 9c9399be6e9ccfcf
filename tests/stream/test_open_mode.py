"""Open mode on the stream port: who is the owner without a credential, and who is not (as api/test_open.py)."""

import os
import subprocess
import sys

import pytest
from conftest import Stream, asynchronous, connected
from test_debate import start


@pytest.fixture(scope="module")
def opened():
    one = Stream(ARAGORA_OFFLINE="true")
    yield one
    assert one.stop() == 0


async def is_owner(server, **options):
    async with connected(server, **options) as client:
        data = client.got[0]["data"]
        assert data["authenticated"] is data["write_access"]
        return data["authenticated"]


@asynchronous
async def test_the_local_owner_follows_a_debate_without_a_credential(opened):
    with opened.client() as client:
        debate = start(client, rounds=1, agents=["demo", "demo-x"])
    async with connected(opened, f"/ws?debate_id={debate}&last_seq=0") as client:
        assert client.got[0]["data"]["authenticated"] is True
        await client.until("debate_end")


@asynchronous
async def test_the_local_owner_has_no_limit(opened):
    for _ in range(40):
        assert await is_owner(opened)


@pytest.mark.parametrize("headers", [
    {"Origin": "http://localhost:3000"}, {"Host": "localhost:1"}, {"Host": "[::1]:8765"}, {"Host": "127.9.9.9"},
    {"Host": "localhost:8765", "Origin": "http://localhost:8765"},
])
@asynchronous
async def test_a_page_of_ours_and_any_loopback_name_count(opened, headers):
    assert await is_owner(opened, headers=headers)


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "localhost.evil.example:8765"}, {"Host": "0.0.0.0"},
    {"X-Forwarded-For": "127.0.0.1"}, {"x-forwarded-host": "localhost"}, {"X-Forwarded-Proto": "http"},
    {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Via": "1.1 proxy"},
])
@asynchronous
async def test_a_lured_browser_and_a_proxy_are_nobody(opened, headers):
    assert not await is_owner(opened, headers=headers)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Host": "evil.example", "Origin": "http://evil.example"}])
@asynchronous
async def test_a_page_of_others_is_refused(opened, headers):
    async with connected(opened, headers=headers, welcome=False) as client:
        assert await client.closed() == 4003


@asynchronous
async def test_it_does_not_hold_through_the_web_server(opened):
    port = int(opened.url.rsplit(":", 1)[1])
    assert not await is_owner(opened, port=port)
    assert not await is_owner(opened, port=port, headers={"Host": f"127.0.0.1:{port}"})


@asynchronous
async def test_a_bad_credential_stays_bad(opened):
    async with connected(opened, "/ws?token=nonsense", welcome=False) as client:
        assert await client.closed() == 4401


AS_ANOTHER = """
import os, socket, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
one = socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=10)
one.sendall(b"GET /ws HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
answer = b""
while b"write_access" not in answer:
    answer += one.recv(4096)
print(b'"authenticated":true' in answer)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_of_the_machine_is_nobody(opened):
    for uid, expected in ((0, "True"), (65533, "False")):
        done = subprocess.run([sys.executable, "-I", "-c", AS_ANOTHER, str(uid), str(opened.ws_port)], capture_output=True,
                              text=True, timeout=30, check=True)
        assert done.stdout.strip() == expected


@asynchronous
async def test_a_server_that_was_not_granted_it_asks_everyone(server, daemon):
    assert not await is_owner(server)
    assert not await is_owner(daemon)
