"""Fixtures: the real programs behind the real lighttpd, on a free port, in a directory that goes."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import httpx
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# TEST_BIN: programs of another build, such as build/san/bin.
BIN = pathlib.Path(os.environ.get("TEST_BIN") or ROOT / "build" / "bin")
SANITIZED = b"__asan_init" in (BIN / "aragora").read_bytes()
SLOWER = 4 if SANITIZED else 1  # times what a limit allows


def clean_environment(data, **settings):
    """No setting of the caller's reaches the programs."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ARAGORA_", "OTEL_"))}
    env.pop("DATABASE_URL", None)
    return env | {"ARAGORA_DATA_DIR": str(data)} | settings


def run(data, *arguments, **settings):
    return subprocess.run([BIN / "aragora", *arguments], env=clean_environment(data, **settings),
                          capture_output=True, text=True, timeout=60)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def behind(web_server):
    """What makes a Server stand behind this web server; Apache's children refuse to be root."""
    user = ("--user", "nobody") if web_server == "apache" and os.getuid() == 0 else ()
    return {"program_arguments": ("--web-server", web_server, *user), "folder_mode": 0o711}


class Server:
    def __init__(self, before=None, host=None, program_arguments=(), folder_mode=0o700, stderr=None,
                 **settings):
        """before: one that is dead, whose data directory and stream port this one takes over."""
        self.settings = settings
        self.ws_port = before.ws_port if before else free_port()
        self.folder = before.folder if before else pathlib.Path(tempfile.mkdtemp(prefix="aragora-api-"))
        self.folder.chmod(folder_mode)
        self.data = self.folder / "data"
        self.process = subprocess.Popen(
            [BIN / "aragora", "serve", "--port", "0", "--ws-port", str(self.ws_port),
             *(("--host", host) if host else ()), *program_arguments],
            env=clean_environment(self.data, **settings), stdout=subprocess.PIPE, stderr=stderr,
            text=True)
        line = self.process.stdout.readline()
        assert line.startswith("aragora: ready on "), line
        self.url = line.split()[-1]

    def client(self, key=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def key(self):
        made = run(self.data, "apikey", "create", "test", **self.settings)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def children(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-a"], capture_output=True,
                               text=True).stdout
        return [(int(line.split()[0]), line) for line in found.splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=40)
        shared = os.stat(self.data)
        pathlib.Path(f"/dev/shm/aragora-{shared.st_dev:x}-{shared.st_ino:x}").unlink(missing_ok=True)
        shutil.rmtree(self.folder)
        return status


@pytest.fixture(scope="session")
def server():
    """Limits are raised by settings, so that the tests do not wait for each other."""
    one = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_API_TOKEN="server-token-of-the-tests",
                 ARAGORA_DEMO_DELAY_MS="0")
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="session")
def owner(server):
    with server.client(server.key()) as client:
        yield client


@pytest.fixture(scope="session")
def anonymous(server):
    with server.client() as client:
        yield client
