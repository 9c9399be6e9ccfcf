"""The aragora command, and the server that it keeps alive."""

import os
import pathlib
import pwd
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
from conftest import BIN, Server, clean_environment, run


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    yield path
    if path.exists():
        at = path.stat()
        pathlib.Path(f"/dev/shm/aragora-{at.st_dev:x}-{at.st_ino:x}").unlink(missing_ok=True)


def test_help_ends_with_0_and_nonsense_with_2(data):
    assert run(data, "--help").returncode == 0
    for command in ("serve", "ask", "verify", "doctor", "migrate", "apikey", "routes", "config", "version"):
        shown = run(data, command, "--help")
        assert shown.returncode == 0 and shown.stdout.startswith(f"usage: aragora {command}")
    for arguments in ([], ["nonsense"], ["routes", "--nonsense"], ["apikey"], ["serve", "--port"],
                      ["serve", "--port", "70000"], ["apikey", "list", "--name", "x"],
                      ["apikey", "create", "--days", "0"], ["version", "x"],
                      ["config", "--all-docs=1"], ["serve", "--web-server", "nginx"]):
        refused = run(data, *arguments)
        assert refused.returncode == 2 and refused.stderr and not refused.stdout, arguments


def test_migrating_twice_applies_nothing_the_second_time(data):
    assert " steps applied" in run(data, "migrate").stdout
    assert run(data, "migrate").stdout == "0 steps applied\n"
    assert data.stat().st_mode & 0o777 == 0o700


def test_a_database_that_was_there_is_copied_before_its_schema_changes(data):
    data.mkdir(mode=0o700)
    with sqlite3.connect(data / "aragora.db") as old:
        old.execute("CREATE TABLE kept (x)")
    assert run(data, "migrate").returncode == 0
    copy, = data.glob("aragora.db.before-*")
    names = sqlite3.connect(copy).execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("kept",)]


def test_a_key_is_shown_once_and_can_be_revoked(data):
    made = run(data, "apikey", "create", "--name", "laptop", "--scope", "debates.read", "--days=2")
    key = made.stdout.strip()
    assert key.startswith("ara_") and len(key) == 47
    listed = run(data, "apikey", "list").stdout
    assert key not in listed and "active" in listed and "laptop" in listed
    assert '["debates.read"]' in listed
    name = listed.split("\t")[0]
    assert run(data, "apikey", "revoke", name).returncode == 0
    assert run(data, "apikey", "revoke", name).returncode == 1
    assert "revoked" in run(data, "apikey", "list").stdout
    assert run(data, "apikey", "create", "--user", "nobody").returncode == 1


def test_routes_name_their_file_and_line(data):
    lines = run(data, "routes").stdout.splitlines()
    assert any("/api/v1/debates/{id}" in line and "debates.c:" in line for line in lines)
    assert "/api/v1/debates/{id}" in run(data, "routes", "/api/v1/debates/abc").stdout
    assert run(data, "routes", "/nowhere").returncode == 1
    matrix = run(data, "routes", "--permissions").stdout.splitlines()
    assert matrix[0].split()[-1] == "owner" and matrix[1].split()[-1] == "x"


def test_config_hides_secrets_and_tells_where_a_value_is_from(data):
    data.mkdir(mode=0o700)
    (data / "aragora.conf").write_text("ARAGORA_API_TOKEN=a-very-secret-token\nARAGORA_WORKERS=3\n")
    shown = run(data, "config").stdout
    assert "a-very-secret-token" not in shown and "ARAGORA_API_TOKEN=(set)\tfile" in shown
    assert "ARAGORA_WORKERS=3\tfile" in shown
    assert "\tinteger\t1..256\t2\t" in run(data, "config", "--all-docs").stdout


def test_settings_that_cannot_be_read_are_not_passed_over(data):
    data.mkdir(mode=0o700)
    (data / "aragora.conf").mkdir()
    refused = run(data, "config")
    assert refused.returncode != 0 and "aragora.conf in the data directory" in refused.stderr
    named = run(data, "config", ARAGORA_CONFIG=str(data / "nowhere"))
    assert named.returncode != 0 and "ARAGORA_CONFIG" in named.stderr


def test_a_port_in_use_is_said(data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run(data, "serve", "--port", port)
    assert refused.returncode == 1 and "in use" in refused.stderr and port in refused.stderr


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids, seconds=20):
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_an_ipv6_address_serves_and_streams():
    server = Server(host="::1")
    try:
        assert server.url.startswith("http://[::1]:")
        with server.client() as client:
            assert client.get("/readyz").status_code == 200
            assert client.get(f"http://[::1]:{server.ws_port}/health").json()["status"] == "healthy"
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                       "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
            with client.stream("GET", "/ws", headers=upgrade) as answer:
                assert answer.status_code == 101
    finally:
        assert server.stop() == 0


def test_a_killed_worker_comes_back_and_a_stop_leaves_no_process():
    server = Server()
    pids = [pid for pid, _ in server.children()]
    try:
        with server.client() as client:
            assert client.get("/healthz").status_code == 200
            worker = next(pid for pid, line in server.children() if "aragora-fcgi" in line)
            os.kill(worker, signal.SIGKILL)
            assert client.get("/healthz").status_code == 200
        end = time.monotonic() + 10
        while len([pid for pid, _ in server.children() if alive(pid)]) < len(pids) and time.monotonic() < end:
            pass
        assert len(server.children()) == len(pids) and worker not in [pid for pid, _ in server.children()]
        pids += [pid for pid, _ in server.children()]
    finally:
        assert server.stop() == 0
    assert gone(pids)


def test_nothing_survives_the_kill_of_serve_and_the_first_key_is_told_once(data):
    keys = []
    for _ in range(2):
        process = subprocess.Popen([BIN / "aragora", "serve", "--port", "0"], text=True,
                                   env=clean_environment(data), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        assert process.stdout.readline().startswith("aragora: ready on ")
        pids = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True,
                              text=True).stdout.split()
        process.kill()
        assert len(pids) >= 3 and gone(pids)
        keys += [line for line in process.communicate()[1].splitlines() if "owner key" in line]
    assert len(keys) == 1 and keys[0].startswith("owner key: ara_")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_doctor_says_what_is_missing_and_the_command_that_mends_it(data):
    ports = ("ARAGORA_HTTP_PORT", "ARAGORA_WS_PORT")

    def doctor(**settings):
        env = clean_environment(data) | {name: "0" for name in ports} | settings
        done = subprocess.run([BIN / "aragora", "doctor"], env=env, capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout

    status, said = doctor()
    assert status == 0 and "note     there is no database yet" in said and not data.exists()
    assert run(data, "migrate").returncode == 0
    status, said = doctor()
    assert status == 0 and "SQLite answers, its schema is up to date" in said
    data.chmod(0o755)
    status, said = doctor()
    assert status == 1 and f"mend: chmod o= {data}" in said
    data.chmod(0o700)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        status, said = doctor(ARAGORA_HTTP_PORT=port)
    assert status == 1 and f"ARAGORA_PORT: port {port}" in said and "mend:" in said
    (data / "aragora.db").write_bytes(b"no database" * 1000)
    assert doctor()[0] == 1


def test_the_doctor_finds_a_running_server_well_and_a_lost_key(server):
    env = clean_environment(server.data) | {"ARAGORA_HTTP_PORT": server.url.rsplit(":", 1)[1],
                                            "ARAGORA_WS_PORT": str(server.ws_port)}
    key = server.data / "keys" / "demo-receipt.pem"

    def doctor():
        return subprocess.run([BIN / "aragora", "doctor"], env=env, capture_output=True, text=True, timeout=20)

    end = time.monotonic() + 20
    while "those that the database knows" not in (well := doctor()).stdout:
        assert time.monotonic() < end  # aragora-debated makes the keys at its start
    assert well.returncode == 0 and well.stdout.count("a server answers") == 2, well.stdout
    held = key.read_bytes()
    key.unlink()
    lost = doctor()
    key.write_bytes(held)
    key.chmod(0o600)
    assert lost.returncode == 1 and "restore DATA/keys from a backup" in lost.stdout


def test_root_becomes_the_user_that_it_is_told():
    """nobody is there on every system; its data directory is made for it, in a folder that root keeps."""
    server = Server(program_arguments=("--user", "nobody"), folder_mode=0o711)
    try:
        assert server.data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        for pid, line in server.children():
            owner = pathlib.Path(f"/proc/{pid}").stat().st_uid
            assert owner == pwd.getpwnam("nobody").pw_uid, line
        with server.client() as client:
            assert client.get("/healthz").status_code == 200
    finally:
        assert server.stop() == 0


def test_an_unknown_user_is_refused(data):
    refused = run(data, "serve", "--port", "0", "--ws-port", "0", "--user", "no-such-user")
    assert refused.returncode == 1 and "no such user" in refused.stderr
