#!/usr/bin/python3
"""What the project claims, each with the command that shows it (make report).

Runs every command once, keeps its output beside the report, reads the figures and writes one row
for each claim. Exit status 1 if a figure is missing or beyond its limit.
usage: report.py FOLDER [COMMAND...]
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "bench" / "results.tsv"
COMMANDS = ("lint", "demo", "check", "check-faults", "check-san", "bench")  # targets of make

# figure: a pattern whose group is the figure in the command's output, or a row and column of the
# table that make bench writes. limit: what a number is compared with, or the very text.
Claim = collections.namedtuple("Claim", "says command figure limit")
Cell = collections.namedtuple("Cell", "row column")

TESTS = r"(?m)^\d+ passed, (\d+) failed$"
CLAIMS = [
    Claim("the debate of the demonstration is decided", "demo", r"(?i)(consensus) \(", "= consensus"),
    Claim("its receipt verifies with the public key alone", "demo", r"(?m)^(verified):", "= verified"),
    Claim("tests that fail", "check", TESTS, "= 0"),
    Claim("kills at random moments", "check-faults", r"(?m)^kills: (\d+) ", ">= 200"),
    Claim("kills after which a debate, a stream or a receipt is not whole", "check-faults",
          r"(?m)^kills with a fault: (\d+)$", "= 0"),
    Claim("calls of models repeated that were not in flight at a kill", "check-faults",
          r"(?m)^calls repeated without need: (-?\d+)$", "= 0"),
    Claim("longest recovery, seconds", "check-faults", r"(?m)^longest recovery: ([\d.]+) s", "<= 15"),
    Claim("tests that fail under the sanitizers", "check-san", TESTS, "= 0"),
    Claim("reports of the sanitizers", "check-san", r"(?m)^(\d+) reports of the sanitizers$", "= 0"),
    Claim("GET /healthz, of a bare FastCGI program's rate", "bench", Cell("healthz", "ratio"), ">= 0.85"),
    Claim("GET of a debate, of that rate", "bench", Cell("debate_get", "ratio"), ">= 0.45"),
    Claim("an event to 1,000 clients, of a bare broadcaster's rate", "bench", Cell("fanout", "ratio"), ">= 0.5"),
    Claim("commit to client, median, us", "bench", Cell("commit_to_client_p50", "value"), "<= 20000"),
    Claim("commit to client, 99 of 100, us", "bench", Cell("commit_to_client_p99", "value"), "<= 200000"),
    Claim("a request as a CGI program, ms", "bench", Cell("cgi_start", "value"), "<= 100"),
    Claim("route lookup without parameters, ns", "bench", Cell("route_literal_ns", "value"), "<= 1000"),
    Claim("route lookup with parameters, ns", "bench", Cell("route_dynamic_ns", "value"), "<= 5000"),
    Claim("a worker's memory after 100,000 requests, of that after 10,000", "bench",
          Cell("memory_after_100000", "ratio"), "<= 1.05"),
    Claim("demo debates completed per second", "bench", Cell("debates_per_second", "value"), ">= 1"),
    Claim("processor time of a model's call in 100 debates, ms", "bench",
          Cell("provider_100_cpu_per_call", "value"), "<= 2"),
    Claim("memory of one of 100 debates, KiB", "bench", Cell("provider_100_memory_per_debate", "value"), "<= 1024"),
]


def run(target, folder):
    """Status and output, which is kept in a file; seconds."""
    began = time.monotonic()
    path = folder / f"{target}.log"
    with path.open("wb") as log:
        status = subprocess.run(["make", target], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode
    took = time.monotonic() - began
    print(f"make {target}: status {status}, {took:.0f} s", flush=True)
    return status, path.read_text(errors="replace"), took


def read_results():
    if not RESULTS.exists():
        return {}
    head, *rows = [line.split("\t") for line in RESULTS.read_text().splitlines()]
    return {row[0]: dict(zip(head, row)) for row in rows}


def figure_of(claim, output):
    """As text; None: it is missing. The last one counts."""
    if isinstance(claim.figure, Cell):
        return read_results().get(claim.figure.row, {}).get(claim.figure.column) or None
    found = re.findall(claim.figure, output)
    return found[-1].lower() if found else None


def holds(figure, limit):
    how, bound = limit.split()
    if figure is None:
        return False
    if how == "=":
        return figure == bound
    return float(figure) >= float(bound) if how == ">=" else float(figure) <= float(bound)


def rows_of(target, folder):
    status, output, took = run(target, folder)
    rows = [(f"ends in order (after {took:.0f} s)", target, str(status), "= 0", status == 0)]
    for claim in CLAIMS:
        if claim.command == target:
            figure = figure_of(claim, output)
            rows.append((claim.says, target, figure or "missing", claim.limit, holds(figure, claim.limit)))
    return rows


def main():
    folder, targets = pathlib.Path(sys.argv[1]), sys.argv[2:] or COMMANDS
    folder.mkdir(parents=True, exist_ok=True)
    RESULTS.unlink(missing_ok=True)
    rows = [row for target in targets for row in rows_of(target, folder)]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    lines = [f"# Figures of {commit.stdout.strip() or 'this tree'}, {os.cpu_count()} processors", "",
             "| claim | command | figure | limit | |", "|---|---|---|---|---|"]
    lines += [f"| {says} | make {target} | {figure} | {limit} | {'pass' if good else 'FAIL'} |"
              for says, target, figure, limit, good in rows]
    text = "\n".join(lines) + "\n"
    (folder / "report.md").write_text(text)
    print(f"\n{text}")
    return 0 if all(good for *_, good in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
