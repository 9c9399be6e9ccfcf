"""What a worker keeps in memory, that it grows by no request."""

import contextlib
import json
import sys

from subject import JSON, ROOT, Failed, Subject, private_kb
from table import row

sys.path.insert(0, str(ROOT / "tests/api"))
from test_memory import send  # noqa: E402

FEW, MANY = 10_000, 100_000


def memory(directory, _options):
    """One worker, which gets them all, good and bad."""
    with contextlib.ExitStack() as stack:
        subject = Subject(stack, directory / "subject", workers=1, ARAGORA_LOG_LEVEL="ERROR")
        key = subject.key
        mix = [("GET", "/healthz", {}, None, 200),
               ("GET", subject.finished_debate(), key, None, 200),
               ("GET", "/api/v1/debates", key, None, 200),
               ("GET", "/api/v1/nowhere", key, None, 404),
               ("POST", "/api/v1/debates", key | JSON, '{"task": "cut', 400),
               ("POST", "/api/v1/debates", key | JSON, json.dumps({"task": 7}), 400)]
        worker, = subject.workers
        failures, kept = [], []
        for count in (FEW, MANY - FEW):
            send(subject, mix, count, failures)
            kept.append(private_kb(worker))
        if failures or subject.processes("aragora-fcgi") != subject.workers:
            raise Failed(f"wrong answers, or a worker that is gone: {failures[:3]}")
        few, many = kept
        return [row("memory_after_100000", many, "kB", few, many / few)]
