"""Loaded by schemathesis: what our document says in words that it does not know, values that name
something on the server, and a count of the answers."""

import atexit
import collections
import json
import os
import pathlib

import schemathesis

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


@schemathesis.hook
def after_call(context, case, response):
    answers[case.operation.label][response.status_code] += 1


@atexit.register
def tell():
    (FOLDER / "answers.json").write_text(json.dumps(answers))


@schemathesis.deserializer("application/x-pem-file", "text/css", "text/html", "text/javascript")
def text(context, response):
    return response.text
