"""Receipts of real debates: read, exported, and checked with nothing but the public key."""

import hashlib
import json
import subprocess

import pytest
from conftest import BIN
from test_debate import ended, start, wait


@pytest.fixture(scope="module")
def receipt(owner):
    debate, events = wait(owner, start(owner), ended)
    return debate, events, owner.get(f"/api/v2/receipts/{debate['receipt_id']}").json()


@pytest.fixture(scope="module")
def files(owner, receipt, tmp_path_factory):
    """The export and both public keys."""
    folder = tmp_path_factory.mktemp("receipt")
    answer = owner.get(f"/api/v2/receipts/{receipt[2]['receipt_id']}/export", params={"format": "json"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-aragora-demo"] == "1"
    (folder / "receipt.json").write_bytes(answer.content)
    key = owner.get("/api/v2/receipts/signing-key", params={"key_id": receipt[2]["signature_metadata"]["key_id"]}).json()
    (folder / "demo.pem").write_text(key["public_key_pem"])
    (folder / "real.pem").write_text(owner.get("/.well-known/aragora-odr-signing-key").text)
    return folder


def verify(*arguments):
    done = subprocess.run([BIN / "aragora", "verify", *arguments], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout


def test_a_decision_has_one_receipt_and_an_event_that_names_it(owner, receipt):
    debate, events, found = receipt
    assert events[-1]["type"] == "receipt_generated" and events[-2]["type"] == "debate_end"
    assert events[-1]["data"] == {"debate_id": debate["id"], "receipt_id": found["receipt_id"],
                                  "verdict": found["verdict"], "confidence": found["confidence"],
                                  "hash": found["checksum"], "demo": True}
    assert found["debate_id"] == debate["id"] and found["demo"] is True
    assert found["input_summary"] == debate["task"]
    assert owner.get(f"/api/v2/receipts/{debate['id']}").json() == found
    listed = owner.get("/api/v2/receipts", params={"debate_id": debate["id"]}).json()
    assert listed["total"] == listed["pagination"]["total"] == 1
    assert listed["receipts"] == [{k: v for k, v in found.items() if k != "document"}]


def test_no_text_stands_in_the_receipt_nor_a_digest_that_a_guess_would_match(owner, receipt):
    debate, _, found = receipt
    messages = owner.get(f"/api/v1/debates/{debate['id']}/messages", params={"limit": 200}).json()["messages"]
    texts = [debate["task"], debate["final_answer"], *(m["content"] for m in messages)]
    document = json.dumps(found["document"])
    assert len(found["document"]["texts"]) >= len(messages)
    for text in texts:
        assert text not in document and hashlib.sha256(text.encode()).hexdigest() not in document


def test_the_server_verifies_it(owner, receipt):
    answer = owner.post(f"/api/v2/receipts/{receipt[2]['receipt_id']}/verify").json()
    assert answer["valid"] and answer["integrity_valid"] and answer["signature_valid"] and answer["chain_valid"]
    assert answer["stored_checksum"] == answer["computed_checksum"] == receipt[2]["checksum"]
    assert "error" not in answer


def test_the_demo_key_verifies_it_offline_and_no_other_does(files):
    document = str(files / "receipt.json")
    status, said = verify(document, "--pubkey", str(files / "demo.pem"))
    assert status == 0 and said.startswith("verified") and "simulated" in said
    assert verify(document, "--pubkey", str(files / "real.pem"))[0] == 3
    assert verify(document)[0] == 3
    assert verify(document, "--pubkey", document)[0] == 2
    assert verify(str(files / "none.json"))[0] == 2
    assert verify()[0] == 2


def test_every_changed_value_fails(files):
    """One byte of each value flipped, the canonical form kept."""
    document = json.loads((files / "receipt.json").read_text())
    tampered = files / "tampered.json"

    def variants(value, put):
        if isinstance(value, dict):
            for key in value:
                if key != "signature":
                    yield from variants(value[key], lambda new, key=key: put({**value, key: new}))
        elif isinstance(value, list):
            yield put(value[1:] if value else ["a"])
        elif isinstance(value, bool):
            yield put(not value)
        elif isinstance(value, str):
            yield put(("0" if value[0] != "0" else "1") + value[1:])
        elif value is None:
            yield put("a")
        else:
            yield put(value + 1 if isinstance(value, int) else value / 2)

    count = 0
    for changed in variants(document, lambda new: new):
        tampered.write_text(json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        assert verify(str(tampered), "--pubkey", str(files / "demo.pem"))[0] in (1, 2), changed
        count += 1
    assert count > 12
    tampered.write_text(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    assert verify(str(tampered), "--pubkey", str(files / "demo.pem"))[0] == 0


@pytest.mark.parametrize("path", ["", "/export", "/verify", "/texts", "/export?format=odr", "/export?format=odr-chain"])
def test_an_unknown_receipt_is_not_found(owner, path):
    answer = (owner.post if path == "/verify" else owner.get)(f"/api/v2/receipts/rcpt_none{path}")
    assert answer.status_code == 404 and answer.json()["code"] == "not_found"


def test_a_bad_request_names_its_field(owner, receipt):
    for path, field in (("?limit=x", None), ("?verdict=maybe", "verdict"), ("?date_from=soon", "date_from"),
                        ("?colour=red", "colour"), (f"/{receipt[2]['id']}/export?format=docx", "format")):
        answer = owner.get("/api/v2/receipts" + path)
        if field:
            assert answer.status_code in (400, 422) and field in answer.text, path
        else:
            assert answer.status_code == 200
    assert owner.get("/api/v2/receipts/signing-key", params={"key_id": "ed25519-0"}).status_code == 404
