"""What the server costs above the least that lighttpd and libfcgi cost (make bench).

Subject and floor have the same lighttpd configuration, number of processes, answer and load, and
take turns, so that what else the machine does meets both alike. Writes a table: the medians in
requests per second, the median of the ratios of each turn, and the processor's time that a
request takes of our workers, which is steadier. Behind them what is measured without a web server.
Exit status 1 if an answer was not 2xx or did not come; a value beyond its target is only said,
because it is noisy.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS = 2
CONNECTIONS = 16
CGI_STARTS = 50
BACKLOG = 64  # as aragora serve
TARGETS = {"healthz": 0.85, "debate_get": 0.45, "fanout": 0.5}  # of the floor
CLIENTS, FRAMES, FRAME_BYTES = 1000, 4000, 200  # of the fan-out
EVENTS_PER_SECOND = 200  # while latencies are measured, with a tenth of the clients
# Not the worker's.
WEB_SERVER_HEADERS = {"accept-ranges", "connection", "date", "server", "transfer-encoding"}
SETTINGS = {
    "ARAGORA_RATE_LIMIT_PUBLIC": "100000000",
    "ARAGORA_RATE_LIMIT_AUTHENTICATED": "100000000",
    "ARAGORA_RATE_LIMIT_ADMIN": "100000000",
    "ARAGORA_RATE_LIMIT_DEBATE_CREATE": "100000000",
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


def ask(port, method, path, headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply, reply.read()
    finally:
        connection.close()


def answer_of(port, path, headers):
    """As the worker gave it to the web server."""
    reply, body = ask(port, "GET", path, headers)
    lines = [f"Status: {reply.status}"]
    lines += [f"{k}: {v}" for k, v in reply.getheaders() if k.lower() not in WEB_SERVER_HEADERS]
    return "\r\n".join(lines + ["", ""]).encode() + body


class Subject:
    """aragora serve, with a key and a debate that is over."""

    def __init__(self, stack, directory, ws_port=0, **settings):
        directory.mkdir(exist_ok=True)
        self.data = directory / "data"
        env = {k: v for k, v in os.environ.items() if not k.startswith("ARAGORA_")}
        env.pop("DATABASE_URL", None)
        env |= SETTINGS | {"ARAGORA_DATA_DIR": str(self.data)} | settings
        program = ROOT / "build/bin/aragora"
        log = stack.enter_context(open(directory / "serve.log", "w+"))
        stack.callback(self.unlink_segment)
        command = [program, "serve", "--port", "0", "--ws-port", str(ws_port), "--workers", str(WORKERS), "--offline"]
        process = start(stack, command, signal.SIGTERM, env=env, stdout=subprocess.PIPE, stderr=log,
                        text=True)
        line = stack.enter_context(process.stdout).readline()
        if not line.startswith("aragora: ready on "):
            log.seek(0)
            raise Failed(f"aragora serve is not ready:\n{log.read()}")
        self.port = int(line.rsplit(":", 1)[1])
        self.configuration = (self.data / "run/lighttpd.conf").read_text()
        made = subprocess.run([program, "apikey", "create", "bench"], env=env, capture_output=True,
                              text=True, check=True)
        self.workers = workers_of(process.pid)
        self.key = {"Authorization": f"Bearer {made.stdout.strip()}"}

    def new_debate(self):
        reply, body = ask(self.port, "POST", "/api/v1/debates",
                          self.key | {"Content-Type": "application/json"},
                          json.dumps({"task": "Is the time worth its price?"}))
        if reply.status != 200:
            raise Failed(f"a debate was not accepted: {reply.status} {body.decode()}")
        return json.loads(body)["debate_id"]

    def finished_debate(self):
        path = "/api/v1/debates/" + self.new_debate()
        for _ in range(200):
            _, body = ask(self.port, "GET", path, self.key)
            if json.loads(body)["status"] in ("completed", "failed"):
                return path
            time.sleep(0.05)
        raise Failed("the debate did not end")

    def unlink_segment(self):
        if self.data.exists():
            shared = os.stat(self.data)
            segment = pathlib.Path(f"/dev/shm/aragora-{shared.st_dev:x}-{shared.st_ino:x}")
            segment.unlink(missing_ok=True)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Floor:
    """The hello program in as many processes, behind a lighttpd of its own."""

    def __init__(self, stack, directory, configuration, answer):
        directory.mkdir()
        (directory / "answer").write_bytes(answer)
        path = directory / "fcgi.sock"
        with socket.socket(socket.AF_UNIX) as shared:
            shared.bind(str(path))
            shared.listen(BACKLOG)
            for _ in range(WORKERS):
                start(stack, [ROOT / "build/bench/hello", directory / "answer"], signal.SIGTERM,
                      stdin=shared)
        self.port = free_port()
        text = re.sub(r"(?m)^server\.port = \d+$", f"server.port = {self.port}", configuration)
        text = re.sub(r'("socket" => )"[^"]*"', rf'\1"{path}"', text)
        (directory / "lighttpd.conf").write_text(text)
        env = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"}
        start(stack, ["lighttpd", "-D", "-f", directory / "lighttpd.conf"], signal.SIGINT, env=env)

    def wait_for(self, answer):
        for _ in range(100):
            with contextlib.suppress(OSError):
                if answer_of(self.port, "/", {}) == answer:
                    return
                break
            time.sleep(0.05)
        raise Failed("the floor does not answer as the subject")


def workers_of(server):
    """Process ids of the workers below aragora serve."""
    children = pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [pid for pid in children
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "aragora-fcgi"]


def spent_us(pids):
    """Time on a processor."""
    return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
               for pid in pids) / 1000


def load(port, path, headers, seconds):
    """Requests per second, and how many there were."""
    sent = [word for k, v in headers.items() for word in ("-H", f"{k}: {v}")]
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *sent,
         f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", done.stdout, re.M)
    if done.returncode or not rate or re.search(r"Non-2xx|Socket errors", done.stdout):
        raise Failed(f"wrk on {path}:\n{done.stdout}{done.stderr}")
    count = re.search(r"^\s+(\d+) requests in", done.stdout, re.M)
    return float(rate[1]), int(count[1])


def turn(floor_port, subject, path, headers, seconds, subject_first):
    """Requests per second of the floor and of the subject, microseconds of our workers each."""
    def measured():
        before = spent_us(subject.workers)
        rate, count = load(subject.port, path, headers, seconds)
        return rate, (spent_us(subject.workers) - before) / count
    if subject_first:
        rate, cpu = measured()
    least, _ = load(floor_port, path, headers, seconds)
    if not subject_first:
        rate, cpu = measured()
    return least, rate, cpu


def compare(directory, subject, row, options):
    name, path, headers = row
    answer = answer_of(subject.port, path, headers)
    with contextlib.ExitStack() as stack:
        floor = Floor(stack, directory / name, subject.configuration, answer)
        floor.wait_for(answer)
        for port in (floor.port, subject.port):
            load(port, path, headers, 1)
        turns = [turn(floor.port, subject, path, headers, options.seconds, number % 2)
                 for number in range(options.rounds)]
    least, value, cpu = (statistics.median(column) for column in zip(*turns))
    ratio = statistics.median(subject_rate / floor_rate for floor_rate, subject_rate, _ in turns)
    verdict = ": BELOW TARGET" if ratio < TARGETS[name] else ""
    print(f"{name}: {value:.0f} requests/s, floor {least:.0f}, ratio {ratio:.3f},"
          f" {cpu:.1f} us of a worker, target {TARGETS[name]}{verdict}", flush=True)
    return f"{name}\t{value:.0f}\trequests/s\t{least:.0f}\t{ratio:.3f}\t{cpu:.1f}\n"


def plain(name, value, unit):
    print(f"{name}: {value} {unit}", flush=True)
    return f"{name}\t{value}\t{unit}\t\t\t\n"


def cgi_start(subject):
    """Milliseconds of a process that answers one request; the median."""
    env = {"ARAGORA_DATA_DIR": str(subject.data), "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET",
           "PATH_INFO": subject.debate, "HTTP_AUTHORIZATION": subject.key["Authorization"]}
    took = []
    for _ in range(CGI_STARTS):
        before = time.monotonic()
        done = subprocess.run([ROOT / "build/bin/aragora-fcgi"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True)
        took.append(1000 * (time.monotonic() - before))
        if not done.stdout.startswith(b"Status: 200\r\n"):
            raise Failed(f"CGI: {done.stdout.decode()}{done.stderr.decode()}")
    return plain("cgi_start", f"{statistics.median(took):.1f}", "ms")


def fanout_program(*arguments):
    done = subprocess.run([ROOT / "build/bench/fanout", *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    if done.returncode:
        raise Failed(f"fanout: {done.stderr}")
    return [float(word) for word in done.stdout.split()]


def fanout(directory, options):
    """Frames per second to many clients against a bare broadcaster of the same frames, and the
    microseconds from commit to client. The debate's agents pause: it stays open and says nothing."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        subject = Subject(stack, directory / "fanout", port, ARAGORA_DEMO_DELAY_MS="10000",
                          ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_LOG_LEVEL="ERROR")
        token = subject.key["Authorization"].split()[1]

        def stream(clients, frames, rate):
            return fanout_program("stream", port, token, subject.data, subject.new_debate(), clients, frames,
                                  FRAME_BYTES, rate)
        turns = [(fanout_program("floor", CLIENTS, FRAMES, FRAME_BYTES)[0], stream(CLIENTS, FRAMES, 0)[0])
                 for _ in range(options.rounds)]
        least, value = (statistics.median(column) for column in zip(*turns))
        ratio = statistics.median(subject_rate / floor_rate for floor_rate, subject_rate in turns)
        verdict = ": BELOW TARGET" if ratio < TARGETS["fanout"] else ""
        print(f"fanout: {value:.0f} frames/s, floor {least:.0f}, ratio {ratio:.3f}, target {TARGETS['fanout']}"
              f"{verdict}", flush=True)
        _, half, most = stream(CLIENTS // 10, EVENTS_PER_SECOND * 5, EVENTS_PER_SECOND)
        return [f"fanout\t{value:.0f}\tframes/s\t{least:.0f}\t{ratio:.3f}\t\n",
                plain("commit_to_client_p50", f"{half:.0f}", "us"), plain("commit_to_client_p99", f"{most:.0f}", "us")]


def routes():
    printed = subprocess.run([ROOT / "build/bench/route"], capture_output=True, text=True, check=True)
    return [plain(*line.split("\t")) for line in printed.stdout.splitlines()]


def measure(directory, options):
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject")
        subject.debate = subject.finished_debate()
        rows = [("healthz", "/healthz", {}), ("debate_get", subject.debate, subject.key)]
        compared = [compare(directory, subject, row, options) for row in rows]
        compared.append(cgi_start(subject))
    return compared + fanout(directory, options) + routes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.table.unlink(missing_ok=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="aragora-bench-"))
    try:
        rows = measure(directory, options)
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    options.table.write_text("name\tvalue\tunit\tfloor\tratio\tcpu_us\n" + "".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
