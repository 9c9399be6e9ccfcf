"""Open Decision Receipts: what is issued, and that the public verifier and ours agree on it."""

import concurrent.futures
import copy
import hashlib
import itertools
import json
import pathlib
import subprocess

import pytest
from conftest import BIN, Server, run
from test_debate import ended, start, wait

ODR = pathlib.Path(__file__).resolve().parents[1] / "odr"
VERSIONS = ["0.2", "0.1"]


@pytest.fixture(scope="session")
def verifier():
    made = subprocess.run(["sh", ODR / "verifier.sh"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the public verifier cannot be installed: {made.stderr[-300:]}")
    return made.stdout.strip()


@pytest.fixture(scope="module")
def debate(owner):
    return wait(owner, start(owner), ended)[0]


def export(owner, receipt, **parameters):
    answer = owner.get(f"/api/v2/receipts/{receipt}/export", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture(scope="module")
def files(owner, debate, tmp_path_factory):
    """All forms of one receipt, and the key of its signatures."""
    folder = tmp_path_factory.mktemp("odr")
    receipt = debate["receipt_id"]
    for name, parameters in (("0.2", {"format": "odr"}), ("0.1", {"format": "odr", "odr_version": "0.1"}),
                             ("native", {"format": "json"}), ("chain", {"format": "odr-chain"})):
        (folder / name).write_bytes(export(owner, receipt, **parameters).content)
    key_id = json.loads((folder / "0.2").read_text())["signatures"][0]["key_id"]
    key = owner.get("/.well-known/aragora-odr-signing-key", params={"key_id": key_id})
    (folder / "key.pem").write_text(key.text)
    (folder / "other.pem").write_text(owner.get("/.well-known/aragora-odr-signing-key").text)
    return folder


def ours(path, *options):
    return subprocess.run([BIN / "aragora", "verify", path, *options], capture_output=True, text=True, timeout=20)


def theirs(verifier, folder, *options):
    done = subprocess.run([verifier, ODR / "statuses.py", folder, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compare(verifier, folder, variants, *options):
    """Both statuses of each variant: {label: (ours, theirs)}."""
    folder.mkdir()
    labels = {}
    for number, (label, variant) in enumerate(variants):
        labels[f"{number}.json"] = label
        (folder / f"{number}.json").write_text(json.dumps(variant))
    told = theirs(verifier, folder, *options)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = pool.map(lambda name: ours(folder / name, *options).returncode, labels)
        return {label: (status, told[name]) for (name, label), status in zip(labels.items(), statuses)}


# --- What is issued ------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_the_document_tells_the_decision_and_nothing_that_is_not_known(owner, debate, files, version):
    odr = json.loads((files / version).read_text())
    native = owner.get(f"/api/v2/receipts/{debate['receipt_id']}").json()
    assert odr["odr_version"] == version and odr["profile"].endswith("/v" + version)
    assert odr["receipt_id"] == native["receipt_id"] and odr["issued_at"] == native["document"]["created_at"]
    assert odr["subject"]["identifier"] == debate["id"]
    assert odr["subject"]["digest"]["value"] == hashlib.sha256(debate["task"].encode()).hexdigest()
    assert odr["claim"] == {"verdict": native["verdict"], "statement": debate["final_answer"]}
    assert odr["source"]["artifact_hash"] == native["checksum"]
    for name in ("confidence", "cruxes"):
        assert odr[name]["status"] == "absent" and odr[name]["reason"]
    assert odr["attestation"]["disposition"] == "autonomous" and odr["routing"] == {"status": "reserved"}
    quorum = odr["quorum"]
    assert {one["model_family"] for one in quorum["participants"]} == {"demo"}
    assert quorum["independence"]["distinct_model_families"] == 1
    agents = {one["agent"] for one in quorum["participants"]}
    assert agents == set(debate["agents"])
    voted = set(quorum["supporting_agents"]) | set(quorum["dissent"]["dissenting_agents"])
    assert voted and voted <= agents
    assert quorum["dissent"]["present"] == bool(quorum["dissent"]["dissenting_agents"])


def test_only_the_later_profile_holds_what_is_new_in_it(files):
    new, old = (json.loads((files / version).read_text()) for version in VERSIONS)
    assert {one["issuer"] for one in new["quorum"]["verdicts"]} and new["quorum"]["dissent"]["findings"]
    assert "verdicts" not in old["quorum"] and "findings" not in old["quorum"]["dissent"]
    assert new["signatures"][0]["issuer"] == "demo" and new["signatures"][0]["role"] == "emitter"
    assert old["signatures"][0].keys() == {"alg", "key_id", "signature"}
    for one in (new, old):
        one["quorum"].pop("verdicts", None), one.pop("signatures"), one.pop("odr_version"), one.pop("profile")
        for name in ("findings", "severity_max", "blocking"):
            one["quorum"]["dissent"].pop(name, None)
    assert new == old


def test_the_files_have_names_and_types(owner, debate):
    for parameters, kind, name in (({"format": "odr"}, "application/json", "odr.json"),
                                   ({"format": "odr-chain"}, "application/x-ndjson", "odr-chain.jsonl"),
                                   ({}, "application/json", "json")):
        headers = export(owner, debate["receipt_id"], download="true", **parameters).headers
        assert headers["content-type"] == kind and headers["x-aragora-demo"] == "1"
        assert headers["content-disposition"] == f'attachment; filename="{debate["receipt_id"]}.{name}"'
    assert owner.get(f"/api/v2/receipts/{debate['receipt_id']}/export?format=odr&odr_version=0.3").status_code in (400, 422)


def test_the_command_exports_what_the_server_does(server, debate, files, tmp_path):
    for name, options in (("0.2", ["--format", "odr"]), ("0.1", ["--format", "odr", "--odr-version", "0.1"]),
                          ("native", []), ("native", ["--format", "json"])):
        done = run(server.data, "receipt", "export", debate["id"], *options, "-o", tmp_path / "out")
        assert done.returncode == 0 and not done.stdout, done.stderr
        assert (tmp_path / "out").read_bytes() == (files / name).read_bytes()
    chain = run(server.data, "receipt", "export", debate["receipt_id"], "--format", "odr-chain").stdout
    assert chain.startswith((files / "chain").read_text())
    assert run(server.data, "receipt", "export", "rcpt_none").returncode == 1
    for wrong in (["export"], ["export", "a", "--format", "pdf"], ["rotate-key", "--org", "x"], ["export", "a", "--demo"]):
        assert run(server.data, "receipt", *wrong).returncode == 2, wrong


def test_another_organisations_receipt_is_not_exported(server, debate):
    assert run(server.data, "receipt", "export", debate["receipt_id"], "--org", "org_other").returncode == 1


def test_a_text_is_proven_with_its_salt(owner, debate, files):
    native = json.loads((files / "native").read_text())
    told = owner.get(f"/api/v2/receipts/{debate['receipt_id']}/texts").json()

    def holds(one, digest):
        assert len(one["salt"]) == 32
        return one["sha256"] == digest == hashlib.sha256(bytes.fromhex(one["salt"]) + one["text"].encode()).hexdigest()

    assert told["task"]["text"] == debate["task"] and holds(told["task"], native["task_sha256"])
    assert told["final_answer"]["text"] == debate["final_answer"]
    assert holds(told["final_answer"], native["final_answer_sha256"])
    assert len(told["texts"]) == len(native["texts"]) > 10
    for one, digested in zip(told["texts"], native["texts"]):
        assert holds(one, digested["sha256"])
        assert {name: one[name] for name in ("kind", "agent", "round")} == {
            name: digested[name] for name in ("kind", "agent", "round")}
    salts = [one["salt"] for one in told["texts"]]
    assert len(set(salts)) == len(salts)


# --- Both verifiers ------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_both_verifiers_accept_what_is_issued(verifier, files, tmp_path, version):
    document = json.loads((files / version).read_text())
    key, other, chain = (str(files / name) for name in ("key.pem", "other.pem", "chain"))
    for number, (options, status) in enumerate([(["--pubkey", key], 0), (["--pubkey", key, "--chain", chain], 0),
                                                ([], 3), (["--chain", chain], 3), (["--pubkey", other], 1)]):
        told = compare(verifier, tmp_path / str(number), [("issued", document)], *options)
        assert told == {"issued": (status, status)}, options


def leaves(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from leaves(value[key], path + (key,))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def put(document, path, value):
    changed = copy.deepcopy(document)
    if not path:
        return value
    at(changed, path[:-1])[path[-1]] = value
    return changed


def without(document, path):
    changed = copy.deepcopy(document)
    del at(changed, path[:-1])[path[-1]]
    return changed


def other_value(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return ("0" if value[:1] != "0" else "1") + value[1:]
    return value + 1 if isinstance(value, (int, float)) else "a"


def tampered(document):
    """Each value changed, taken out, or in company of a new one."""
    for path in leaves(document):
        value = at(document, path)
        if path:
            yield f"without {path}", without(document, path)
        if isinstance(value, dict):
            yield f"more in {path}", put(document, path, value | {"extra": "x"})
        elif isinstance(value, list):
            yield f"more in {path}", put(document, path, value + ["x"])
            yield f"twice {path}", put(document, path, value + value)
        else:
            yield f"another {path}", put(document, path, other_value(value))


def mistyped(document):
    for path, value in itertools.product(leaves(document), (None, -0.5, "", ["x"], [{}], {"status": "absent"},
                                                            {"status": "absent", "reason": "r"})):
        if path and value != at(document, path):
            yield f"{value!r} for {path}", put(document, path, value)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_verifiers_refuse_every_tampered_variant(verifier, files, tmp_path, version):
    document = json.loads((files / version).read_text())
    # The same good signature twice is no tampering.
    variants = [(label, variant) for label, variant in tampered(document)
                if variant != document and label != "twice ('signatures',)"]
    told = compare(verifier, tmp_path / "all", variants, "--pubkey", str(files / "key.pem"))
    assert len(told) > 100
    assert {label: both for label, both in told.items() if both[0] == 0 or both[0] != both[1]} == {}


def unsigned(variant):
    return isinstance(variant, dict) and variant.get("signatures") == []


@pytest.mark.parametrize("name", ["full.json", *VERSIONS])
def test_both_verifiers_read_the_profile_alike(verifier, files, tmp_path, name):
    """Without a key the status is that of form and consistency alone."""
    document = json.loads(((ODR / name) if name == "full.json" else (files / name)).read_text())
    variants = [("as it is", document), *tampered(document), *(mistyped(document) if name == "full.json" else ())]
    told = compare(verifier, tmp_path / "all", [v for v in variants if not unsigned(v[1])])
    assert told["as it is"] == (3, 3)
    assert {3, 1} <= {both[0] for both in told.values()}
    assert {label: both for label, both in told.items() if both[0] != both[1]} == {}


def test_an_unsigned_document_proves_nothing_to_us(verifier, tmp_path):
    """The one status in which we are stricter than the public verifier."""
    document = put(json.loads((ODR / "full.json").read_text()), ("signatures",), [])
    assert compare(verifier, tmp_path / "all", [("unsigned", document)]) == {"unsigned": (3, 0)}


def test_the_parts_of_a_document_must_agree(verifier, tmp_path):
    document = json.loads((ODR / "full.json").read_text())
    changes = {
        "a supporter who takes no part": (("quorum", "supporting_agents"), ["ann", "zoe"]),
        "a dissenter who takes no part": (("quorum", "dissent", "dissenting_agents"), ["zoe"]),
        "a verdict by nobody": (("quorum", "verdicts", 0, "issuer"), "zoe"),
        "a blocking trifle": (("quorum", "dissent", "findings", 1, "blocking"), True),
        "a grave finding that blocks nothing": (("quorum", "dissent", "findings", 0, "blocking"), False),
        "another gravest": (("quorum", "dissent", "severity_max"), "P3"),
        "no finding, but a gravest": (("quorum", "dissent", "findings"), []),
        "dissent that blocks nothing": (("quorum", "dissent", "blocking"), False),
        "who decided attests": (("attestation", "attestor", "id"), " BOT "),
        "the profile of another version": (("profile",), document["profile"].replace("0.2", "0.1")),
        "another version": (("odr_version",), "0.1"),
    }
    told = compare(verifier, tmp_path / "all", [(label, put(document, *change)) for label, change in changes.items()])
    assert told == {label: (1, 1) for label in changes}


def test_spacing_and_order_do_not_matter(files, tmp_path):
    document = json.loads((files / "0.2").read_text())
    (tmp_path / "spaced.json").write_text(json.dumps(dict(reversed(document.items())), indent=2))
    assert ours(tmp_path / "spaced.json", "--pubkey", files / "key.pem").returncode == 0


def test_what_is_no_json_is_no_receipt(files, tmp_path):
    for text in ("", "{", "[]", "null", '{"odr_version":"0.2","odr_version":"0.2"}'):
        (tmp_path / "bad.json").write_text(text)
        assert ours(tmp_path / "bad.json", "--pubkey", files / "key.pem").returncode == 2, text


def test_the_report_is_json_if_wanted(files):
    told = json.loads(ours(files / "0.2", "--pubkey", files / "key.pem", "--json").stdout)
    document = json.loads((files / "0.2").read_text())
    assert told["ok"] is True and told["authenticity_unverified"] is False and told["demo"] is True
    assert (told["form"], told["outcome"], told["receipt_id"]) == ("odr", "verified", document["receipt_id"])
    assert told["key_id"] == document["signatures"][0]["key_id"] and len(told["digest"]) == 64
    assert any("person" in warning for warning in told["warnings"])
    told = json.loads(ours(files / "native", "--json").stdout)
    assert (told["ok"], told["authenticity_unverified"], told["form"]) == (True, True, "native")


# --- The chain -----------------------------------------------------------------------------------

def test_one_key_and_one_chain_serve_every_form(files):
    for name in ("native", *VERSIONS):
        assert ours(files / name, "--pubkey", files / "key.pem", "--chain", files / "chain").returncode == 0, name
    assert ours(files / "chain", "--pubkey", files / "key.pem").returncode == 0
    assert ours(files / "chain").returncode == 3
    assert ours(files / "chain", "--pubkey", files / "other.pem").returncode == 3
    assert ours(files / "chain", "--chain", files / "chain").returncode == 2


def test_a_chain_that_was_touched_fails(owner, files, tmp_path):
    if len((files / "chain").read_text().splitlines()) < 3:  # alone, this file has made one debate only
        for _ in range(2):
            last = wait(owner, start(owner), ended)[0]
        (files / "chain").write_bytes(export(owner, last["receipt_id"], format="odr-chain").content)
    lines = [json.loads(line) for line in (files / "chain").read_text().splitlines()]
    assert [line["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["prev_hash"] == "0" * 64

    def rehashed(line):
        body = {key: value for key, value in line.items() if key != "hash"}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return body | {"hash": hashlib.sha256(canonical.encode()).hexdigest()}

    assert all(rehashed(line) == line for line in lines)
    variants = {"one taken out": lines[:1] + lines[2:], "the first taken out": lines[1:],
                "exchanged": [lines[1], lines[0], *lines[2:]], "twice": lines[:1] + lines}
    for name in lines[0]:
        value = lines[0][name]
        changed = lines[0] | {name: value | {"signature": "AAAA"} if isinstance(value, dict) else other_value(value)}
        variants[f"another {name}"] = [changed, *lines[1:]]
        variants[f"another {name}, hashed"] = [rehashed(changed), *lines[1:]]
    for label, variant in variants.items():
        if variant == lines:
            continue
        (tmp_path / "chain").write_text("".join(json.dumps(line) + "\n" for line in variant))
        for path in (tmp_path / "chain", files / "0.2", files / "native"):
            options = ["--pubkey", files / "key.pem"] + (["--chain", tmp_path / "chain"] if path.parent == files else [])
            assert ours(path, *options).returncode == 1, (label, path.name)


def test_a_receipt_of_another_chain_is_not_anchored(files, tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "text").write_text("no JSON\n")
    for name in ("empty", "text"):
        assert ours(files / "0.2", "--pubkey", files / "key.pem", "--chain", tmp_path / name).returncode == 1
    assert ours(files / "0.2", "--pubkey", files / "key.pem", "--chain", tmp_path / "none").returncode == 2
    changed = put(json.loads((files / "0.2").read_text()), ("receipt_id",), "rcpt_other")
    (tmp_path / "other.json").write_text(json.dumps(changed))
    assert ours(tmp_path / "other.json", "--chain", files / "chain").returncode == 1


# --- Rotation and erasure ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def lone():
    """A server of its own: its keys are changed, its debates erased."""
    server = Server(ARAGORA_DISABLE_ALL_RATE_LIMITS="true", ARAGORA_DEMO_DELAY_MS="0")
    with server.client(server.key()) as client:
        yield server, client
    assert server.stop() == 0


def decided(client):
    return wait(client, start(client), ended)[0]


def public_key(client, key_id, path):
    path.write_text(client.get("/api/v2/receipts/signing-key", params={"key_id": key_id}).json()["public_key_pem"])
    return path


def test_a_running_server_signs_with_the_rotated_key(lone, verifier, tmp_path):
    server, client = lone
    first = decided(client)
    done = run(server.data, "receipt", "rotate-key", "--demo")
    assert done.returncode == 0, done.stderr
    second = decided(client)
    chain = export(client, second["receipt_id"], format="odr-chain").content
    (tmp_path / "chain").write_bytes(chain)
    kinds = [json.loads(line)["kind"] for line in chain.splitlines()]
    assert kinds == ["receipt", "key_rotation", "receipt"]
    used = []
    for debate in (first, second):
        receipt = debate["receipt_id"]
        native = client.get(f"/api/v2/receipts/{receipt}").json()
        used.append(native["signature_metadata"]["key_id"])
        key = public_key(client, used[-1], tmp_path / "key.pem")
        assert client.post(f"/api/v2/receipts/{receipt}/verify").json()["valid"] is True
        for name, parameters in (("native", {}), ("odr", {"format": "odr"})):
            (tmp_path / name).write_bytes(export(client, receipt, **parameters).content)
            assert ours(tmp_path / name, "--pubkey", key, "--chain", tmp_path / "chain").returncode == 0
        document = json.loads((tmp_path / "odr").read_text())
        told = compare(verifier, tmp_path / receipt, [("odr", document)], "--pubkey", str(key), "--chain", str(tmp_path / "chain"))
        assert told == {"odr": (0, 0)}
        assert ours(tmp_path / "chain", "--pubkey", key).returncode == 0  # each vouches for the other
    assert used[1] == done.stdout.strip() != used[0]


def test_the_real_key_rotates_too_and_the_old_one_is_still_found(lone):
    server, client = lone
    old = client.get("/api/v2/receipts/signing-key").json()
    done = run(server.data, "receipt", "rotate-key")
    assert done.returncode == 0, done.stderr
    assert client.get("/api/v2/receipts/signing-key").json()["key_id"] == done.stdout.strip() != old["key_id"]
    assert client.get("/api/v2/receipts/signing-key", params={"key_id": old["key_id"]}).json() == old
    keys = {path.name: path.stat().st_mode & 0o777 for path in (server.data / "keys").iterdir()}
    assert {name: keys[name] for name in ("receipt.pem", "demo-receipt.pem")} == {"receipt.pem": 0o600, "demo-receipt.pem": 0o600}
    assert not [name for name in keys if "ed25519-" in name]


def test_an_erased_debate_leaves_a_receipt_that_verifies(lone, tmp_path):
    server, client = lone
    debate = decided(client)
    receipt = debate["receipt_id"]
    native = export(client, receipt).content
    key_id = json.loads(native)["signature"]["key_id"]
    assert run(server.data, "debate", "erase", debate["id"], "--org", "org_other").returncode == 1
    assert run(server.data, "debate", "erase", debate["id"]).returncode == 0
    again = run(server.data, "debate", "erase", debate["id"])
    assert again.returncode == 1 and "before" in again.stderr
    assert run(server.data, "debate", "erase").returncode == 2
    assert client.get(f"/api/v1/debates/{debate['id']}").status_code == 404
    for path in ("export?format=odr", "export?format=odr&odr_version=0.1", "texts"):
        answer = client.get(f"/api/v2/receipts/{receipt}/{path}")
        assert answer.status_code == 410 and answer.json()["code"] == "gone" and "erased" in answer.text
    assert "erased" in run(server.data, "receipt", "export", receipt, "--format", "odr").stderr
    view = client.get(f"/api/v2/receipts/{receipt}").json()
    assert view["erased"] is True and "input_summary" not in view and debate["task"] not in json.dumps(view)
    assert export(client, receipt).content == native
    assert client.post(f"/api/v2/receipts/{receipt}/verify").json()["valid"] is True
    (tmp_path / "native").write_bytes(native)
    (tmp_path / "chain").write_bytes(export(client, receipt, format="odr-chain").content)
    last = json.loads((tmp_path / "chain").read_text().splitlines()[-1])
    assert (last["kind"], last["subject"]) == ("erasure", receipt)
    key = public_key(client, key_id, tmp_path / "key.pem")
    assert ours(tmp_path / "native", "--pubkey", key, "--chain", tmp_path / "chain").returncode == 0
