"""The contract of every route, made from the rows: a new row is tested by being there.

The document is what the tests believe; that it is the rows' is checked against aragora routes.
Bad requests are made from the schemas and must be refused by name and change nothing; good ones
must get what the document promises and not a member more.
"""

import json
import re
import time

import contract
import jsonschema
import pytest
from conftest import ROOT, Server, behind, run

ROWS = list(contract.read_rows())


def of(rows, name=lambda row: f"{row.method} {row.path}"):
    rows = list(rows)
    return pytest.mark.parametrize("row", rows, ids=map(name, rows))


every_operation = of(ROWS)
every_get = of(row for row in ROWS if row.method == "GET")
every_sender = of(row for row in ROWS if row.method in ("POST", "PUT", "PATCH"))
every_secret = of(row for row in ROWS if row.who != "public")
every_permission = of(row for row in ROWS if row.who not in ("public", "signed-in"))
every_path = of({row.path: row for row in ROWS}.values(), lambda row: row.path)

BODY_LIMIT = 65536


@pytest.fixture(scope="module", params=["lighttpd", "apache"])
def world(request):
    """Words come slowly enough that a debate of many rounds can be cancelled; one worker, so that
    an uptime does not depend on who answers."""
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="2", ARAGORA_WORKERS="1",
                    ARAGORA_MAX_REQUEST_SIZE=str(BODY_LIMIT), **behind(request.param))
    one = contract.World(server)
    yield one
    one.close()
    assert server.stop() == 0


@pytest.fixture
def operation(world, row):
    return world.operations[row.method, row.path]


def report(failures):
    assert not failures, "\n" + "\n".join(failures)


# --- The document --------------------------------------------------------------------------------

def parts(value, place=""):
    """Every object of the document with its place."""
    if isinstance(value, dict):
        yield place, value
    for key, child in (value.items() if isinstance(value, dict) else
                       enumerate(value) if isinstance(value, list) else ()):
        yield from parts(child, f"{place}/{key}")


def test_the_rows_are_the_documents_operations(world):
    told = sorted((method, path) for method, path in world.operations)
    assert told == sorted((row.method, row.path) for row in ROWS)


@every_operation
def test_a_row_is_told_as_it_stands_in_its_file(operation, row):
    line = (ROOT / row.file).read_text().splitlines()[row.line - 1]
    assert "ROUTE(" in line and row.method in line and row.handler in line
    assert re.fullmatch(row.handler + r"(_\d+)?", operation.spec["operationId"])
    assert row.stability == operation.spec["x-aragora-stability"]
    who = "public" if operation.public else operation.permission or "signed-in"
    assert row.who == who


def test_the_document_names_itself_and_every_operation_once(world):
    assert re.fullmatch(r"3\.1\.\d+", world.document["openapi"])
    assert world.document["info"]["title"] and world.document["info"]["version"]
    ids = [operation.spec["operationId"] for operation in world.operations.values()]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"\w+", one) for one in ids)
    plain = [re.sub(r"{\w+}", "{}", path) for path in world.document["paths"]]
    assert len(plain) == len(set(plain)), "two paths differ in a parameter's name only"
    written = [(o.method, path) for o in world.operations.values() for path in o.written()]
    assert len(written) == len(set(written))


def test_every_reference_leads_somewhere(world):
    references = [part["$ref"] for _, part in parts(world.document) if "$ref" in part]
    assert references
    for reference in references:
        at = world.document
        assert reference.startswith("#/")
        for key in reference[2:].split("/"):
            at = at[key.replace("~1", "/").replace("~0", "~")]


def test_every_schema_is_one_and_allows_its_own_defaults_and_examples(world):
    schemas = [(f"{place}/schema", part["schema"]) for place, part in parts(world.document) if "schema" in part]
    schemas += world.document["components"]["schemas"].items()
    failures = []
    for place, schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
        for inner, part in parts(schema, place):
            missing = set(part.get("required", ())) - set(part.get("properties", ()))
            if isinstance(part.get("required"), list) and missing:
                failures.append(f"{inner}: requires {missing}, which it does not describe")
            values = ([part["default"]] if "default" in part else []) + part.get("examples", [])
            failures += [f"{inner}: {value!r}: {wrong}" for value in values
                         if (wrong := contract.mismatch(part, value))]
    report(failures)


@every_operation
def test_an_operation_is_complete(world, operation):
    spec, names = operation.spec, re.findall(r"{(\w+)}", operation.path)
    assert spec["summary"] and spec["tags"]
    for need in spec["security"]:
        assert need and all(scheme in world.document["components"]["securitySchemes"] for scheme in need)
    assert operation.public or spec["security"]
    seen = [(parameter["name"], parameter["in"]) for parameter in spec["parameters"]]
    assert len(seen) == len(set(seen))
    assert [name for name, place in seen if place == "path"] == names
    for parameter in spec["parameters"]:
        assert parameter["in"] in ("path", "query", "header") and parameter["schema"], parameter
        assert parameter["in"] != "path" or parameter["required"] is True
    assert operation.takes_body or "requestBody" not in spec
    assert len([status for status in spec["responses"] if status.startswith("2")]) == 1
    for status, response in spec["responses"].items():
        assert re.fullmatch(r"[2-5]\d\d", status) and response["description"]
        assert status == "204" or all("schema" in media for media in response["content"].values())


# --- Who may ask ---------------------------------------------------------------------------------

@every_operation
def test_a_credential_that_is_sent_must_be_good(world, operation):
    reply = operation.send(operation.good(made="401" not in operation.spec["responses"]), world.impostor)
    if "401" in operation.spec["responses"] and operation.path not in contract.OWN_CREDENTIAL:
        assert world.refusal(operation, reply, {401}) is None
        assert reply.headers["www-authenticate"].startswith("Bearer")
    else:  # a probe looks at none
        assert reply.status_code == operation.success


@every_secret
def test_without_a_credential_it_is_401(world, operation):
    reply = operation.send(operation.good(), world.anonymous)
    assert world.refusal(operation, reply, {401}) is None
    assert reply.headers["www-authenticate"].startswith("Bearer")


@every_permission
def test_without_the_permission_it_is_403_and_names_it(world, operation, row):
    before = world.debates()
    reply = operation.send(operation.good(), world.stranger)
    assert world.refusal(operation, reply, {403}) is None
    assert reply.json()["details"]["required_permission"] == row.who
    assert world.debates() == before


# --- What is refused -----------------------------------------------------------------------------

@every_operation
def test_bad_input_is_refused_by_name_and_changes_nothing(world, operation):
    before, failures = world.debates(), []
    for case in operation.bad_cases():
        accepted = case.field is None
        reply = operation.send(contract.changed(operation.good(made=accepted), case.change))
        wrong = None
        if case.label.endswith("bad UTF-8"):  # the web server refuses it, in a form of its own
            wrong = None if reply.status_code == 400 else f"status {reply.status_code}"
        elif not accepted:
            wrong = world.refusal(operation, reply, {400, 422}, case.field)
            if wrong and case.label.endswith(("NUL", "surrogate")):  # refused as no JSON at all
                wrong = world.refusal(operation, reply, {400}, "body")
        elif reply.status_code != operation.success:
            wrong = f"is not clamped: {reply.status_code} {reply.text[:200]}"
        elif case.result is not None and reply.json().get(case.change[0].name, case.result) != case.result:
            wrong = f"is clamped to {reply.json()[case.change[0].name]}, not {case.result}"
        if wrong:
            failures.append(f"{case.label}: {str(case.change[1])[:60]!r} {wrong}")
    report(failures)
    assert world.debates() == before


JSON = {"Content-Type": "application/json"}

BROKEN = {
    "malformed": b"{",
    "cut": b'{"x":"',
    "an array": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "blank": b" ",
    "text after the end": b"{} x",
    "a comma too much": b'{"x":1,}',
    "a key twice": b'{"x":1,"x":2}',
    "an inner key twice": b'{"x":[{"y":1,"y":1}]}',
    "a NUL byte": b'{"x":"a\0b"}',
    "a NUL escaped": b'{"x":"a\\u0000b"}',
    "a NUL in a key": b'{"x\\u0000":1}',
    "a lone surrogate": b'{"x":"\\ud800"}',
    "bad UTF-8": b'{"x":"\xff"}',
    "an overlong form": b'{"x":"\xc0\xaf"}',
    "NaN": b'{"x":NaN}',
    "a huge number": b'{"x":1e999}',
    "too deep": b'{"x":' + b"[" * 11 + b"]" * 11 + b"}",
    "very deep": b"[" * 30000,
    "too many items": b'{"x":[' + b"1," * 1000 + b"1]}",
    "too many keys": json.dumps({f"k{i}": 1 for i in range(501)}).encode(),
}


@every_sender
def test_a_broken_body_is_refused_and_changes_nothing(world, operation):
    before, failures = world.debates(), []
    for label, body in BROKEN.items():
        wrong = world.refusal(operation, operation.send_body(body, JSON), {400}, "body")
        failures += [f"{label}: {wrong}"] if wrong else []
    report(failures)
    assert world.debates() == before


@every_sender
def test_a_body_of_another_type_is_415(world, operation):
    before, failures = world.debates(), []
    body = json.dumps(operation.good()["body"]).encode()
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"},
                    {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": ";"},
                    {"Content-Type": b"\xff/json"}):
        wrong = world.refusal(operation, operation.send_body(body, headers), {415}, "Content-Type")
        failures += [f"{headers}: {wrong}"] if wrong else []
    report(failures)
    assert world.debates() == before


@of(row for row in ROWS if row.method != "GET")
def test_a_body_over_the_limit_is_413(world, operation):
    before = world.debates()
    limit = operation.spec.get("x-aragora-max-body-bytes", BODY_LIMIT)
    body = b'{"x":"' + b"x" * (limit + 1 - 8) + b'"}'
    assert len(body) == limit + 1
    assert world.refusal(operation, operation.send_body(body, JSON), {413}) is None
    pieces = iter([body[:1000], body[1000:]])  # chunked: no length is declared
    assert world.refusal(operation, operation.send_body(pieces, JSON), {413}) is None
    assert world.debates() == before


@every_path
def test_a_method_that_the_path_does_not_know_is_405_and_told_which_it_knows(world, row, operation):
    url = operation.url(operation.good())
    known = world.methods_of(url)
    allowed = sorted(known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set()))
    for method in set(contract.METHODS) - known:
        for spelling in (url, re.sub("^/api/v1/", "/api/", url)):
            reply = world.owner.request(method, spelling)
            assert world.refusal(None, reply, {405}) is None, (method, spelling)
            assert reply.headers["allow"] == ", ".join(allowed)
    if "GET" not in known:
        assert world.owner.head(url).status_code == 405


def test_a_refusal_that_shows_another_way_is_documented(world):
    start = world.operations["POST", "/api/v1/debates"]
    reply = start.send(contract.changed(start.good(), (contract.Field("agents", "body", False, {}), "openai-api,demo")))
    assert world.refusal(start, reply, {400}, "agents") is None
    assert reply.json()["suggestion"]


# --- What is answered ----------------------------------------------------------------------------

def check_answer(operation, reply):
    promised = {status: response for status, response in operation.spec["responses"].items()
                if status.startswith("2")}
    assert str(reply.status_code) in promised, f"{reply.status_code} {reply.text[:300]}"
    content = promised[str(reply.status_code)].get("content", {})
    kind = reply.headers.get("content-type", "")
    assert kind in content if content else not reply.content
    if kind == "application/json":
        assert contract.mismatch(content[kind]["schema"], reply.json()) is None


@pytest.mark.parametrize("optional", [False, True], ids=["required", "all"])
@every_operation
def test_a_good_request_gets_what_the_document_promises(operation, optional):
    check_answer(operation, operation.send(operation.good(optional, made=True)))


@of(row for row in ROWS if row.creates == "creates")
def test_a_repeat_of_what_creates_gets_the_first_answer(world, operation):
    values = operation.good(made=True)
    values["header"]["Idempotency-Key"] = f"key-{time.monotonic_ns()}"
    first = operation.send(values)
    check_answer(operation, first)
    before, again = world.debates(), operation.send(values)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replay"] == "true" and "idempotent-replay" not in first.headers
    assert world.debates() == before


@every_operation
def test_what_creates_tells_how_it_is_repeated(operation, row):
    names = {parameter["name"] for parameter in operation.spec["parameters"]}
    assert ("Idempotency-Key" in names) == (row.creates == "creates")
    assert row.creates == "creates" or not (row.method == "POST" and operation.success in (201, 202))


@every_get
def test_head_is_get_without_the_body(operation):
    values = operation.good(made=True)
    # Apache closes a connection after so many requests.
    volatile = {"date", "x-request-id", "x-trace-id", "x-span-id", "content-length", "keep-alive", "connection"}

    def same_length():  # a time in the answer may have a digit more
        get, head, after = (operation.send(values, method=method) for method in ("GET", "HEAD", "GET"))
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers.keys() - volatile == get.headers.keys() - volatile
        for name in head.headers.keys() - volatile:
            assert head.headers[name] == get.headers[name] or get.headers[name] != after.headers[name], name
        return head.headers["content-length"] == str(len(get.content))

    assert any(same_length() for _ in range(10))


def value(reply):
    return reply.json() if reply.headers["content-type"] == "application/json" else reply.text


@every_operation
def test_every_spelling_answers_the_same(operation):
    spellings = set(operation.spellings())
    assert len(spellings) > 1 or not operation.path.startswith("/api/v1/")
    for spelling in spellings - {operation.path}:
        def same():  # tried again, since a clock may tick between two answers
            before, other, after = (operation.send(operation.good(made=True), spelling=path)
                                    for path in (operation.path, spelling, operation.path))
            check_answer(operation, other)
            assert other.status_code == before.status_code
            assert other.headers["content-type"] == before.headers["content-type"]
            return operation.method != "GET" or contract.agree(*map(value, (before, other, after)))
        assert any(same() for _ in range(5)), spelling


# --- The tests themselves ------------------------------------------------------------------------

def test_the_checks_find_what_is_wrong():
    schema = {"type": "object", "required": ["a"], "properties": {
        "a": {"type": "string", "format": "date-time"},
        "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "integer"}}}}}}
    assert contract.mismatch(schema, {"a": "2026-01-02T03:04:05Z", "b": [{"c": 1}]}) is None
    for value in ({}, {"a": "yesterday"}, {"a": "2026-01-02T03:04:05"}, {"a": "2026-01-02T03:04:05Z", "d": 1},
                  {"a": "2026-01-02T03:04:05Z", "b": [{"c": 1, "e": 2}]}):
        assert contract.mismatch(schema, value), value
    assert contract.agree({"a": 1, "t": 2}, {"a": 1, "t": 9}, {"a": 1, "t": 3})
    assert contract.agree({"took_ms": 1}, {"took_ms": 2}, {"took_ms": 1})
    for other in ({"a": 2, "t": 2}, {"t": 2}, {"a": 1, "t": 2, "x": 1}):
        assert not contract.agree({"a": 1, "t": 2}, other, {"a": 1, "t": 3}), other


def test_the_values_break_each_rule_once():
    labels = [label for label, *_ in contract.outside(
        {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^x{2,5}$"})]
    assert labels == ["minLength", "maxLength", "pattern", "length by pattern", "blank by pattern"]
    assert [value for _, value, _ in contract.outside({"type": "integer", "minimum": 1, "maximum": 9})] == [0, 10]
    assert {label for label, _ in contract.wrong_json({"type": "integer"})} == {
        "type boolean", "type number", "type string", "type array", "type object"}


def test_routes_of_one_path_are_printed_alone():
    shown = run("/nonexistent", "routes", "/api/v1/debates").stdout.splitlines()
    assert [line.split()[:2] for line in shown] == [["POST", "/api/v1/debates"], ["GET", "/api/v1/debates"]]
