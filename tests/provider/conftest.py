"""Fixtures: the real system, whose providers are all the model server of models.py."""

import importlib.util
import pathlib
import sqlite3
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
spec = importlib.util.spec_from_file_location("api_fixtures", FOLDER.parent / "api" / "conftest.py")
api_fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api_fixtures)

from models import KEY, Models  # noqa: E402


class System:
    """One server with its model server; settings beyond those of the tests may be given."""

    def __init__(self, **settings):
        self.models = Models()
        self.log = open(pathlib.Path(api_fixtures.tempfile.mkdtemp()) / "log", "w+b")
        self.server = self.start(settings)
        self.client = self.server.client(self.server.key())

    def start(self, settings):
        return api_fixtures.Server(stderr=self.log, **({
            "ARAGORA_DISABLE_ALL_RATE_LIMITS": "true", "ARAGORA_DEMO_DELAY_MS": "0",
            "ARAGORA_LOG_LEVEL": "DEBUG", "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.models.url + "/v1", "OLLAMA_HOST": self.models.url,
            "OPENROUTER_API_KEY": "", "XAI_API_KEY": "", "MISTRAL_API_KEY": "",
            "HTTPS_PROXY": "", "ARAGORA_FIRST_BYTE_TIMEOUT": "1",
            "ARAGORA_STREAM_CHUNK_TIMEOUT": "1", "ARAGORA_PROVIDER_RETRY_DELAY_MS": "20",
            "ARAGORA_PROVIDER_RETRIES": "2",
            "ARAGORA_PROVIDER_MODELS": "openai-api:ok=2/8"} | settings))

    def rows(self, query, *values):
        with sqlite3.connect(next(self.server.data.glob("*.db"))) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(query, values)]

    def log_text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_bytes()

    def stop(self):
        self.client.close()
        status = self.server.stop()
        self.models.stop()
        return status


@pytest.fixture(scope="module")
def system():
    one = System()
    yield one
    assert one.stop() == 0
