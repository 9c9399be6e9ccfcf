"""Rate limits and the lenient mode, through the running system."""

import asyncio
import itertools
import time

import httpx
import pytest
from cgi_request import ask, data  # noqa: F401 - a fixture
from conftest import Server, run

TOKEN = "server-token-of-the-tests"
DOCUMENT = "/api/v1/openapi.json"  # needs neither a credential nor the database
addresses = (f"198.51.{n // 250}.{n % 250 + 1}" for n in itertools.count())  # of a client each


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


def statuses(data, count, path=DOCUMENT, **variables):  # noqa: F811
    return [ask(data, "GET", path, **variables)[0] for _ in range(count)]


ONE = {"ARAGORA_BURST_MULTIPLIER": "1"}


def test_a_stranger_is_limited_by_address(data):  # noqa: F811
    few = ONE | {"ARAGORA_RATE_LIMIT_PUBLIC": "2"}
    assert statuses(data, 3, REMOTE_ADDR=next(addresses), **few) == [200, 200, 429]
    assert statuses(data, 1, REMOTE_ADDR=next(addresses), **few) == [200]


def test_an_ipv6_client_is_its_network_of_64_bits(data):  # noqa: F811
    few = ONE | {"ARAGORA_RATE_LIMIT_PUBLIC": "2"}
    got = [ask(data, "GET", DOCUMENT, REMOTE_ADDR=address, **few)[0]
           for address in ("2001:db8:7::1", "2001:db8:7::2", "2001:db8:7:0:ffff::3", "2001:db8:7:1::1")]
    assert got == [200, 200, 429, 200]


def test_guessing_is_limited_like_a_stranger(data):  # noqa: F811
    few = ONE | {"ARAGORA_RATE_LIMIT_PUBLIC": "2", "REMOTE_ADDR": next(addresses)}
    guesses = [ask(data, "GET", "/api/v1/debates", HTTP_AUTHORIZATION=f"Bearer ara_{n}", **few)[0] for n in range(3)]
    assert guesses == [401, 401, 429]
    good = run(data, "apikey", "create", "x").stdout.strip()
    assert statuses(data, 1, "/api/v1/debates", HTTP_AUTHORIZATION=f"Bearer {good}", **few) == [200]


def test_where_a_server_token_is_set_tokens_and_addresses_are_limited(data):  # noqa: F811
    gate = {"ARAGORA_API_TOKEN": TOKEN, "ARAGORA_RATE_LIMIT": "2"}
    key = run(data, "apikey", "create", "y").stdout.strip()
    for token in (TOKEN, key):
        sent = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        got = [ask(data, "GET", "/api/v1/debates", REMOTE_ADDR=next(addresses), **gate, **sent)[0] for _ in range(3)]
        assert got == [200, 200, 429]
    assert statuses(data, 2, "/api/v1/debates", ARAGORA_RATE_LIMIT="1", **sent) == [200, 200]  # no gate, no limit
    address = {"ARAGORA_IP_RATE_LIMIT": "2", "REMOTE_ADDR": next(addresses)}
    assert statuses(data, 3, **address) == [200, 200, 429]
    other = {"ARAGORA_API_TOKEN": TOKEN, "HTTP_AUTHORIZATION": f"Bearer {key}", "ARAGORA_RATE_LIMIT": "100"}
    assert statuses(data, 1, **other, **address) == [429]


def test_an_organisation_is_limited_over_all_its_keys(data):  # noqa: F811
    few = ONE | {"ARAGORA_RATE_LIMIT_ORGANIZATION": "4"}
    got = []
    for name in ("k1", "k2"):
        key = run(data, "apikey", "create", name).stdout.strip()
        got += [ask(data, "GET", "/api/v1/debates", HTTP_AUTHORIZATION=f"Bearer {key}", **few) for _ in range(3)]
    # The tests before may have used up to one of it, and one may come back meanwhile.
    statuses = [status for status, _, _ in got]
    assert statuses[:3] == [200] * 3 and 429 in statuses[3:] and set(statuses) == {200, 429}
    assert got[statuses.index(429)][1]["x-ratelimit-limit"] == "4"


def test_what_one_layer_refuses_costs_nothing_in_another(data):  # noqa: F811
    address = {"REMOTE_ADDR": next(addresses), "ARAGORA_IP_RATE_LIMIT": "3"}
    assert statuses(data, 4, **ONE, **address, ARAGORA_RATE_LIMIT_PUBLIC="1") == [200, 429, 429, 429]
    remaining = ask(data, "GET", DOCUMENT, **address, ARAGORA_RATE_LIMIT_PUBLIC="1000")[1]["x-ratelimit-remaining"]
    assert remaining == "1"  # two have passed


def test_all_limits_are_off_where_the_setting_says_so(data):  # noqa: F811
    off = {"ARAGORA_DISABLE_ALL_RATE_LIMITS": "true", "ARAGORA_IP_RATE_LIMIT": "1", "REMOTE_ADDR": next(addresses)}
    assert statuses(data, 3, **off) == [200] * 3


@pytest.mark.parametrize("proxies, peer, headers, client", [
    (None, "127.0.0.1", {"X_FORWARDED_FOR": "{}"}, True),
    (None, "127.0.0.1", {"X_REAL_IP": "{}"}, True),
    (None, "203.0.113.77", {"X_FORWARDED_FOR": "{}"}, False),
    ("10.0.0.0/8", "10.3.2.1", {"X_FORWARDED_FOR": "9.9.9.9, {}"}, True),
    ("10.0.0.0/8", "10.3.2.1", {"X_FORWARDED_FOR": "{}, 10.0.0.1"}, True),
    ("10.0.0.0/8", "10.3.2.1", {"X_FORWARDED_FOR": "{}", "X_REAL_IP": "9.9.9.9"}, True),
    ("fd00::/8", "fd12::1", {"X_FORWARDED_FOR": "{}"}, True),
    ("fd00::/8", "fe12::1", {"X_FORWARDED_FOR": "{}"}, False),
])
def test_a_client_behind_a_proxy_is_limited_by_its_own_address(data, proxies, peer, headers, client):  # noqa: F811
    settings = ONE | {"ARAGORA_RATE_LIMIT_PUBLIC": "1", "REMOTE_ADDR": peer}
    if proxies:
        settings["ARAGORA_TRUSTED_PROXIES"] = proxies
    got = []
    for address in (next(addresses), next(addresses)):
        sent = {f"HTTP_{name}": value.format(address) for name, value in headers.items()}
        got.append(ask(data, "GET", DOCUMENT, **settings, **sent)[0])
    assert (got == [200, 200]) == client
    assert got[1] == (200 if client else 429)


@pytest.mark.parametrize("proxies", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "10.0.0.0/8;::1"])
def test_proxies_that_nobody_can_match_are_refused_at_the_start(data, proxies):  # noqa: F811
    with pytest.raises(AssertionError, match="ARAGORA_TRUSTED_PROXIES"):
        ask(data, "GET", "/healthz", ARAGORA_TRUSTED_PROXIES=proxies)


CLIENTS, RATE = 200, 300  # a minute, and at once


async def storm(url, key, seconds):
    """Of one key from many connections at once: how many passed, how many did not."""
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, limits=limits, timeout=60,
                                 trust_env=False) as client:
        end = time.monotonic() + seconds
        counts = {200: 0, 429: 0}

        async def one():
            while time.monotonic() < end:
                counts[(await client.get("/api/v1/debates?limit=1")).status_code] += 1

        await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return counts


def test_many_clients_of_one_key_pass_no_more_than_burst_and_rate_over_all_workers():
    server = Server(ARAGORA_WORKERS="4", ARAGORA_RATE_LIMIT_ADMIN=str(RATE), ARAGORA_BURST_MULTIPLIER="1",
                    ARAGORA_LOG_LEVEL="ERROR")
    key = server.key()
    from_ = time.monotonic()
    counts = asyncio.run(storm(server.url, key, 3))
    took = time.monotonic() - from_
    assert server.stop() == 0
    assert counts[429] > 0
    assert RATE + 3 * RATE / 60 - 1 <= counts[200] <= RATE + took * RATE / 60 + 1, (counts, took)
