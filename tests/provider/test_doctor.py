"""What aragora doctor says of each provider: the address tried, why it failed, and what mends it."""

import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest
from conftest import api_fixtures
from models import KEY

OPENAI_LIST = {"data": [{"id": "ok"}, {"id": "gpt-5.4"}]}
OLLAMA_LIST = {"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:8b"}]}


class Handler(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how it behaves; it takes the KEY only."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        key = self.headers.get("Authorization")
        self.server.asked.append((self.path, key))
        if self.path.startswith("http://"):  # as a proxy
            return self.answer(200, OPENAI_LIST)
        _, behaviour, rest = self.path.split("/", 2)
        getattr(self, behaviour)("/" + rest, key)

    def answer(self, status, content, kind="application/json"):
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def good(self, rest, key):
        if rest == "/api/tags":
            return self.answer(200, OLLAMA_LIST)
        if rest != "/v1/models":
            return self.answer(404, {"error": "no such page"})
        if key != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": f"wrong key: {key}"}})
        self.answer(200, OPENAI_LIST)

    def free(self, rest, key):
        """As OpenRouter: anybody may read the list, the key is looked at elsewhere."""
        if rest == "/v1/key":
            return self.answer(200 if key == f"Bearer {KEY}" else 401, {})
        self.answer(200, OPENAI_LIST)

    def page(self, rest, key):
        self.answer(200, "<html>Welcome</html>", "text/html")

    def none(self, rest, key):
        self.answer(200, {"data": [], "models": []})

    def evil(self, rest, key):
        self.answer(200, {"data": [{"id": "\033[2Jgone"}], "models": [{"name": "\033[2Jgone"}]})

    def broken(self, rest, key):
        self.answer(500, {"error": {"message": f"Traceback, Authorization: {key}"}})

    def limited(self, rest, key):
        self.answer(429, {"error": "slow down"})

    def silent(self, rest, key):
        self.server.stopping.wait(60)

    def gone(self, rest, key):
        self.close_connection = True


class Lists(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.stopping = threading.Event()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.server_close()


@pytest.fixture(scope="module")
def lists():
    one = Lists()
    yield one
    one.stop()


NOTHING = f"http://127.0.0.1:{api_fixtures.free_port()}"


def doctor(tmp_path, **settings):
    env = api_fixtures.clean_environment(tmp_path) | {
        "ARAGORA_HTTP_PORT": "0", "ARAGORA_WS_PORT": "0", "OPENAI_API_KEY": "",
        "OPENAI_BASE_URL": "", "OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": "",
        "XAI_API_KEY": "", "XAI_BASE_URL": "", "MISTRAL_API_KEY": "", "MISTRAL_BASE_URL": "",
        "LM_STUDIO_HOST": "", "OLLAMA_HOST": "", "HTTPS_PROXY": "", "NO_PROXY": ""} | settings
    done = subprocess.run([api_fixtures.BIN / "aragora", "doctor"], env=env, capture_output=True,
                          text=True, timeout=60)
    assert KEY not in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
    return done


def lines_of(said, provider):
    """What was found of a provider, each with the line that mends it."""
    found, lines = [], said.splitlines()
    for at, line in enumerate(lines):
        if line[9:].startswith(provider):
            mend = lines[at + 1] if at + 1 < len(lines) and lines[at + 1].startswith(" ") else ""
            found.append(line + "\n" + mend.strip())
    return found


def test_a_provider_that_answers_is_well(lists, tmp_path):
    done = doctor(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=lists.url + "/good/v1/",
                  OLLAMA_HOST=lists.url.removeprefix("http://") + "/good")
    assert done.returncode == 0, done.stdout
    assert lines_of(done.stdout, "openai-api") == [
        f"ok       openai-api: {lists.url}/good/v1 answers and lists 2 models\n"]
    assert lines_of(done.stdout, "ollama") == [
        f"ok       ollama: {lists.url}/good answers and lists 2 models\n"]
    assert ("/good/api/tags", None) in lists.asked and ("/good/v1/models", f"Bearer {KEY}") in lists.asked


def test_what_is_not_configured_takes_a_line_that_names_what_to_set(tmp_path):
    done = doctor(tmp_path, LM_STUDIO_HOST="", OLLAMA_HOST="")
    assert done.returncode == 0, done.stdout
    for provider, key in (("openai-api", "OPENAI_API_KEY"), ("grok", "XAI_API_KEY"),
                          ("mistral-api", "MISTRAL_API_KEY"), ("openrouter", "OPENROUTER_API_KEY")):
        assert lines_of(done.stdout, provider) == [
            f"note     {provider} is not configured: set {key}\n"]


# settings, which may hold {url} and {nothing}; provider; what is found and what mends it
FAILURES = {
    "refused": ({"OPENAI_BASE_URL": "{nothing}/v1"}, "openai-api",
                ["FAILS    openai-api: {nothing}/v1/models: the connection was refused",
                 "mend: start the server there, or OPENAI_BASE_URL="]),
    "ollama is not running": ({"OLLAMA_HOST": "{nothing}"}, "ollama",
                              ["FAILS    ollama: {nothing}/api/tags: the connection was refused",
                               "mend: ollama serve, or OLLAMA_HOST="]),
    # A label of 64 letters is no name that any server could know.
    "no such name": ({"OPENAI_BASE_URL": "http://" + "x" * 64 + ".test/v1"}, "openai-api",
                     ["the host's name was not found", "mend: OPENAI_BASE_URL, or HTTPS_PROXY"]),
    "no such name behind a proxy": (
        {"OPENAI_BASE_URL": "http://models.test/v1", "HTTPS_PROXY": "http://" + "x" * 64 + ".test:3128"},
        "openai-api", ["http://models.test/v1/models: the host's name was not found",
                       "mend: HTTPS_PROXY, which is in use here"]),
    "wrong key": ({"OPENAI_BASE_URL": "{url}/good/v1", "OPENAI_API_KEY": "sk-another"}, "openai-api",
                  ["{url}/good/v1 answers 401: it does not take the key of OPENAI_API_KEY",
                   "mend: OPENAI_API_KEY=a key that is valid there"]),
    "no key": ({"OPENAI_BASE_URL": "{url}/good/v1"}, "openai-api",
               ["answers 401: it asks for a key", "mend: OPENAI_API_KEY=a key"]),
    "wrong key where the list is open": (
        {"OPENROUTER_BASE_URL": "{url}/free/v1", "OPENROUTER_API_KEY": "sk-another"}, "openrouter",
        ["answers 401: it does not take the key of OPENROUTER_API_KEY"]),
    "without /v1": ({"OPENAI_BASE_URL": "{url}/good", "OPENAI_API_KEY": KEY}, "openai-api",
                    ["{url}/good/models answers 404", "mend: OPENAI_BASE_URL={url}/good/v1"]),
    "with too much": ({"OPENAI_BASE_URL": "{url}/good/v1/chat/completions", "OPENAI_API_KEY": KEY},
                      "openai-api", ["answers 404", "mend: OPENAI_BASE_URL={url}/good/v1"]),
    "ollama with /v1": ({"OLLAMA_HOST": "{url}/good/v1"}, "ollama",
                        ["answers 404", "mend: OLLAMA_HOST={url}/good"]),
    "a web page": ({"OPENAI_BASE_URL": "{url}/page"}, "openai-api",
                   ["answers with something that is no list of models",
                    "mend: OPENAI_BASE_URL={url}/page/v1"]),
    "out of order": ({"OPENAI_BASE_URL": "{url}/broken/v1", "OPENAI_API_KEY": KEY}, "openai-api",
                     ["{url}/broken/v1/models answers 500", "mend: wait, or look into its log"]),
    "hung up": ({"XAI_BASE_URL": "{url}/gone/v1"}, "grok",
                ["{url}/gone/v1/models: the connection ended without an answer"]),
    "a password in the address": (
        {"OPENAI_BASE_URL": "http://ann:hunter2@127.0.0.1:1/v1?key=hunter2"}, "openai-api",
        ["openai-api: http://127.0.0.1:1/v1/models: the address is not one that can be called",
         "mend: OPENAI_BASE_URL=http or https address without user and password"]),
    "a line break in the key": (
        {"OPENAI_BASE_URL": "{url}/good/v1", "OPENAI_API_KEY": "sk-an\nother"}, "openai-api",
        ["mend: OPENAI_API_KEY: it holds a blank or a line break"]),
    "a model that is listed": (
        {"OPENAI_BASE_URL": "{url}/good/v1", "OPENAI_API_KEY": KEY,
         "ARAGORA_PROVIDER_MODELS": "openai:ok,openai:gpt-9"}, "openai-api: {url}/good/v1 does",
        ["FAILS    openai-api: {url}/good/v1 does not have the model gpt-9, which "
         "ARAGORA_PROVIDER_MODELS lists", "mend: ARAGORA_PROVIDER_MODELS=openai-api:ok"]),
    "a model that is not pulled": (
        {"OLLAMA_HOST": "{url}/good", "ARAGORA_PROVIDER_MODELS": "ollama:mistral"},
        "ollama: {url}/good does", ["does not have the model mistral",
                                    "mend: ollama pull mistral, or ARAGORA_PROVIDER_MODELS=ollama:llama3.2:latest"]),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_fails_is_told_with_its_address_and_what_mends_it(lists, tmp_path, case):
    settings, provider, words = FAILURES[case]
    places = {"{url}": lists.url, "{nothing}": NOTHING}

    def placed(text):
        for name, value in places.items():
            text = text.replace(name, value)
        return text

    done = doctor(tmp_path, **{name: placed(value) for name, value in settings.items()})
    assert done.returncode == 1, done.stdout
    found, = lines_of(done.stdout, placed(provider))
    assert found.startswith("FAILS    ")
    for word in words:
        assert placed(word) in found, found
    for secret in ("hunter2", "sk-an"):
        assert secret not in done.stdout + done.stderr


# What is not asked for by anybody, or passes by itself, is no failure.
@pytest.mark.parametrize("settings,provider,words", [
    ({"OLLAMA_HOST": "{url}/none"}, "ollama: {url}/none does",
     ["does not have the model llama3.2, which is asked for when none is named",
      "next: ollama pull llama3.2"]),
    ({"OPENROUTER_BASE_URL": "{url}/free/v1", "OPENROUTER_API_KEY": KEY}, "qwen-max",
     ["does not have the model qwen/qwen3-max", "next: ARAGORA_PROVIDER_MODELS=qwen-max:ok"]),
    ({"OPENAI_BASE_URL": "{url}/limited/v1"}, "openai-api", ["answers 429: too many requests"]),
    ({"OLLAMA_HOST": "{url}/evil"}, "ollama: {url}/evil does",
     ["next: ollama pull llama3.2, or ARAGORA_PROVIDER_MODELS=ollama:[2Jgone"]),
    ({"ARAGORA_OFFLINE": "true", "XAI_API_KEY": KEY}, "grok",
     ["grok: not called, as ARAGORA_OFFLINE is set and XAI_BASE_URL is elsewhere"]),
])
def test_what_is_only_noted(lists, tmp_path, settings, provider, words):
    done = doctor(tmp_path, **{n: v.replace("{url}", lists.url) for n, v in settings.items()})
    assert done.returncode == 0, done.stdout
    found, = lines_of(done.stdout, provider.replace("{url}", lists.url))
    assert found.startswith("note     ")
    for word in words:
        assert word in found, found


def certificate(path):
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=models",
                           "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out",
                           str(path) + ".crt"], capture_output=True)
    assert made.returncode == 0, made.stderr
    with open(path, "ab") as both, open(str(path) + ".crt", "rb") as public:
        both.write(public.read())
    return path


def test_an_unknown_authority_is_told_and_can_be_named(tmp_path):
    lists = Lists(certificate(tmp_path / "server.pem"))
    base = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": lists.url + "/good/v1"}
    found, = lines_of(doctor(tmp_path, **base).stdout, "openai-api")
    assert "certificate is not trusted" in found and "mend: ARAGORA_CA_BUNDLE=FILE" in found
    assert lists.asked == []  # no key was sent to it
    known = doctor(tmp_path, ARAGORA_CA_BUNDLE=str(tmp_path / "server.pem.crt"), **base)
    lists.stop()
    assert known.returncode == 0 and "answers and lists 2 models" in known.stdout


def test_the_proxy_of_the_settings_is_used(lists, tmp_path):
    done = doctor(tmp_path, OPENAI_BASE_URL="http://models.test/v1", HTTPS_PROXY=lists.url)
    assert done.returncode == 0 and "openai-api: http://models.test/v1 answers" in done.stdout
    assert "http://models.test/v1/models" in [path for path, _ in lists.asked]


def test_all_are_asked_at_once_and_none_for_long(lists, tmp_path):
    names = ("OPENAI", "XAI", "MISTRAL", "OPENROUTER")
    began = time.monotonic()
    done = doctor(tmp_path, **{name + "_BASE_URL": lists.url + "/silent/v1" for name in names})
    assert time.monotonic() - began < 15  # one after the other, at 6 s each, they would take 24
    assert done.returncode == 1
    assert done.stdout.count("the answer did not begin within the limit") == 4
