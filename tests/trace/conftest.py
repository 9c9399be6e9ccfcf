"""Fixtures: the system of the provider tests with a collector for its spans."""

import importlib.util
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "provider")]
spec = importlib.util.spec_from_file_location("provider_fixtures", FOLDER.parent / "provider" / "conftest.py")
provider_fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(provider_fixtures)

import pytest  # noqa: E402
from collector import Collector  # noqa: E402

api = provider_fixtures.api_fixtures
BIN, clean_environment, run = api.BIN, api.clean_environment, api.run  # what cgi_request.py asks for


class Traced(provider_fixtures.System):
    """Its environment is the tests' own: no variable of OpenTelemetry comes from outside."""

    def __init__(self, **settings):
        self.collector = Collector()
        super().__init__(**({"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url} | settings))

    def stop(self):
        status = super().stop()
        self.collector.stop()
        return status


@pytest.fixture(scope="module")
def traced():
    one = Traced()
    yield one
    assert one.stop() == 0
    assert one.collector.faults == []
