"""A strict model server: both interfaces, faults by the model's name, and a book of calls.

What it does not know it refuses with 400, so that a request which only a lenient server would take
fails here. The model's name says how it behaves: "ok", or a word of FAULTS.
"""

import hashlib
import http.server
import json
import re
import select
import threading
import time

KEY = "sk-canary-5e0b1c9d7f3a4b26"
OPENAI_FIELDS = {"model", "messages", "max_tokens", "max_completion_tokens", "stream",
                 "stream_options"}
OLLAMA_FIELDS = {"model", "messages", "stream", "options"}


def reply_to(user):
    """A reply of the form that the prompt asks for."""
    if "Answer with these three lines" in user:
        names = re.search(r"The names are:(.*)\.\n", user).group(1)
        return f"CHOICE: {names.split(',')[0].strip()}\nCONFIDENCE: 0.9\nREASONING: It says how."
    if "Use exactly this form" in user:
        return ("Issues:\n- \"soon\" is no date\nSuggestions:\n- Name the day\nSeverity: 4\n"
                "Reasoning: A plan needs a day.")
    if "You are the judge" in user:
        return "The judge decides — we move, and measure. Ünïcode survives: 漢字 🎉."
    return "We should move — step by step – and measure. Ünïcode survives: 漢字 🎉."


class Refused(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Refused(what)


def check_messages(messages):
    need([m.keys() for m in messages] == [{"role", "content"}] * 2, "messages")
    need([m["role"] for m in messages] == ["system", "user"], "roles")
    need(all(isinstance(m["content"], str) and m["content"] for m in messages), "content")


def check_openai(body, headers):
    need(headers.get("Authorization") == f"Bearer {KEY}", "key")
    need(not body.keys() - OPENAI_FIELDS, f"unknown field {body.keys() - OPENAI_FIELDS}")
    need(("max_tokens" in body) != ("max_completion_tokens" in body), "one of the two limits")
    need(body["stream"] is True, "stream")
    if body["model"].startswith("odd"):
        need("stream_options" not in body, "Unsupported parameter: 'stream_options'")
    else:
        need(body["stream_options"] == {"include_usage": True}, "stream_options")
    if body["model"].startswith("thinker"):
        need("max_tokens" not in body, "Unsupported parameter: 'max_tokens' is not supported with "
             "this model. Use 'max_completion_tokens' instead.")


def check_ollama(body, headers):
    need("Authorization" not in headers, "a key was sent")
    need(body.keys() == OLLAMA_FIELDS, f"fields {body.keys()}")
    need(body["stream"] is True, "stream")
    need(body["options"].keys() == {"num_ctx", "num_predict"}, "options")
    size = sum(len(m["content"]) for m in body["messages"]) // 4
    need(body["options"]["num_ctx"] >= size + body["options"]["num_predict"], "num_ctx is too small")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if len(raw) < int(self.headers["Content-Length"]):
            return  # who asked died in mid-sentence
        body = json.loads(raw)
        self.openai = self.path == "/v1/chat/completions"
        call = {"model": body.get("model"), "user": body["messages"][-1]["content"], "body": body,
                "headers": dict(self.headers), "digest": hashlib.sha256(raw).hexdigest(),
                "at": time.monotonic(), "closed": None, "answered": False}
        with self.server.lock:
            self.server.calls.append(call)
            call["nth"] = sum(c["model"] == call["model"] for c in self.server.calls)
        self.call = call
        try:
            need(self.openai or self.path == "/api/chat", "path")
            need(self.headers["Content-Type"] == "application/json", "content type")
            (check_openai if self.openai else check_ollama)(body, self.headers)
            check_messages(body["messages"])
        except Refused as why:
            return self.refuse(400, str(why))
        self.behave(body["model"].split(":")[0])

    # --- Answers

    def whole(self, status, content, headers=()):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, headers=()):
        error = {"message": message, "type": "test", "code": None} if self.openai else message
        self.whole(status, {"error": error}, headers)

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type",
                         "text/event-stream" if self.openai else "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def record(self, content):
        text = json.dumps(content, ensure_ascii=False)
        return (f"data: {text}\n\n" if self.openai else f"{text}\n").encode()

    def text(self, content):
        if self.openai:
            return self.record({"id": "c", "object": "chat.completion.chunk",
                                "model": self.call["model"] + "-served", "choices": [
                                    {"index": 0, "delta": {"content": content},
                                     "finish_reason": None}]})
        return self.record({"model": self.call["model"] + "-served", "done": False,
                            "message": {"role": "assistant", "content": content}})

    def finish(self, reason="stop", usage=True, done=True):
        tokens = len(self.call["user"]) // 4
        if not self.openai:
            return self.record({"model": self.call["model"] + "-served", "done": True,
                                "done_reason": reason, "message": {"role": "assistant",
                                                                   "content": ""},
                                "prompt_eval_count": tokens, "eval_count": 20})
        data = self.record({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if usage:
            data += self.record({"choices": [], "usage": {"prompt_tokens": tokens,
                                                          "completion_tokens": 20}})
        return data + (b"data: [DONE]\n\n" if done else b"")

    def end(self):
        self.wfile.write(b"0\r\n\r\n")
        self.call["answered"] = True

    def break_off(self):
        self.close_connection = True

    def wait_for_close(self):
        """Until the client has gone."""
        self.close_connection = True
        while not self.server.stopping:
            if select.select([self.connection], [], [], 0.05)[0] and not self.connection.recv(1):
                self.call["closed"] = time.monotonic()
                return

    def say(self):
        """The reply in three pieces."""
        reply = reply_to(self.call["user"])
        third = len(reply) // 3
        for part in (reply[:third], reply[third:2 * third], reply[2 * third:]):
            self.piece(self.text(part))

    def good(self):
        self.begin()
        self.say()
        self.piece(self.finish())
        self.end()

    # --- Behaviours

    def behave(self, model):
        getattr(self, "be_" + model.replace("-", "_"), self.good)()

    def be_bytes(self):
        self.begin()
        data = b": comment\n\n" if self.openai else b""
        for byte in data + self.text(reply_to(self.call["user"])) + self.finish():
            self.piece(bytes([byte]))
        self.end()

    def be_limited(self):
        if self.call["nth"] == 1:
            return self.refuse(429, "slow down", [("Retry-After", "1")])
        self.good()

    be_limited_again = be_limited

    def be_limited_by_date(self):
        if self.call["nth"] == 1:
            when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
            return self.refuse(503, "later", [("Retry-After", when)])
        self.good()

    def be_failing(self):
        self.refuse(500, "the model fell over")

    def be_no_judge(self):
        self.be_failing() if "You are the judge" in self.call["user"] else self.good()

    def be_leaky(self):
        self.refuse(401, f"Incorrect API key provided: {KEY}")

    def be_missing(self):
        self.refuse(404, "model 'missing' not found")

    def be_error_whole(self):
        self.whole(200, {"error": {"message": "upstream is gone", "code": 400}})

    def be_error_inside(self):
        self.begin()
        self.piece(self.text("We should "))
        error = {"message": "upstream is gone", "code": 400} if self.openai else "upstream is gone"
        self.piece(self.record({"error": error}))
        self.end()

    def be_cut(self):
        self.begin()
        self.piece(self.text("We should stop in mid-"))
        self.break_off()

    def be_cut_once(self):
        self.be_cut() if self.call["nth"] == 1 else self.good()

    def be_no_end(self):
        self.begin()
        self.say()
        self.end()

    def be_empty(self):
        self.begin()
        self.piece(self.finish())
        self.end()

    def be_refusing(self):
        self.begin()
        self.piece(self.text("I "))
        self.piece(self.finish("content_filter"))
        self.end()

    def be_long(self):
        self.begin()
        self.say()
        self.piece(self.finish("length"))
        self.end()

    def be_garbled(self):
        self.begin()
        self.piece(self.text("We should "))
        self.piece(b"data: {\"choices\": [oops\n\n" if self.openai else b"{\"message\": oops\n")
        self.say()
        self.piece(self.finish())
        self.end()

    def be_hanging(self):
        self.wait_for_close()

    def be_stalling(self):
        self.begin()
        self.piece(self.text("We should "))
        self.wait_for_close()

    def be_slow(self):
        """The kill test's: long enough to be caught under way."""
        self.begin()
        for word in reply_to(self.call["user"]).split(" "):
            self.piece(self.text(word + " "))
            time.sleep(0.1)
        self.piece(self.finish())
        self.end()

    def be_brisk(self):
        """The check of calls': under way for a moment, and no two prompts get the same answer."""
        self.begin()
        for word in f"{reply_to(self.call['user'])} ({self.call['digest'][:8]})".split(" "):
            self.piece(self.text(word + " "))
            time.sleep(0.01)
        self.piece(self.finish())
        self.end()


class Models(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls = []
        self.stopping = False
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients leave as the tests ask them to

    def get_request(self):
        with self.lock:
            found = super().get_request()
            self.connections += 1
        return found

    def shutdown_request(self, request):
        super().shutdown_request(request)
        with self.lock:
            self.connections -= 1

    def is_quiet(self):
        """Nobody is connected, and nobody waits to be: what a dead client sent is in the book."""
        with self.lock:
            return not self.connections and not select.select([self.socket], [], [], 0)[0]

    def calls_of(self, model):
        with self.lock:
            return [call for call in self.calls if call["model"] == model]

    def stop(self):
        self.stopping = True
        self.shutdown()
        self.server_close()
