"""What clients send: the protocol's rules, and messages that are none."""

import json
import socket
import struct

import pytest
from conftest import TOKEN, Daemon, asynchronous, connected

MASK = b"\x01\x02\x03\x04"


class Raw:
    """A client that may break the protocol."""

    def __init__(self, server, path="/ws"):
        self.socket = socket.create_connection(("127.0.0.1", server.ws_port), timeout=10)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    @staticmethod
    def frame(payload, first=0x81, mask=MASK):
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload)) \
            if len(payload) < 65536 else b"\xff" + struct.pack(">Q", len(payload))
        if mask is None:
            return bytes([first, length[0] & 0x7f]) + length[1:] + payload
        return bytes([first]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))

    def send(self, payload, **options):
        self.socket.sendall(self.frame(payload, **options))

    def send_all(self, *messages):
        """In one packet."""
        self.socket.sendall(b"".join(self.frame(json.dumps(message).encode()) for message in messages))

    def receive(self):
        """First byte and payload of the next frame."""
        first, length = self.file.read(2)
        assert length < 128, "servers do not mask"
        if length == 126:
            length, = struct.unpack(">H", self.file.read(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.file.read(8))
        return first, self.file.read(length)

    def closed(self):
        """The code of the close frame, behind which nothing comes."""
        first, payload = self.receive()
        while first != 0x88:
            first, payload = self.receive()
        assert self.file.read() == b""
        return struct.unpack(">H", payload[:2])[0]


BROKEN = {
    "unmasked": (1002, dict(payload=b"{}", mask=None)),
    "RSV1, as if compressed": (1002, dict(payload=b"{}", first=0xc1)),
    "RSV2": (1002, dict(payload=b"{}", first=0xa1)),
    "RSV3": (1002, dict(payload=b"{}", first=0x91)),
    "unknown opcode": (1002, dict(payload=b"{}", first=0x83)),
    "continuation of nothing": (1002, dict(payload=b"{}", first=0x80)),
    "fragmented ping": (1002, dict(payload=b"", first=0x09)),
    "long ping": (1002, dict(payload=b"x" * 126, first=0x89)),
    "close with half a code": (1002, dict(payload=b"\x03", first=0x88)),
    "close with an illegal code": (1002, dict(payload=struct.pack(">H", 1005), first=0x88)),
    "bad UTF-8": (1007, dict(payload=b'{"type":"\xff"}')),
    "half a character": (1007, dict(payload=b'{"type":"\xc3')),
    "surrogate": (1007, dict(payload=b'"\xed\xa0\x80"')),
    "one byte too much": (1009, dict(payload=b" " * 65537)),
    "one byte too much, binary": (1009, dict(payload=b" " * 65537, first=0x82)),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_frame_closes_with_its_code(server, broken):
    code, frame = BROKEN[broken]
    with Raw(server) as raw:
        raw.send(**frame)
        assert raw.closed() == code


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_a_close_is_answered_with_its_code(server, code):
    with Raw(server) as raw:
        raw.send(struct.pack(">H", code) + b"bye", first=0x88)
        assert raw.closed() == code


def test_a_ping_gets_its_bytes_back(server):
    with Raw(server) as raw:
        raw.send(b"\x00\xff any bytes", first=0x89)
        first, payload = raw.receive()
        while first != 0x8a:
            first, payload = raw.receive()
        assert payload == b"\x00\xff any bytes"


def test_a_message_in_fragments_with_a_ping_between_is_one_message(server):
    with Raw(server) as raw:
        raw.send(b'{"type":"pi', first=0x01)
        raw.send(b"", first=0x89)
        raw.send(b'ng","ts":7}', first=0x80)
        frames = [raw.receive() for _ in range(4)]
        assert frames[2] == (0x8a, b"") and b'"client_ts":7' in frames[3][1]


@asynchronous
async def test_the_greatest_message_is_taken(server):
    ping = '{"type":"ping"}'
    async with connected(server) as client:
        await client.socket.send(ping.ljust(65536))
        assert (await client.next())["type"] == "pong"
        await client.socket.send(ping.ljust(65537))
        assert await client.closed() == 1009 and client.socket.close_reason == "Message too large"


def nested(depth):
    """An object with that many containers in it, each inside the other."""
    return '{"type":"ping","x":' + "[" * depth + "]" * depth + "}"


BAD = ["", "nonsense", "{", "null", "1", '"text"', "[]", '[{"type":"ping"}]', "{}{}", nested(21), '{"type":"ping",}',
       "{'type':'ping'}", '{"a":NaN}', "\0", '{"type":"ping"}\0', '{"type":"pi\0ng"}', '{"ts":1e999}']


@pytest.mark.parametrize("text", BAD)
@asynchronous
async def test_what_is_no_json_object_is_named_and_the_connection_stays(server, text):
    async with connected(server) as client:
        await client.socket.send(text)
        assert (await client.next())["data"] == {"message": "Invalid JSON format", "error_category": "validation",
                                                 "error_type": "invalid_json"}
        assert await client.quiet() == []


@pytest.mark.parametrize("text", [nested(20), "{}", '{"type":null}', '{"type":1}', '{"type":"no_such_type"}', '{"type":""}'])
@asynchronous
async def test_what_has_no_type_of_ours_is_passed_over(server, text):
    async with connected(server) as client:
        await client.socket.send(text)
        assert await client.quiet() == [] or text == nested(20)


@asynchronous
async def test_a_binary_message_is_named_and_the_connection_stays(server):
    async with connected(server) as client:
        await client.socket.send(b"{}")
        assert (await client.next())["data"] == {"message": "Binary messages not supported", "code": "BINARY_NOT_SUPPORTED"}
        assert await client.quiet() == []


@asynchronous
async def test_five_bad_messages_in_a_row_close(server):
    async with connected(server) as client:
        for bad in ("x", b"x", "[]", "x"):
            await client.socket.send(bad)
        assert len(await client.quiet()) == 4  # a good one between
        for bad in ("x", b"x", "[]", "x", "x"):
            await client.socket.send(bad)
        assert await client.closed() == 1003
        assert [frame["type"] for frame in client.got[-5:]] == ["error"] * 5


@pytest.mark.parametrize("message, error", [
    ({"type": "subscribe"}, {"message": "subscribe requires debate_id"}),
    ({"type": "subscribe", "debate_id": 7}, {"message": "subscribe requires debate_id"}),
    ({"type": "subscribe", "debate_id": "a b"}, {"error_type": "invalid_id"}),
    ({"type": "subscribe", "debate_id": "x" * 129}, {"error_type": "invalid_id"}),
    ({"type": "subscribe", "debate_id": "a\nb"}, {"error_type": "invalid_id"}),
    ({"type": "subscribe", "debate_id": "x", "replay_from_seq": "1"}, {"error_type": "invalid_seq"}),
    ({"type": "subscribe", "debate_id": "x", "replay_from_seq": -1}, {"error_type": "invalid_seq"}),
    ({"type": "subscribe", "debate_id": "x", "replay_from_seq": 1.5}, {"error_type": "invalid_seq"}),
    ({"type": "unsubscribe"}, {"message": "unsubscribe requires debate_id"}),
    ({"type": "auth"}, {"code": 401}),
])
@asynchronous
async def test_a_message_that_lacks_something_is_told_what(server, message, error):
    async with connected(server, token=TOKEN) as client:
        data = (await client.ask(message.pop("type"), "error", **message))["data"]
        assert error.items() <= data.items()
        assert await client.quiet() == []


@asynchronous
async def test_a_ping_is_answered_with_both_clocks(server):
    async with connected(server) as client:
        data = (await client.ask("ping", "pong", ts=123))["data"]
        assert data["client_ts"] == 123 and data["server_ts"] > 1_700_000_000_000
        assert "client_ts" not in (await client.ask("ping", "pong"))["data"]


@asynchronous
async def test_the_fifty_first_subscription_is_refused(daemon):
    async with connected(daemon, token=TOKEN) as client:
        for i in range(50):
            await client.ask("subscribe", "sync", debate_id=f"many-{i}")
        assert (await client.ask("subscribe", "error", debate_id="many-50"))["data"]["code"] == 429
        await client.ask("subscribe", "sync", debate_id="many-7")  # again
        await client.ask("unsubscribe", "unsubscribed", debate_id="many-7")
        await client.ask("subscribe", "sync", debate_id="many-50")


@asynchronous
async def test_what_a_client_sends_before_it_is_answered_is_kept():
    """The frames stand behind the handshake in one packet."""
    daemon = Daemon().ready()
    try:
        with socket.create_connection(("127.0.0.1", daemon.ws_port), timeout=10) as one:
            one.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + 3 * Raw.frame(b'{"type":"ping"}'))
            answer = b""
            while answer.count(b'"pong"') < 3:
                answer += one.recv(4096)
            assert answer.index(b"loop_list") < answer.index(b"pong")
    finally:
        assert daemon.stop() == 0
