"""Loaded by schemathesis: what our document says in words that it does not know, values that name
something on the server, and a count of the answers."""

import atexit
import collections
import json
import os
import pathlib

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse

FOLDER = pathlib.Path(os.environ["CONTRACT_FOLDER"])
GOOD = json.loads((FOLDER / "good.json").read_text())  # operationId: a request that succeeds
answers = collections.defaultdict(collections.Counter)


def taken(schema, empty):
    """What the server takes: a clamped number may be anything, an empty text in a query or a header
    counts as absent."""
    if schema.get("x-aragora-clamp"):
        return {}
    return {"anyOf": [schema, {"const": ""}]} if empty else schema


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for item in raw_schema["paths"].values():
        for operation in item.values():
            good = GOOD.get(operation["operationId"])
            for parameter in operation["parameters"]:
                values = good[parameter["in"]] if good else {}
                empty = parameter["in"] != "path" and not parameter.get("required")
                parameter["schema"] = taken(parameter["schema"], empty)
                if parameter["name"] in values:
                    parameter["examples"] = {"good": {"value": values[parameter["name"]]}}
            for media in operation.get("requestBody", {}).get("content", {}).values():
                members = media["schema"].get("properties", {})
                for name in members:
                    members[name] = taken(members[name], False)
                if good and good["body"]:
                    media["examples"] = {"good": {"value": good["body"]}}


# What a handler refuses by rules of its own, which no schema tells (whether a provider is
# configured, a debate still runs), and what is refused for another request's sake.
OWN_RULES = {"VALIDATION_ERROR", "BAD_REQUEST", "IDEMPOTENCY_KEY_REUSED", "idempotency_key_reused"}


def by_own_rule(case, refusal):
    if refusal["code"] in OWN_RULES or "integer out of range" in refusal["message"]:  # I-JSON (RFC 7493)
        return True
    if refusal["code"] != "MISSING_FIELD":
        return False
    contents = case.operation.definition.raw.get("requestBody", {}).get("content", {}).values()
    return not any(refusal["field"] in media["schema"].get("required", ()) for media in contents)  # this or that


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False: it is none."""
    if isinstance(failure, UnsupportedMethodResponse):
        return not (case.method == "GET" and response.request.body)  # which lighttpd refuses
    return not (isinstance(failure, RejectedPositiveData) and by_own_rule(case, response.json()))


@schemathesis.hook
def after_call(context, case, response):
    answers[case.operation.label][response.status_code] += 1


@atexit.register
def tell():
    (FOLDER / "answers.json").write_text(json.dumps(answers))


@schemathesis.deserializer("application/x-pem-file", "text/css", "text/html", "text/javascript")
def text(context, response):
    return response.text
