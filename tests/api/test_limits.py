"""Rate limits and the lenient mode, through the running system."""

import pytest
from conftest import Server


@pytest.fixture(scope="module")
def strict():
    server = Server(ARAGORA_RATE_LIMIT_ADMIN="1", ARAGORA_BURST_MULTIPLIER="6",
                    ARAGORA_VALIDATION_BLOCKING="false")
    yield server
    assert server.stop() == 0


def test_a_limit_is_shown_counts_down_over_all_workers_and_then_refuses(strict):
    with strict.client(strict.key()) as client:
        replies = [client.get("/api/v1/debates") for _ in range(8)]
        assert [r.status_code for r in replies] == [200] * 6 + [429] * 2
        assert [r.headers["x-ratelimit-limit"] for r in replies] == ["1"] * 8
        assert [r.headers["x-ratelimit-remaining"] for r in replies] == ["5", "4", "3", "2", "1", "0", "0", "0"]
        refused = replies[-1]
        assert refused.json()["code"] == "rate_limit_exceeded"
        assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] >= 1
        assert [client.get("/healthz").status_code for _ in range(20)] == [200] * 20


def test_lenient_mode_answers_an_unknown_query_name_with_a_warning(strict):
    with strict.client() as client:
        reply = client.get("/api/openapi.json", params={"nonsense": "1"})
        assert reply.status_code == 200
        assert "Unknown query parameter" in reply.headers["warning"]
