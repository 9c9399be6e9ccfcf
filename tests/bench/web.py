"""Requests: what the server costs above the least that lighttpd and libfcgi cost.

Subject and floor have the same lighttpd configuration, number of processes, answer and load, and
take turns, so that what else the machine does meets both alike.
"""

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import time

from subject import ROOT, WORKERS, Failed, Subject, ask, free_port, spent_us, start
from table import row

CONNECTIONS = 16
CGI_STARTS = 50
BACKLOG = 1024  # as aragora serve
# Not the worker's.
WEB_SERVER_HEADERS = {"accept-ranges", "connection", "date", "server", "transfer-encoding"}


def answer_of(port, path, headers):
    """As the worker gave it to the web server."""
    reply, body = ask(port, "GET", path, headers)
    lines = [f"Status: {reply.status}"]
    lines += [f"{k}: {v}" for k, v in reply.getheaders() if k.lower() not in WEB_SERVER_HEADERS]
    return "\r\n".join(lines + ["", ""]).encode() + body


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


def compare(directory, subject, name, path, headers, options):
    answer = answer_of(subject.port, path, headers)
    with contextlib.ExitStack() as stack:
        floor = Floor(stack, directory / "floor", subject.configuration, answer)
        floor.wait_for(answer)
        for port in (floor.port, subject.port):
            load(port, path, headers, 1)
        turns = [turn(floor.port, subject, path, headers, options.seconds, number % 2)
                 for number in range(options.rounds)]
    least, value, cpu = (statistics.median(column) for column in zip(*turns))
    ratio = statistics.median(subject_rate / floor_rate for floor_rate, subject_rate, _ in turns)
    return row(name, value, "requests/s", least, ratio, cpu)


def healthz(directory, options):
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject")
        return [compare(directory, subject, "healthz", "/healthz", {}, options)]


def debate_get(directory, options):
    """A debate that is over, of some 7 kB, with an API key."""
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject")
        return [compare(directory, subject, "debate_get", subject.finished_debate(), subject.key,
                        options)]


def cgi_start(directory, _options):
    """Milliseconds of a process that answers one request; the median."""
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject")
        env = {"ARAGORA_DATA_DIR": str(subject.data), "GATEWAY_INTERFACE": "CGI/1.1",
               "REQUEST_METHOD": "GET", "PATH_INFO": subject.finished_debate(),
               "HTTP_AUTHORIZATION": subject.key["Authorization"]}
        took = []
        for _ in range(CGI_STARTS):
            before = time.monotonic()
            done = subprocess.run([ROOT / "build/bin/aragora-fcgi"], env=env,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            took.append(1000 * (time.monotonic() - before))
            if not done.stdout.startswith(b"Status: 200\r\n"):
                raise Failed(f"CGI: {done.stdout.decode()}{done.stderr.decode()}")
        return [row("cgi_start", statistics.median(took), "ms", digits=1)]


def routes(_directory, _options):
    """Lookups with as many routes as the finished product has."""
    printed = subprocess.run([ROOT / "build/bench/route"], capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in printed.stdout.splitlines()]
    return [row(name, float(value), unit, digits=1) for name, value, unit in lines]
