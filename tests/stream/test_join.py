"""Who comes in: the first messages, tokens, origins, paths, limits."""

import asyncio
import contextlib
import json
import socket

import httpx
import pytest
import websockets
from conftest import TOKEN, Daemon, asynchronous, connected
from test_messages import Raw

BAD = "ara_a-token-that-nobody-ever-made-of-43-letters"


@asynchronous
async def test_a_connection_is_told_who_it_is_and_what_runs(server, owner):
    async with connected(server, token=TOKEN, welcome=False) as client:
        info, loops = await client.next(), await client.next()
    assert info["type"] == "connection_info" and isinstance(info["timestamp"], float)
    assert set(info["data"]) == {"authenticated", "client_id", "write_access", "epoch"}
    assert info["data"]["authenticated"] is info["data"]["write_access"] is True
    assert len(info["data"]["client_id"]) == 11 and info["data"]["client_id"].endswith("...")
    assert loops["type"] == "loop_list" and loops["data"]["count"] == len(loops["data"]["loops"])


@asynchronous
async def test_loop_list_names_the_debates_of_the_organisation_that_run(daemon):
    other = daemon.journal.organisation("lister")
    for org, task in (("default", "x" * 100), ("lister", "other")):
        daemon.journal.loop("list-" + org, org)
        daemon.journal.run(("INSERT INTO debates (org_id, debate_id, slug, task, agents, request, consensus_mode, rounds_requested,"
                            " created_at, updated_at) VALUES (?, ?, 's', ?, '[]', '{}', 'majority', 1, 1000000, 1)",
                            (org, "list-" + org, task)))
    async with connected(daemon, token=TOKEN) as mine, connected(daemon, token=other) as theirs:
        listed = (await mine.ask("get_loops", "loop_list"))["data"]
        assert listed == {"count": 1, "loops": [{"loop_id": "list-default", "name": "x" * 80, "started_at": 1.0, "cycle": 0,
                                                 "phase": "running", "path": ""}]}
        listed = (await theirs.ask("get_loops", "loop_list"))["data"]
        assert [loop["loop_id"] for loop in listed["loops"]] == ["list-lister"]
    async with connected(daemon, token=daemon.journal.key("--scope", "receipts.read")) as blind, connected(daemon) as nobody:
        assert blind.got[1]["data"]["count"] == nobody.got[1]["data"]["count"] == 0
        assert (await blind.ask("get_loops", "loop_list"))["data"]["count"] == 0


PLACES = {
    "header": lambda token: {"headers": {"Authorization": f"bearer {token}"}},
    "protocol": lambda token: {"subprotocols": ["aragora-v1", f"access_token.{token}"]},
    "query": lambda token: {"path": f"/ws?x=1&token={token}"},
    "message": None,
}


@pytest.mark.parametrize("place", PLACES)
@asynchronous
async def test_a_token_counts_in_every_place(server, place):
    async with connected(server, **(PLACES[place](TOKEN) if PLACES[place] else {})) as client:
        if not PLACES[place]:
            assert client.got[0]["data"]["authenticated"] is client.got[0]["data"]["write_access"] is False
            await client.ask("auth", "loop_list", token=TOKEN)
        assert client.got[-2]["data"]["authenticated"] is client.got[-2]["data"]["write_access"] is True
        assert client.socket.subprotocol == ("aragora-v1" if place == "protocol" else None)
        assert TOKEN not in json.dumps(client.got) and TOKEN not in str(client.socket.response_headers)


@pytest.mark.parametrize("token", [BAD, "nonsense", "%00", "a:1:b"])
@pytest.mark.parametrize("place", PLACES)
@asynchronous
async def test_a_bad_token_is_refused_in_every_place_and_told_to_nobody(server, place, token):
    if place == "protocol" and token != BAD:
        token = token.replace("%", "").replace(":", "")
    async with connected(server, welcome=False, **(PLACES[place](token) if PLACES[place] else {})) as client:
        if not PLACES[place]:
            await client.say("auth", token=token)
        assert await client.closed() == 4401
    assert (client.got[-1]["type"], client.got[-1]["data"]["code"]) == ("error", 401)
    assert len(client.got) == (1 if PLACES[place] else 3)
    told = json.dumps(client.got) + str(client.socket.response_headers) + server.log.read_text()
    for log in (server.data / "log").iterdir():
        told += log.read_text()
    assert BAD not in told and TOKEN not in told


@asynchronous
async def test_a_token_in_the_header_goes_before_one_in_the_query(server):
    async with connected(server, "/ws?token=" + BAD, token=TOKEN) as client:
        assert client.got[0]["data"]["authenticated"] is True


@asynchronous
async def test_an_access_token_alone_is_no_protocol_to_answer(server):
    async with connected(server, subprotocols=["access_token." + TOKEN]) as client:
        assert client.got[0]["data"]["authenticated"] and "Sec-WebSocket-Protocol" not in client.socket.response_headers


def test_what_follows_a_login_at_once_is_done_as_who_logged_in(daemon):
    daemon.journal.loop("after-login")
    daemon.journal.append("after-login", 3)
    with Raw(daemon) as raw:
        raw.send_all({"type": "auth", "token": TOKEN}, {"type": "subscribe", "debate_id": "after-login"}, {"type": "ping"})
        frames = [json.loads(raw.receive()[1]) for _ in range(7)]
    assert [frame["type"] for frame in frames] == ["connection_info", "loop_list", "connection_info", "loop_list", "pong",
                                                   "sync", "debate_start"]
    assert frames[5]["data"]["as_of_seq"] == 3


@asynchronous
async def test_who_logs_in_sees_what_it_subscribed_to_before(daemon):
    daemon.journal.loop("before-login")
    daemon.journal.append("before-login", 2)
    async with connected(daemon) as client:
        assert (await client.ask("subscribe", "sync", debate_id="before-login"))["data"]["status"] == "waiting"
        assert (await client.ask("auth", "sync", token=TOKEN))["data"]["as_of_seq"] == 2
        daemon.journal.append("before-login")
        assert (await client.until("agent_message"))[-1]["seq"] == 3


@asynchronous
async def test_a_key_that_may_read_no_debates_sees_none(daemon):
    daemon.journal.loop("unread")
    daemon.journal.append("unread")
    key = daemon.journal.key("--scope", "receipts.read")
    async with connected(daemon, "/ws?debate_id=unread", token=key) as client:
        assert (await client.until("error"))[-1]["data"]["code"] == 403
        assert (await client.ask("subscribe", "error", debate_id="unread"))["data"]["code"] == 403
        assert await client.quiet() == []


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/", "/ws?x=1", "/ws/debate/abc", "/ws/debate/abc/", "/?debate_id=abc"])
@asynchronous
async def test_a_known_path(server, path):
    async with connected(server, path) as client:
        if "abc" in path:
            assert (await client.until("sync"))[-1]["debate_id"] == "abc"


@pytest.mark.parametrize("path", ["/x", "/ws/x", "/ws//", "/wsx", "/ws/debate/", "/ws/debate/a%20b", "/ws/debate/a/b", "/health/"])
@asynchronous
async def test_an_unknown_path_is_404_before_the_upgrade(server, path):
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        async with connected(server, path):
            pass
    assert refused.value.status_code == 404


@asynchronous
async def test_an_id_in_the_query_that_cannot_be_one_is_said(server):
    async with connected(server, "/ws?debate_id=a%20b") as client:
        assert (await client.until("error"))[-1]["data"]["error_type"] == "invalid_id"


@pytest.mark.parametrize("origin, allowed", [
    ("http://localhost:3000", True), ("https://aragora.ai", True), ("http://localhost:3000/", False),
    ("https://evil.example", False), ("null", False), ("https://aragora.ai.evil.example", False),
])
@pytest.mark.parametrize("through", ["port", "web server"])
@asynchronous
async def test_a_browser_must_come_from_an_allowed_origin(server, origin, allowed, through):
    port = int(server.url.rsplit(":", 1)[1]) if through == "web server" else server.ws_port
    async with connected(server, token=TOKEN, headers={"Origin": origin}, welcome=allowed, port=port) as client:
        if not allowed:
            assert await client.closed() == 4003 and client.socket.close_reason == "Origin not allowed" and not client.got


@asynchronous
async def test_a_stream_comes_through_the_web_server(server):
    port = int(server.url.rsplit(":", 1)[1])
    async with connected(server, f"/ws/debate/abc?token={TOKEN}", port=port, subprotocols=["aragora-v1"]) as client:
        assert client.socket.subprotocol == "aragora-v1" and client.got[0]["data"]["authenticated"]
        assert (await client.until("sync"))[-1]["debate_id"] == "abc"


def test_health_tells_the_counts(server):
    health = server.healthy()
    assert health["status"] == "healthy" and set(health) == {"status", "connections", "loops", "version"}
    assert health["connections"] >= 1  # the one that asks


def test_what_is_no_upgrade_gets_an_http_status(server):
    url = f"http://127.0.0.1:{server.ws_port}"
    assert httpx.get(url + "/ws", trust_env=False).status_code == 426
    assert httpx.post(url + "/ws", trust_env=False).status_code == 405
    assert httpx.get(url + "/ws", headers={"X": "x" * 9000}, trust_env=False).status_code == 431


def test_a_handshake_may_come_byte_by_byte(server):
    request = ("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.ws_port), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request.encode():
            one.send(bytes([byte]))
        answer = b""
        while b"connection_info" not in answer:
            answer += one.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


@asynchronous
async def test_two_hundred_connections_at_once_are_all_served(server):
    async with contextlib.AsyncExitStack() as stack:
        clients = await asyncio.gather(*[stack.enter_async_context(connected(server, token=TOKEN)) for _ in range(200)])
        await asyncio.gather(*[client.quiet() for client in clients])
        assert server.healthy()["connections"] >= 201
        assert len({client.got[0]["data"]["client_id"] for client in clients}) == 200


@pytest.fixture(scope="module")
def strict():
    one = Daemon(ARAGORA_DISABLE_ALL_RATE_LIMITS="false").ready()
    yield one
    assert one.stop() == 0


def from_address(address):
    """Each test has its own, which a trusted proxy tells of."""
    return {"X-Forwarded-For": address}


@asynchronous
async def test_the_eleventh_connection_of_an_address_is_refused(strict):
    async with contextlib.AsyncExitStack() as stack:
        async def one(address, welcome=True):
            return await stack.enter_async_context(connected(strict, headers=from_address(address), welcome=welcome))
        first, *_ = [await one("192.0.2.1") for _ in range(10)]
        refused = await one("192.0.2.1", False)
        assert await refused.closed() == 4029
        assert refused.socket.close_reason == "Max concurrent connections exceeded (10)"
        await one("192.0.2.2")
        await first.socket.close()
        await one("192.0.2.1")


@asynchronous
async def test_the_thirty_first_connection_in_a_minute_is_refused(strict):
    headers = from_address("192.0.2.3, 127.0.0.1")
    for _ in range(30):
        async with connected(strict, headers=headers):
            pass
    async with connected(strict, headers=headers, welcome=False) as refused:
        assert await refused.closed() == 4029
    assert refused.socket.close_reason == "Connection rate limit exceeded (30/min)"


@asynchronous
async def test_a_connection_refused_for_its_number_does_not_count_in_the_minute(strict):
    headers = from_address("192.0.2.4")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connected(strict, headers=headers))
        for _ in range(25):
            async with connected(strict, headers=headers, welcome=False) as refused:
                assert await refused.closed() == 4029 and "concurrent" in refused.socket.close_reason
    for _ in range(20):
        async with connected(strict, headers=headers):
            pass


@asynchronous
async def test_the_twenty_first_quick_message_is_refused_and_the_connection_stays(strict):
    async with connected(strict, headers=from_address("192.0.2.5")) as client:
        for _ in range(25):
            await client.say("ping")
        answers = [await client.next() for _ in range(25)]
        assert [a["type"] for a in answers[:20]] == ["pong"] * 20
        assert [a["data"] for a in answers if a["type"] == "error"][:1] == [
            {"message": "Message rate limit exceeded. Please slow down.", "code": 429}]
        while (await client.ask("ping", lambda frame: True))["type"] != "pong":
            await asyncio.sleep(0.05)  # the bucket fills with time


@asynchronous
async def test_who_never_slows_down_is_sent_away(strict):
    async with connected(strict, headers=from_address("192.0.2.6")) as client:
        for _ in range(100):
            await client.say("ping")
        assert await client.closed() == 1008
        assert len([frame for frame in client.got if frame["type"] == "error"]) == 50
