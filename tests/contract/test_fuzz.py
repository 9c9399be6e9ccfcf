"""Requests made from the API document by schemathesis, good ones and bad ones, against the running
programs: no answer is a failure of ours, undocumented or of another form than promised, nothing
that the document forbids is taken, and what it allows is.

CONTRACT_FULL=1 (make check-contract) asks every operation thoroughly and insists on the package;
else a few operations are drawn. SEED=n repeats a run."""

import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "api"))

import contract  # noqa: E402
from conftest import Server  # noqa: E402

FULL = os.environ.get("CONTRACT_FULL") == "1"
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
DRAWN = 12  # operations of a short run


@pytest.fixture(scope="module")
def programs():
    """The folder of schemathesis' programs."""
    made = subprocess.run(["sh", FOLDER / "venv.sh"], capture_output=True, text=True)
    if made.returncode:
        (pytest.fail if FULL else pytest.skip)(f"schemathesis cannot be installed: {made.stderr[-300:]}")
    return pathlib.Path(made.stdout.strip())


@pytest.fixture(scope="module")
def world():
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="1", ARAGORA_MAX_ROUNDS="2")
    one = contract.World(server)
    yield one
    one.close()
    assert server.stop() == 0


def asked(world):
    operations = sorted(world.operations.values(), key=lambda operation: operation.spec["operationId"])
    return operations if FULL else random.Random(SEED).sample(operations, min(DRAWN, len(operations)))


def test_the_server_keeps_to_its_document(world, programs, tmp_path, capsys):
    operations = asked(world)
    good = {operation.spec["operationId"]: operation.good(made=True) for operation in operations}
    (tmp_path / "good.json").write_text(json.dumps(good))
    only = [] if FULL else [part for name in good for part in ("--include-operation-id", name)]
    done = subprocess.run(
        [programs / "st", "--config-file", FOLDER / "schemathesis.toml", "run",
         f"{world.owner.base_url}/api/openapi.json", "--header", f"Authorization: {world.owner.headers['authorization']}", "--seed", str(SEED), "--max-examples", "100" if FULL else "5",
         *(() if FULL else ("--phases", "examples,coverage,fuzzing")),
         "--continue-on-failure", *only],
        env=os.environ | {"CONTRACT_FOLDER": str(tmp_path), "PYTHONPATH": str(FOLDER)}, cwd=tmp_path, capture_output=True, text=True,
        timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    with capsys.disabled():
        count = sum(sum(statuses.values()) for statuses in answers.values())
        print(f"\n{len(operations)} operations, {count} requests, SEED={SEED}")
    unheard = [f"{operation.method} {operation.path}" for operation in operations
               if not any(status.startswith("2") for status in
                          answers.get(f"{operation.method} {operation.path}", ()))]
    assert not unheard, f"never answered with success: {unheard}"
