"""One worker, spoken to in FastCGI records as no tame web server would."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest
from cgi_request import WORKER, data  # noqa: F401 - its fixture
from conftest import clean_environment

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
QUEUE = 64
READ = "0"  # the number of the system call on x86-64


def record(kind, content=b""):
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def opening(method, path, keep=False, **variables):
    """A request up to its body."""
    env = {"REQUEST_METHOD": method, "SCRIPT_NAME": path, "REQUEST_URI": path, "QUERY_STRING": "",
           "REMOTE_ADDR": "192.0.2.1", "SERVER_PROTOCOL": "HTTP/1.1"} | variables
    pairs = b"".join(struct.pack(">BB", len(k), len(v)) + k.encode() + v.encode() for k, v in env.items())
    return record(BEGIN, struct.pack(">HB5x", 1, keep)) + record(PARAMS, pairs) + record(PARAMS)


def answer_of(connection):
    """What the worker writes up to the end of the request, and whether that came."""
    stream, text = connection.makefile("rb"), b""
    with contextlib.suppress(ConnectionError):
        while len(head := stream.read(8)) == 8:
            _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", head)
            content = stream.read(length + padding)[:length]
            if kind == END:
                return text, True
            text += content if kind == STDOUT else b""
    return text, False


def reads(pid):
    """Is it inside read()?"""
    return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0] == READ


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


class Worker:
    def __init__(self, folder, family, **settings):
        self.listening = socket.socket(family)
        self.listening.bind(str(folder / "worker.sock") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        self.listening.listen(2 * QUEUE)
        self.process = subprocess.Popen([WORKER], stdin=self.listening, env=clean_environment(folder, **settings))

    def connect(self):
        connection = socket.socket(self.listening.family)
        connection.settimeout(20)
        connection.connect(self.listening.getsockname())
        return connection


@pytest.fixture(params=[socket.AF_UNIX, socket.AF_INET], ids=["unix", "tcp"])
def worker(request, data):  # noqa: F811
    worker = Worker(data, request.param)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
        worker.listening.close()
        with contextlib.suppress(FileNotFoundError):
            (data / "worker.sock").unlink()


def test_an_answer_is_whole_when_the_input_ends_late(worker):
    with worker.connect() as connection:
        connection.sendall(opening("GET", "/healthz"))
        time.sleep(0.2)
        connection.sendall(record(STDIN))
        text, whole = answer_of(connection)
    assert whole and text.startswith(b"Status: 200\r\n") and text.endswith(b'{"status":"ok"}')


def test_a_refusal_reaches_a_client_that_is_still_sending(worker):
    """The body stays unread, since nobody is signed in."""
    with worker.connect() as connection:
        connection.sendall(opening("POST", "/api/v1/debates", CONTENT_LENGTH="400000"))
        for _ in range(16):
            connection.sendall(record(STDIN, b" " * 25000))
        connection.sendall(record(STDIN))
        text, whole = answer_of(connection)
    assert whole and text.startswith(b"Status: 401\r\n"), text


def test_a_connection_to_be_kept_is_kept(worker):
    with worker.connect() as connection:
        for _ in range(3):
            connection.sendall(opening("GET", "/healthz", keep=True) + record(STDIN))
            text, whole = answer_of(connection)
            assert whole and text.startswith(b"Status: 200\r\n")


def test_a_stop_does_not_wait_for_requests_to_cease(worker):
    """It is told while it reads the first of many; it ends among them, without cutting one."""
    first = worker.connect()
    request = opening("GET", "/healthz") + record(STDIN)
    first.sendall(request[:20])
    until(lambda: worker.process.poll() is None and reads(worker.process.pid))
    connections = [worker.connect() for _ in range(QUEUE)]
    for connection in connections:
        connection.sendall(request)
    os.kill(worker.process.pid, signal.SIGTERM)
    first.sendall(request[20:])
    assert worker.process.wait(timeout=10) == 0
    worker.listening.close()  # resets what nobody accepted
    answers = [answer_of(connection) for connection in [first, *connections]]
    for connection in [first, *connections]:
        connection.close()
    assert answers[0][1]
    assert all(whole or text == b"" for text, whole in answers)
    assert sum(whole for _, whole in answers) < QUEUE / 2
