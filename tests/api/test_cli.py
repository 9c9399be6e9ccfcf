"""The aragora command without a server."""

import pytest
from conftest import run


@pytest.fixture
def data(tmp_path):
    yield tmp_path / "data"
    import pathlib
    if (tmp_path / "data").exists():
        at = (tmp_path / "data").stat()
        pathlib.Path(f"/dev/shm/aragora-{at.st_dev:x}-{at.st_ino:x}").unlink(missing_ok=True)


def test_help_ends_with_0_and_nonsense_with_2(data):
    assert run(data, "--help").returncode == 0
    for arguments in ([], ["nonsense"], ["routes", "--nonsense"], ["apikey"], ["serve", "--port"],
                      ["serve", "--port", "70000"]):
        assert run(data, *arguments).returncode == 2, arguments


def test_migrating_twice_applies_nothing_the_second_time(data):
    assert "3 steps applied" in run(data, "migrate").stdout
    assert run(data, "migrate").stdout == "0 steps applied\n"
    assert data.stat().st_mode & 0o777 == 0o700


def test_a_key_is_shown_once_and_can_be_revoked(data):
    key = run(data, "apikey", "create", "laptop").stdout.strip()
    assert key.startswith("ara_") and len(key) == 47
    listed = run(data, "apikey", "list").stdout
    assert key not in listed and "active" in listed and "laptop" in listed
    name = listed.split("\t")[0]
    assert run(data, "apikey", "revoke", name).returncode == 0
    assert run(data, "apikey", "revoke", name).returncode == 1
    assert "revoked" in run(data, "apikey", "list").stdout


def test_routes_name_their_file_and_line(data):
    lines = run(data, "routes").stdout.splitlines()
    assert any("/api/v1/debates/{id}" in line and "debates.c:" in line for line in lines)
    assert run(data, "routes", "/nowhere").returncode == 1


def test_config_hides_secrets_and_tells_where_a_value_is_from(data, tmp_path):
    data.mkdir(mode=0o700)
    (data / "aragora.conf").write_text("ARAGORA_API_TOKEN=a-very-secret-token\nARAGORA_WORKERS=3\n")
    shown = run(data, "config").stdout
    assert "a-very-secret-token" not in shown
    assert "ARAGORA_WORKERS=3\tfile" in shown
