"""aragora ask and the demonstration: what a person at a terminal sees of a debate."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from conftest import BIN, ROOT, Server, clean_environment

QUESTION = "Should we move billing to event sourcing?"


@pytest.fixture(scope="module")
def slow():
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="4")
    server.made_key = server.key()
    yield server
    assert server.stop() == 0


def ask(server, *arguments, key=True, **more):
    env = clean_environment(server.data) | ({"ARAGORA_API_KEY": server.made_key} if key else {})
    return subprocess.run([BIN / "aragora", "ask", "--url", server.url, *arguments], env=env,
                          capture_output=True, text=True, timeout=60, **more)


def test_a_debate_is_told_line_by_line_and_its_receipt_verifies(slow, tmp_path):
    receipt, key = str(tmp_path / "receipt.json"), str(tmp_path / "key.pem")
    done = ask(slow, QUESTION, "--rounds", "1", "--agents", "demo,demo-skeptic", "--receipt", receipt, "--pubkey", key)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert told.startswith(QUESTION) and "demo agents (simulated)" in told
    for line in ("demo proposes", "demo-skeptic proposes", "Round 1", "demo on demo-skeptic", "demo-skeptic on demo",
                 "demo revises", "demo votes for", " judges", "decided by demo", "onsensus (judge"):
        assert told.count(line) == 1, line
    assert "\033" not in told
    assert re.search(r"^debate  adhoc_[0-9a-f]{32}$", told, re.M)
    assert re.search(r"^receipt rcpt_[0-9a-f]{32}$", told, re.M)
    verified = subprocess.run([BIN / "aragora", "verify", receipt, "--pubkey", key], capture_output=True, text=True)
    assert verified.returncode == 0 and verified.stdout.startswith("verified")


def test_the_same_debate_can_be_shown_again(slow):
    first = ask(slow, QUESTION, "--rounds", "1")
    debate = re.search(r"^debate  (\S+)$", first.stdout, re.M)[1]
    assert ask(slow, "--follow", debate).stdout == first.stdout


def test_a_killed_stream_daemon_is_passed_over(slow):
    env = clean_environment(slow.data) | {"ARAGORA_API_KEY": slow.made_key}
    asking = subprocess.Popen([BIN / "aragora", "ask", "--url", slow.url, "--rounds", "2", QUESTION], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told = asking.stdout.readline()
    while "proposes" not in told:
        told += asking.stdout.readline()
    for pid in [pid for pid, line in slow.children() if "aragora-streamd" in line]:
        os.kill(pid, signal.SIGKILL)
    told += asking.stdout.read()
    assert asking.wait(timeout=60) == 0
    assert "-- no connection, trying again\n" in told and "-- connected again\n" in told
    whole = ask(slow, "--follow", re.search(r"^debate  (\S+)$", told, re.M)[1]).stdout
    assert re.sub(r"^-- .*\n", "", told, flags=re.M) == whole


def test_a_terminal_shows_what_is_being_said_and_is_left_clean(slow):
    """Every line that moved is gone at the end: replayed, the screen is what the plain form prints."""
    env = clean_environment(slow.data) | {"ARAGORA_API_KEY": slow.made_key, "NO_COLOR": "1", "TERM": "xterm"}
    main, side = pty.openpty()
    asking = subprocess.Popen([BIN / "aragora", "ask", "--url", slow.url, "--rounds", "1", QUESTION], env=env,
                              stdout=side, stderr=side, stdin=side)
    os.close(side)
    raw = b""
    while True:
        ready, _, _ = select.select([main], [], [], 60)
        assert ready, "silence"
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        raw += part
    assert asking.wait(timeout=10) == 0
    os.close(main)
    text = raw.decode().replace("\r\n", "\n")
    assert "speaking" in text
    lines = [""]
    for piece in re.split(r"(\n|\r?\033\[\d+A\033\[J)", text):
        if piece == "\n":
            lines.append("")
        elif moved := re.fullmatch(r"\r?\033\[(\d+)A\033\[J", piece):
            del lines[len(lines) - int(moved[1]):]
            lines[-1] = ""
        else:
            lines[-1] += piece
    screen = "\n".join(lines)
    assert "\033" not in screen and "speaking" not in screen
    assert screen == ask(slow, "--follow", re.search(r"^debate  (\S+)$", screen, re.M)[1]).stdout


def test_nothing_from_a_question_reaches_the_terminal_as_a_command(slow):
    done = ask(slow, "Is \033[2Jthis\x9b safe?\u0085 Or\tnot?", "--rounds", "1")
    assert done.returncode == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout)


@pytest.mark.parametrize("arguments, status, said", [
    ([], 2, "usage"),
    (["one", "two"], 2, "usage"),
    (["--follow", "../x"], 2, "usage"),
    (["--rounds", "0", "q"], 2, "--rounds"),
    (["--agents", "nobody,demo", "q"], 1, "nobody"),
    (["--url", "http://127.0.0.1:1", "q"], 1, "127.0.0.1:1"),
    (["--receipt", "/nowhere/r.json", "--rounds", "1", QUESTION], 1, "/nowhere/r.json"),
])
def test_what_cannot_be_asked_is_said(slow, arguments, status, said):
    done = ask(slow, *arguments)
    assert done.returncode == status
    assert said in done.stderr


def test_without_a_key_it_says_how_to_get_one(slow):
    done = ask(slow, "q", key=False)
    assert done.returncode == 1 and "apikey create" in done.stderr


def test_an_interrupted_ask_leaves_the_debate_running(slow):
    env = clean_environment(slow.data) | {"ARAGORA_API_KEY": slow.made_key}
    asking = subprocess.Popen([BIN / "aragora", "ask", "--url", slow.url, "--rounds", "3", QUESTION], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told = asking.stdout.readline()
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=20)
    assert told.startswith(QUESTION) and asking.returncode == 1
    debate = re.search(r"--follow (\S+)", said)[1]
    with slow.client(slow.made_key) as client:
        until = time.monotonic() + 30
        while client.get(f"/api/v1/debates/{debate}").json()["status"] != "completed":
            assert time.monotonic() < until


def test_the_demonstration_ends_with_a_verified_receipt():
    done = subprocess.run(["sh", ROOT / "deploy/demo.sh", BIN], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "\nverified: " in done.stdout and "onsensus (judge" in done.stdout
