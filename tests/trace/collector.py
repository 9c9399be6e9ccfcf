"""A strict collector: takes OTLP/HTTP in its JSON form, refuses what the specification does not
allow, and keeps the spans. It can be told to be slow, to refuse for a while, or to hang."""

import gzip
import http.server
import json
import re
import threading
import time

INTEGER = re.compile(r"-?\d+")
VALUES = {"stringValue": str, "boolValue": bool, "intValue": str, "doubleValue": (int, float)}
SPAN_NEEDS = {"traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"}
SPAN_MAY = SPAN_NEEDS | {"parentSpanId", "traceState", "flags", "attributes", "status", "events", "links",
                         "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"}


def need(condition, what):
    if not condition:
        raise ValueError(what)


def members(thing, may, needed=()):
    need(isinstance(thing, dict), f"{thing!r} is no object")
    need(thing.keys() <= set(may), f"unknown {thing.keys() - set(may)}")
    need(set(needed) <= thing.keys(), f"missing {set(needed) - thing.keys()}")


def attributes(items):
    need(isinstance(items, list), "attributes")
    found = {}
    for item in items:
        members(item, {"key", "value"}, {"key", "value"})
        need(isinstance(item["key"], str) and item["key"] and item["key"] not in found, f"key {item['key']!r}")
        need(len(item["value"]) == 1 and item["value"].keys() <= VALUES.keys(), f"value of {item['key']}")
        (kind, value), = item["value"].items()
        need(isinstance(value, VALUES[kind]), f"{item['key']}: {kind} {value!r}")
        if kind == "intValue":
            need(INTEGER.fullmatch(value) and -2**63 <= int(value) < 2**63, f"{item['key']}: {value!r}")
            value = int(value)
        found[item["key"]] = value
    return found


def identifier(text, digits, what):
    need(isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", text) and text.strip("0"), f"{what} {text!r}")


def moment(text, what):
    need(isinstance(text, str) and re.fullmatch(r"\d{19}", text), f"{what} {text!r}")
    need(abs(int(text) / 1e9 - time.time()) < 600, f"{what} {text!r} is not about now")
    return int(text)


def check_span(span):
    members(span, SPAN_MAY, SPAN_NEEDS)
    identifier(span["traceId"], 32, "trace id")
    identifier(span["spanId"], 16, "span id")
    if "parentSpanId" in span:
        identifier(span["parentSpanId"], 16, "parent span id")
        need(span["parentSpanId"] != span["spanId"], "its own parent")
    need(isinstance(span["name"], str) and span["name"], "name")
    need(type(span["kind"]) is int and 1 <= span["kind"] <= 5, f"kind {span['kind']!r}")
    need(type(span.get("flags", 0)) is int and 0 <= span.get("flags", 0) < 2**32, "flags")
    need(moment(span["startTimeUnixNano"], "start") <= moment(span["endTimeUnixNano"], "end"), "ends before it starts")
    status = span.get("status", {})
    members(status, {"code", "message"})
    need(status.get("code", 0) in (0, 1, 2) and isinstance(status.get("message", ""), str), f"status {status}")
    return dict(span, attributes=attributes(span.get("attributes", [])))


def read_request(body):
    """The spans, each with the attributes of its resource."""
    spans = []
    members(body, {"resourceSpans"}, {"resourceSpans"})
    for of_resource in body["resourceSpans"]:
        members(of_resource, {"resource", "scopeSpans", "schemaUrl"}, {"resource", "scopeSpans"})
        members(of_resource["resource"], {"attributes", "droppedAttributesCount"}, {"attributes"})
        resource = attributes(of_resource["resource"]["attributes"])
        need(resource.get("service.name"), "service.name")
        for of_scope in of_resource["scopeSpans"]:
            members(of_scope, {"scope", "spans", "schemaUrl"}, {"scope", "spans"})
            members(of_scope["scope"], {"name", "version", "attributes", "droppedAttributesCount"}, {"name"})
            need(of_scope["spans"], "no span")
            spans += [check_span(span) | {"resource": resource} for span in of_scope["spans"]]
    return spans


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        at = self.server.collector
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with at.lock:
            at.requests.append((time.monotonic(), raw, dict(self.headers)))
            refusal = at.refusals.pop(0) if at.refusals else None
        if at.hangs:
            at.released.wait()
        if refusal:
            return self.answer(*refusal)
        try:
            need(self.path == "/v1/traces", f"path {self.path}")
            need(self.headers["Content-Type"] == "application/json", "content type")
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            spans = read_request(json.loads(raw.decode()))
        except (ValueError, KeyError, TypeError) as why:
            with at.lock:
                at.faults.append(str(why))
            return self.answer(400, {"code": 3, "message": str(why)})
        with at.lock:
            at.spans += spans
        self.answer(200, {})

    def answer(self, status, content, headers=()):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # who hung up did not wait for the answer


class Collector:
    def __init__(self):
        self.lock = threading.Lock()
        self.spans, self.faults, self.requests, self.refusals = [], [], [], []
        self.hangs, self.released = False, threading.Event()
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.collector = self
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def found(self, **wanted):
        """Spans so far; trace_id=, or attributes by their names with _ for a dot."""
        trace_id = wanted.pop("trace_id", None)
        with self.lock:
            return [s for s in self.spans if (trace_id is None or s["traceId"] == trace_id) and
                    all(s["attributes"].get(k.replace("__", ".")) == v for k, v in wanted.items())]

    def wait(self, condition, seconds=20):
        """What condition(spans) returns, once that is true."""
        end = time.monotonic() + seconds
        while True:
            with self.lock:
                assert not self.faults, self.faults
                found = condition(list(self.spans))
                names = sorted(s["name"] for s in self.spans)
            if found:
                return found
            assert time.monotonic() < end, names
            time.sleep(0.02)

    def text(self):
        with self.lock:
            return b"\n".join(raw for _, raw, _ in self.requests)

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
