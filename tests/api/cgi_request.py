"""One request to the worker as a CGI program, without a server around it."""

import email
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import BIN, clean_environment, run

WORKER = BIN / "aragora-fcgi"


@pytest.fixture(scope="module")
def data():
    """A data directory with an empty database."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="aragora-cgi-"))
    try:
        assert run(path, "migrate").returncode == 0
        yield path
    finally:
        shared = os.stat(path)
        pathlib.Path(f"/dev/shm/aragora-{shared.st_dev:x}-{shared.st_ino:x}").unlink(missing_ok=True)
        shutil.rmtree(path)


def ask(data, method, path, body=b"", behind=b"", **variables):
    """Status, headers, body. behind: what follows the body on an input that does not end."""
    env = clean_environment(data) | {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.1", "SERVER_PROTOCOL": "HTTP/1.1"}
    if body:
        env |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    ends = os.pipe()
    try:
        os.write(ends[1], body + behind)
        done = subprocess.run([WORKER], stdin=ends[0], env=env | variables, capture_output=True, timeout=20)
    finally:
        os.close(ends[0])
        os.close(ends[1])
    assert done.returncode == 0, done.stderr
    head, content = done.stdout.split(b"\r\n\r\n", 1)
    headers = email.message_from_bytes(head)
    assert int(headers["content-length"]) == len(content) or method == "HEAD"
    return int(headers["status"]), headers, content
