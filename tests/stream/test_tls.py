"""The stream port under TLS, apart from what the whole system shows in tests/api/test_tls.py."""

import asyncio
import contextlib
import pathlib
import shutil
import socket
import ssl
import tempfile
import time

import httpx
import pytest
from authority import Authority
from conftest import LIMIT_S, TOKEN, Daemon, asynchronous, connected, seqs


class SecureDaemon(Daemon):
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aragora-tls-"))
        authority = Authority(self.folder, "ours")
        super().__init__(**authority.certificate("server"))
        self.context = ssl.create_default_context(cafile=authority.file)

    def healthy(self):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            with contextlib.suppress(httpx.ConnectError):
                return httpx.get(f"https://127.0.0.1:{self.ws_port}/health", verify=self.context, trust_env=False).json()
        raise AssertionError("streamd does not answer")

    def stop(self, **options):
        shutil.rmtree(self.folder)
        return super().stop(**options)


@pytest.fixture(scope="module")
def secure():
    one = SecureDaemon().ready()
    yield one
    assert one.stop() == 0


def slow_socket(server):
    """One whose peer has room for little."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", server.ws_port))
    return line


def follow(server, loop, **options):
    return connected(server, f"/ws?loop_id={loop}&last_seq=0", token=TOKEN, secure=True, ssl=server.context,
                     server_hostname="127.0.0.1", **options)


@asynchronous
async def test_what_is_larger_than_records_and_sockets_arrives_whole(secure):
    """What the socket has no room for is kept, and goes out unchanged when it has."""
    secure.journal.loop("large")
    secure.journal.append("large", 100, data={"content": "0123456789" * 4000, "role": "proposer"})
    secure.journal.append("large", 3000)
    async with follow(secure, "large", sock=slow_socket(secure), max_queue=1) as slow, follow(secure, "large") as quick:
        got = await quick.until(lambda frame: frame.get("seq") == 3100)
        assert seqs(got)[-3100:] == list(range(1, 3101))
        got = await slow.until(lambda frame: frame.get("seq") == 3100)
        assert seqs(got)[-3100:] == list(range(1, 3101))
        assert all(frame["data"]["content"] == "0123456789" * 4000 for frame in got if 1 <= frame.get("seq", 0) <= 100)


@asynchronous
async def test_the_end_is_said_in_tls_too(secure):
    async with follow(secure, "none") as client:
        await client.socket.close()
        assert client.socket.close_code == 1000


def test_whoever_does_not_finish_the_handshake_holds_nobody_up(secure):
    idle = [socket.create_connection(("127.0.0.1", secure.ws_port)) for _ in range(20)]
    idle[0].sendall(b"\x16\x03\x01\x02\x00\x01")
    assert secure.healthy()["status"]
    for line in idle:
        line.close()


def test_a_web_server_of_the_same_user_comes_in_the_clear(secure):
    path = secure.data / "run/stream.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), trust_env=False) as client:
        assert client.get("http://localhost/health").status_code == 200
