"""Operations as the running server's own document tells them, and requests made from their schemas.

What a request needs and no schema can tell stands in MADE (resources that must exist) and in
EXAMPLES (rules between fields); a row's own .example is the better place for the latter.
"""

import collections
import copy
import datetime
import json
import re
import socket
import time
import urllib.parse

import jsonschema
from conftest import run

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Row = collections.namedtuple("Row", "method path handler who stability creates file line")
Field = collections.namedtuple("Field", "name place required schema")  # place: as OpenAPI's "in", or body
Case = collections.namedtuple("Case", "label change field result")  # field None: accepted, result: the value


def read_rows():
    """What aragora routes prints, with the paths as the document writes them."""
    for line in run("/nonexistent", "routes").stdout.splitlines():
        *columns, place = line.split()
        file, number = place.rsplit(":", 1)
        row = Row(*columns, file, int(number))
        yield row._replace(path=row.path.replace("*}", "}"))


# --- Resources and values that no schema tells ---------------------------------------------------

def ended_debate(world):
    if not world.ended:
        debate = start_debate(world, 1)
        until = time.monotonic() + 20
        while world.owner.get(f"/api/v1/debates/{debate}").json()["status"] != "completed":
            assert time.monotonic() < until, "the debate did not end"
            time.sleep(0.02)
        world.ended = debate
    return world.ended


def running_debate(world):
    return start_debate(world, 12)


def start_debate(world, rounds):
    body = {"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": rounds}
    world.started += 1
    return world.owner.post("/api/v1/debates", json=body).json()["debate_id"]


# Path, or its beginning (the longest counts): name in braces: makes the value. A function that
# makes a new one each time is for operations that use it up.
def signing_key(world):
    world.made_key = getattr(world, "made_key", None) or world.owner.get("/api/v2/receipts/signing-key").json()["key_id"]
    return world.made_key


MADE = {
    "/api/v1/debates/{id}": {"id": ended_debate},
    "/api/v1/debates/{id}/cancel": {"id": running_debate},
    "/api/v2/receipts/{receipt_id}": {"receipt_id": ended_debate},
}

# Ask for a credential of their own, if for any; tested with the family.
OWN_CREDENTIAL = {"/metrics"}

# operationId: field: value, or who makes one.
EXAMPLES = {
    "fork_post": {"branch_point": 1},
    "signing_key_get": {"key_id": signing_key},
    "signing_key_pem_get": {"key_id": signing_key},
    "debate_start": {"task": "Ship on Friday?", "agents": ["demo", "demo-x"], "rounds": 1,
                     "consensus": "majority"},
}


# --- Values from schemas -------------------------------------------------------------------------

def types_of(schema):
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def good(schema):
    """One value that the schema allows."""
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "default" in schema:
        return schema["default"]
    kind = (types_of(schema) or ["object"])[0]
    if schema.get("format") == "date-time":
        return "2026-01-02T03:04:05Z"
    if kind == "string":
        length = max(schema.get("minLength", 1), min(8, schema.get("maxLength", 8)))
        text = ("word" * length)[:length]
        assert re.search(schema.get("pattern", ""), text), f"a pattern needs an .example: {schema}"
        return text
    if kind in ("integer", "number"):
        return schema.get("minimum", min(1, schema.get("maximum", 1)))
    if kind == "array":
        return [good(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
    return {"boolean": True, "object": {}}[kind]


BREAK_A_PATTERN = (("pattern", "b d!"), ("length by pattern", "x" * 300), ("blank by pattern", "  "))


def outside(schema):
    """(label, value, the bound that it passes) of a number or a length."""
    types = types_of(schema)
    for key, step in (("minimum", -1), ("maximum", 1)):
        if key in schema and abs(schema[key]) < 2**62:
            yield key, schema[key] + step, schema[key]
    if "string" in types and "enum" not in schema:
        if schema.get("minLength", 0) > 1:
            yield "minLength", "é" * (schema["minLength"] - 1), None
        if "maxLength" in schema:
            yield "maxLength", "é" * (schema["maxLength"] + 1), None
        if "pattern" in schema:
            yield from ((label, text, None) for label, text in BREAK_A_PATTERN if not re.search(schema["pattern"], text))
    if "enum" in schema:
        yield "enum", "no-such-word", None
    if schema.get("format") == "date-time":
        yield "date-time", "yesterday", None
        yield "date-time month", "2026-13-01T00:00:00Z", None
    if "array" in types:
        if schema.get("minItems", 0) > 0:
            yield "minItems", [good(schema["items"])] * (schema["minItems"] - 1), None
        if "maxItems" in schema:
            yield "maxItems", [good(schema["items"])] * (schema["maxItems"] + 1), None


SAMPLES = {"boolean": [True], "integer": [7], "number": [1.5], "string": ["text"], "array": [[]],
           "object": [{}, {"a": 1}]}


def wrong_json(schema):
    """(label, value) of every JSON type that the schema does not allow."""
    types = set(types_of(schema))
    if not types:
        return
    taken = types | ({"integer"} if "number" in types else set())
    if types == {"array"} and schema.get("items", {}).get("type") == "string":
        taken.add("string")  # "a, b" counts as a list of texts
        yield "item", ["a", 7]
    for kind, samples in SAMPLES.items():
        if kind not in taken:
            for value in samples:
                yield f"type {kind}", value
    if "string" in types:
        yield "NUL", "a\0b"
        if "enum" not in schema and "pattern" not in schema:
            yield "lone surrogate", "\ud800"


def wrong_text(schema):
    """(label, text, what clamping makes of it) in a path, query or header."""
    types = types_of(schema)
    if "integer" in types:
        yield "type", "many", schema.get("default")
        yield "fraction", "1.5", schema.get("default")
        if "maximum" in schema:
            yield "huge", "9" * 30, schema["maximum"]
            yield "huge negative", "-" + "9" * 30, schema.get("minimum")
    if "number" in types:
        yield "type", "many", schema.get("default")
    if "boolean" in types:
        yield "type", "perhaps", schema.get("default")


def as_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(as_text, value)) if isinstance(value, list) else str(value)


def as_json(value):
    try:
        return json.dumps(value, ensure_ascii=False).encode()  # short, so that no size limit comes first
    except UnicodeEncodeError:
        return json.dumps(value).encode()


# --- Answers -------------------------------------------------------------------------------------

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(value):
    return not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is not None


def closed(schema):
    """The same schema without room for members that it does not name."""
    schema = copy.deepcopy(schema)
    rest = [schema]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                part.setdefault("additionalProperties", False)
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)
    return schema


def mismatch(schema, value):
    """Text of what is wrong with the value, or None."""
    errors = list(jsonschema.Draft202012Validator(closed(schema), format_checker=FORMATS).iter_errors(value))
    return "; ".join(f"{e.json_path}: {e.message[:200]}" for e in errors) or None


def agree(before, other, after):
    """Does other say what before and after say? Where these two differ, it may say anything, and so
    may what was measured."""
    if type(before) is not type(after):
        return True
    if isinstance(before, dict) and isinstance(other, dict):
        keys = before.keys() & after.keys()
        return other.keys() <= before.keys() | after.keys() and all(
            key in other and (key.endswith("_ms") or agree(before[key], other[key], after[key])) for key in keys)
    if isinstance(before, list) and isinstance(other, list) and len(before) == len(after):
        return len(other) == len(before) and all(map(agree, before, other, after))
    return before == other or before != after


# --- Operations ----------------------------------------------------------------------------------

class Operation:
    def __init__(self, world, method, path, spec):
        self.world, self.method, self.path, self.spec = world, method, path, spec
        self.permission = spec.get("x-aragora-permission")
        self.public = spec["security"] == []
        self.takes_body = method in ("POST", "PUT", "PATCH")

    @property
    def success(self):
        return next(int(status) for status in self.spec["responses"] if status.startswith("2"))

    def fields(self):
        for parameter in self.spec["parameters"]:
            yield Field(parameter["name"], parameter["in"], parameter.get("required", False), parameter["schema"])
        body = self.spec.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = body.get("schema", {})
        for name, member in schema.get("properties", {}).items():
            yield Field(name, "body", name in schema.get("required", []), member)

    def made(self):
        """Values of the names in braces, of resources that exist."""
        values = {}
        for name in re.findall(r"{(\w+)}", self.path):
            makers = [MADE[prefix] for prefix in sorted(MADE, key=len, reverse=True)
                      if self.path.startswith(prefix) and name in MADE[prefix]]
            assert makers, f"contract.py: MADE has no {{{name}}} for {self.path}"
            values[name] = makers[0][name](self.world)
        return values

    def good(self, optional=False, made=False):
        """place: name: value. Without made, the names in braces name nothing, in good form."""
        values = {"path": {}, "query": {}, "header": {}, "body": {}}
        own = EXAMPLES.get(self.spec["operationId"], {})
        for field in self.fields():
            if field.place == "path":
                values["path"][field.name] = good(field.schema)
            elif field.required or field.name in own or (optional and not field.schema.get("deprecated")):
                value = own.get(field.name, good(field.schema))
                values[field.place][field.name] = value(self.world) if callable(value) else value
        if made:
            values["path"] |= self.made()
        return values

    def url(self, values, spelling=None):
        def value(match):
            return urllib.parse.quote(as_text(values["path"][match[1]]), safe="")
        return re.sub(r"{(\w+)}", value, spelling or self.path)

    def send(self, values, client=None, spelling=None, method=None):
        query = urllib.parse.urlencode({k: as_text(v) for k, v in values["query"].items()},
                                       errors="surrogateescape")
        headers = {k: as_text(v).encode() for k, v in values["header"].items()}
        body = None
        if self.takes_body and (values["body"] or "requestBody" in self.spec):
            body = as_json(values["body"])
            headers["Content-Type"] = b"application/json"
        return (client or self.world.owner).request(
            method or self.method, self.url(values, spelling) + (f"?{query}" if query else ""), content=body,
            headers=headers)

    def send_body(self, content, headers):
        return self.world.owner.request(self.method, self.url(self.good()), content=content, headers=headers)

    def spellings(self):
        """Every other path of this operation (http.md 2.2)."""
        claimed = {path for (method, _), operation in self.world.operations.items() if method == self.method
                   for path in operation.written() if operation is not self}
        for path in self.written():
            yield path
            rest = re.sub(r"^/api/(v1/)?(?!v\d)", "", path)
            if rest != path:
                yield from (prefix + rest for prefix in ("/api/", "/api/v1/", "/api/v2/")
                            if prefix + rest not in claimed)

    def written(self):
        return [self.path, *self.spec.get("x-aragora-aliases", [])]

    def bad_cases(self):
        """Every single way to break a declared field, and what clamping would make of it."""
        for field in self.fields():
            named = None if field.schema.get("x-aragora-clamp") else first_name(field)
            in_body = field.place == "body"
            cases = [] if in_body else list(wrong_text(field.schema))
            cases += outside(field.schema)
            for label, value, result in cases:
                if field.place == "query" and len(as_text(value)) > 2000 or not in_body and not as_text(value):
                    continue  # no URL is that long; an empty value counts as absent
                if field.place == "header":
                    value = as_text(value).replace("é", "e").strip()
                    if not value:
                        continue  # blanks around a value are not part of it
                yield Case(f"{field.place} {field.name}: {label}", (field, value),
                           named, result)
            for label, value in wrong_json(field.schema) if in_body else ():
                yield Case(f"body {field.name}: {label}", (field, value), first_name(field), None)
            if field.place == "query":
                yield Case(f"query {field.name}: NUL", (field, "a\0b"), field.name, None)
                yield Case(f"query {field.name}: bad UTF-8", (field, "\udcff"), field.name, None)
            if field.required and field.place != "path":
                yield Case(f"{field.place} {field.name}: missing", (field, None), field.name, None)
        if self.method == "GET":
            unknown = Field("no_such_name", "query", False, {})
            yield Case("unknown query name", (unknown, "1"), unknown.name, None)
        name = Field("\udcff", "query", False, {})
        yield Case("query name of bad UTF-8", (name, "1"), "query", None)


def first_name(field):
    """Of a field that has two; refusals tell it."""
    return field.schema.get("x-aragora-alias-of", field.name)


def changed(values, change):
    """The same request with one field of another value; None: without it."""
    field, value = change
    values = copy.deepcopy(values)
    values[field.place].pop(first_name(field), None)
    if value is not None:
        values[field.place][field.name] = value
    return values


def send_at_once(response):
    """httpx sends head and body apart, and the body would wait 40 ms for the head's ACK."""
    stream = response.extensions["network_stream"].get_extra_info("socket")
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class World:
    """A server, its document, and clients with several rights."""

    def __init__(self, server):
        self.owner = server.client(server.key())
        self.anonymous = server.client()
        made = run(server.data, "apikey", "create", "--scope", "some.unrelated")
        assert made.returncode == 0, made.stderr
        self.stranger = server.client(made.stdout.strip())
        self.impostor = server.client("ara_" + "x" * 43)
        self.clients = (self.owner, self.anonymous, self.stranger, self.impostor)
        for client in self.clients:
            client.event_hooks["response"].append(send_at_once)
        self.ended, self.started = None, 0
        self.document = self.anonymous.get("/api/openapi.json").json()
        self.operations = {(method.upper(), path): Operation(self, method.upper(), path, spec)
                           for path, item in self.document["paths"].items() for method, spec in item.items()}
        self.error_schema = self.document["components"]["schemas"]["Error"]

    def debates(self):
        """Their number, less those that the tests made for their own use."""
        return self.owner.get("/api/v1/debates").json()["total"] - self.started

    def methods_of(self, path):
        """What the rows know for a concrete path."""
        def plain(one):
            return re.sub(r"^/api/v1/", "/api/", one)
        return {method for (method, _), operation in self.operations.items() for written in operation.written()
                if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(plain(written))), plain(path))}

    def refusal(self, operation, reply, statuses, field=None):
        """Text of what is wrong with a refusal, or None. operation None: no row answers."""
        if reply.status_code not in statuses:
            return f"status {reply.status_code}, not {statuses}: {reply.text[:200]}"
        if operation and str(reply.status_code) not in operation.spec["responses"]:
            return f"status {reply.status_code} is not documented"
        if reply.headers["content-type"] != "application/json":
            return f"content type {reply.headers['content-type']}"
        body = reply.json()
        wrong = mismatch(self.error_schema, body)
        if wrong:
            return wrong
        if field is not None and not re.fullmatch(re.escape(field) + r"(\[\d+\])?", body.get("field", "")):
            return f"names {body.get('field')!r}, not {field!r}: {body['error']}"
        return None

    def close(self):
        for client in self.clients:
            client.close()
