"""The server that is measured, and what its processes spend and keep."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS = 2
JSON = {"Content-Type": "application/json"}
SETTINGS = {
    "ARAGORA_RATE_LIMIT_PUBLIC": "100000000",
    "ARAGORA_RATE_LIMIT_AUTHENTICATED": "100000000",
    "ARAGORA_RATE_LIMIT_ADMIN": "100000000",
    "ARAGORA_RATE_LIMIT_DEBATE_CREATE": "100000000",
    "ARAGORA_RATE_LIMIT_ORGANIZATION": "100000000",
    "ARAGORA_DEMO_DELAY_MS": "0",
}


class Failed(Exception):
    pass


def start(stack, command, number, **how):
    """Ended by this signal when the stack unwinds."""
    process = subprocess.Popen(command, **how)
    stack.callback(end, process, number)
    return process


def end(process, number):
    process.send_signal(number)
    try:
        process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ask(port, method, path, headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply, reply.read()
    finally:
        connection.close()


def program(name, *arguments, **how):
    """What a program of build/bench prints, in numbers."""
    done = subprocess.run([ROOT / "build/bench" / name, *map(str, arguments)], capture_output=True,
                          text=True, timeout=120, **how)
    if done.returncode:
        raise Failed(f"{name}: {done.stderr}")
    return [float(word) for word in done.stdout.split()]


class Subject:
    """aragora serve, with a key."""

    def __init__(self, stack, directory, ws_port=0, workers=WORKERS, offline=True, **settings):
        directory.mkdir(exist_ok=True)
        self.data = directory / "data"
        env = {k: v for k, v in os.environ.items() if not k.startswith("ARAGORA_")}
        env.pop("DATABASE_URL", None)
        env |= SETTINGS | {"ARAGORA_DATA_DIR": str(self.data)} | settings
        aragora = ROOT / "build/bin/aragora"
        log = stack.enter_context(open(directory / "serve.log", "w+"))
        stack.callback(self.unlink_segment)
        command = [aragora, "serve", "--port", "0", "--ws-port", str(ws_port),
                   "--workers", str(workers), *(["--offline"] if offline else [])]
        self.process = start(stack, command, signal.SIGTERM, env=env, stdout=subprocess.PIPE,
                             stderr=log, text=True)
        line = stack.enter_context(self.process.stdout).readline()
        if not line.startswith("aragora: ready on "):
            log.seek(0)
            raise Failed(f"aragora serve is not ready:\n{log.read()}")
        self.url = line.split()[-1]
        self.port = int(line.rsplit(":", 1)[1])
        self.configuration = (self.data / "run/lighttpd.conf").read_text()
        made = subprocess.run([aragora, "apikey", "create", "bench"], env=env, capture_output=True,
                              text=True, check=True)
        self.workers = self.processes("aragora-fcgi")
        self.key = {"Authorization": f"Bearer {made.stdout.strip()}"}

    def processes(self, name):
        """Ids of the programs of this name below aragora serve."""
        server = self.process.pid
        children = pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [pid for pid in children
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name]

    def new_debate(self, **request):
        reply, body = ask(self.port, "POST", "/api/v1/debates", self.key | JSON,
                          json.dumps({"task": "Is the time worth its price?"} | request))
        if reply.status != 200:
            raise Failed(f"a debate was not accepted: {reply.status} {body.decode()}")
        return json.loads(body)["debate_id"]

    def debate(self, debate_id):
        _, body = ask(self.port, "GET", "/api/v1/debates/" + debate_id, self.key)
        return json.loads(body)

    def wait_for(self, debates, seconds):
        """Until all are completed."""
        limit = time.monotonic() + seconds
        for debate_id in debates:
            while (status := self.debate(debate_id)["status"]) != "completed":
                if status in ("failed", "cancelled") or time.monotonic() > limit:
                    raise Failed(f"a debate is {status} after {seconds} s at most")
                time.sleep(0.02)

    def finished_debate(self):
        debate_id = self.new_debate()
        self.wait_for([debate_id], 10)
        return "/api/v1/debates/" + debate_id

    def unlink_segment(self):
        if self.data.exists():
            shared = os.stat(self.data)
            segment = pathlib.Path(f"/dev/shm/aragora-{shared.st_dev:x}-{shared.st_ino:x}")
            segment.unlink(missing_ok=True)


def spent_us(pids):
    """Time on a processor, of programs with one thread."""
    return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
               for pid in pids) / 1000


def spent_ms(pid):
    """Time on a processor, of all threads, also those that have ended; in ticks of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_kb(pid):
    """Memory that the process shares with no other."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"(?m)^Private_(?:Clean|Dirty):\s+(\d+) kB", rollup)))
