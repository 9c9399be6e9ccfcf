"""TLS: the web server and the stream port speak it, and who should not be believed is not."""

import asyncio
import datetime
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile

import httpx
import pytest
import websockets
from authority import Authority, openssl
from conftest import BIN, Server, behind, clean_environment, free_port, run

TOKEN = "server-token-of-the-tests"
DEBATE = {"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1}


@pytest.fixture(scope="module")
def authority():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aragora-tls-"))
    folder.chmod(0o755)
    yield Authority(folder, "ours")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def settings(authority):
    return authority.certificate("server")


@pytest.fixture(scope="module", params=["lighttpd", "apache"])
def secure(request, settings):
    place = behind("apache") if request.param == "apache" else {}
    server = Server(ARAGORA_API_TOKEN=TOKEN, ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="0",
                    **settings, **place)
    yield server
    assert server.stop() == 0


def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


def client(server, authority):
    return httpx.Client(base_url=server.url, verify=trusting(authority), timeout=20, trust_env=False,
                        headers={"Authorization": f"Bearer {TOKEN}"})


def endpoints(server):
    """Where the stream is: through the web server, and on its own port."""
    return [server.url.replace("https", "wss") + "/ws", f"wss://127.0.0.1:{server.ws_port}/ws"]


async def follow(url, debate, context):
    async with websockets.connect(url, ssl=context, extra_headers={"Authorization": f"Bearer {TOKEN}"}) as ws:
        await ws.send(json.dumps({"type": "subscribe", "debate_id": debate, "replay_from_seq": 0}))
        seen = []
        while not seen or seen[-1]["type"] != "receipt_generated":
            frame = json.loads(await asyncio.wait_for(ws.recv(), 30))
            if "seq" in frame:
                seen.append(frame)
        return seen


def test_a_debate_runs_and_is_followed_over_tls(secure, authority):
    assert secure.url.startswith("https://")
    with client(secure, authority) as caller:
        debate = caller.post("/api/v1/debates", json=DEBATE).json()["debate_id"]
        for url in endpoints(secure):
            seen = asyncio.run(follow(url, debate, trusting(authority)))
            assert seen == caller.get(f"/api/v1/debates/{debate}/events", params={"limit": 500}).json()["events"]


def test_a_certificate_of_nobody_we_trust_is_refused(secure):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secure.url + "/healthz", trust_env=False)
    for url in endpoints(secure):
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(follow(url, "x", ssl.create_default_context()))


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(data)
        answer = b""
        try:
            while part := line.recv(4096):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def test_http_in_the_clear_is_answered_with_400_or_closed(secure):
    for port in (int(secure.url.rsplit(":", 1)[1]), secure.ws_port):
        answer = raw(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" not in answer and b"status" not in answer, answer
    assert answer.startswith(b"HTTP/1.1 400 ") and b"TLS" in answer


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(secure):
    for port in (int(secure.url.rsplit(":", 1)[1]), secure.ws_port):
        for version, good in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
                try:
                    with context.wrap_socket(line) as tls:
                        spoken = tls.version()
                        assert "GCM" in tls.cipher()[0] or "CHACHA20" in tls.cipher()[0]
                except (ssl.SSLError, ConnectionResetError):
                    spoken = None
            assert (spoken is not None) == good, (port, version)


def ask(secure, *arguments, **settings):
    return run(secure.data, "ask", "Ship on Friday?", "--agents", "demo,demo-x", "--rounds", "1", "--plain", "--key",
               TOKEN, "--url", secure.url, *arguments, **settings)


def test_ask_speaks_tls_to_whom_it_can_check(secure, authority):
    done = ask(secure, "--ca", str(authority.file))
    assert done.returncode == 0 and "receipt " in done.stdout, done.stderr
    assert ask(secure, SSL_CERT_FILE=str(authority.file)).returncode == 0
    done = ask(secure)
    assert done.returncode == 1 and "certificate" in done.stderr


def start(tmp_path, **settings):
    return subprocess.run([BIN / "aragora", "serve", "--port", "0", "--ws-port", str(free_port())],
                          env=clean_environment(tmp_path / "data", **settings), capture_output=True, text=True,
                          timeout=20)


def without(settings, name):
    return {key: value for key, value in settings.items() if key != name}


@pytest.mark.parametrize("wrong, said", [
    (lambda s, a: without(s, "ARAGORA_SSL_KEY"), "ARAGORA_SSL_KEY: ARAGORA_SSL_ENABLED needs it"),
    (lambda s, a: without(s, "ARAGORA_SSL_CERT"), "ARAGORA_SSL_CERT: ARAGORA_SSL_ENABLED needs it"),
    (lambda s, a: s | {"ARAGORA_SSL_CERT": "/nowhere.pem"}, "/nowhere.pem: No such file or directory"),
    (lambda s, a: s | {"ARAGORA_SSL_KEY": "/nowhere.pem"}, "/nowhere.pem: No such file or directory"),
    (lambda s, a: s | {"ARAGORA_SSL_CERT": "/etc/hostname"}, "/etc/hostname: holds no PEM certificate"),
    (lambda s, a: s | {"ARAGORA_SSL_KEY": "/etc/hostname"}, "/etc/hostname: holds no PEM private key"),
    (lambda s, a: s | {"ARAGORA_SSL_KEY": str(a.folder / "ours.key")}, "is not the key of the certificate in"),
    (lambda s, a: s | {"ARAGORA_SSL_KEY": locked(a)}, "is under a passphrase"),
], ids=["no key", "no certificate", "no such certificate", "no such key", "bad certificate", "bad key", "another key", "locked key"])
def test_what_cannot_serve_is_said_before_anything_starts(tmp_path, authority, settings, wrong, said):
    done = start(tmp_path, **wrong(settings, authority))
    assert done.returncode == 1 and said in done.stderr and "ready" not in done.stdout, done.stderr


def locked(authority):
    openssl("ec", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out", "locked.key", cwd=authority.folder)
    return str(authority.folder / "locked.key")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not read")
def test_a_key_that_the_servers_user_may_not_read_is_said(tmp_path, authority, settings):
    secret = authority.folder / "secret.key"
    shutil.copy(settings["ARAGORA_SSL_KEY"], secret)
    secret.chmod(0o600)
    tmp_path.chmod(0o711)
    done = subprocess.run([BIN / "aragora", "serve", "--port", "0", "--ws-port", "0", "--user", "nobody"],
                          env=clean_environment(authority.folder / "data", **settings | {"ARAGORA_SSL_KEY": str(secret)}),
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "secret.key: Permission denied" in done.stderr


def test_an_expired_certificate_serves_with_a_warning(authority, tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc)
    form = "%y%m%d%H%M%SZ"
    settings = authority.certificate("old", "-startdate", (now - datetime.timedelta(9)).strftime(form),
                                     "-enddate", (now - datetime.timedelta(2)).strftime(form))
    with (tmp_path / "log").open("w") as log:
        server = Server(stderr=log, **settings)
    assert server.stop() == 0
    assert "ARAGORA_SSL_CERT: the certificate has expired on 20" in (tmp_path / "log").read_text()


def test_files_without_the_switch_are_named(tmp_path, settings):
    with (tmp_path / "log").open("w") as log:
        server = Server(stderr=log, **without(settings, "ARAGORA_SSL_ENABLED"))
    assert server.url.startswith("http://")
    assert server.stop() == 0
    log = (tmp_path / "log").read_text()
    for name in ("ARAGORA_SSL_CERT", "ARAGORA_SSL_KEY"):
        assert f"{name}: has no effect without ARAGORA_SSL_ENABLED=true" in log


def test_in_open_mode_a_page_of_the_server_itself_counts(authority, settings):
    server = Server(ARAGORA_OFFLINE="true", ARAGORA_DEMO_DELAY_MS="0", **settings)
    with httpx.Client(base_url=server.url, verify=trusting(authority), timeout=20, trust_env=False) as page:
        assert page.post("/api/v1/debates", json=DEBATE, headers={"Origin": server.url}).status_code == 200
        strange = server.url.replace("https", "http")
        assert page.post("/api/v1/debates", json=DEBATE, headers={"Origin": strange}).status_code == 401
    assert server.stop() == 0
