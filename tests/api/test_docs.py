"""The API's own description: documents that agree with each other, and pages that a browser shows
without a network and within the security headers."""

import collections
import pathlib
import re
import subprocess

import httpx
import jsonschema
import pytest
import yaml
from conftest import Server
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CONTRACT = pathlib.Path(__file__).resolve().parents[1] / "contract"
PAGES = ("/api/docs", "/api/v1/docs", "/api/v2/docs", "/api/redoc", "/api/v1/redoc", "/api/v2/redoc")


@pytest.fixture(scope="module")
def document(anonymous):
    return anonymous.get("/api/openapi.json").json()


def operations(document):
    return {(method.upper(), path): operation for path, item in document["paths"].items()
            for method, operation in item.items()}


# --- Documents -----------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/api/openapi", "/api/openapi.json", "/api/v1/openapi", "/api/v1/docs/openapi.json",
                                  "/api/docs/openapi.json"])
def test_the_document_has_several_addresses(anonymous, document, path):
    reply = anonymous.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == document
    assert (reply.headers.get("cache-control") == "public, max-age=600") == ("/docs/" in path)


def test_the_yaml_is_the_same_document_to_every_reader(anonymous, document):
    reply = anonymous.get("/api/openapi.yaml")
    assert reply.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(reply.text) == document

    class Texts(yaml.SafeLoader):  # what stands unquoted and looks like something else
        pass
    Texts.yaml_implicit_resolvers = {}
    plain = [value for value in walk(yaml.load(reply.text, Texts)) if isinstance(value, str)]
    assert "200" in plain and "true" in plain  # keys and booleans, all texts here
    assert re.search(r'^ +"200":$', reply.text, re.M) and not re.search(r"^ +200:", reply.text, re.M)


def walk(value):
    yield value
    for child in (list(value) + list(value.values()) if isinstance(value, dict) else
                  value if isinstance(value, list) else ()):
        yield from walk(child)


def test_the_second_version_has_a_document_of_its_own(anonymous, document):
    own = anonymous.get("/api/v2/openapi.json").json()
    assert own["info"]["version"] == "2.0.0" and own["info"]["title"] == "Aragora API"
    assert own["paths"] == {path: item for path, item in document["paths"].items() if path.startswith("/api/v2/")}
    used = {tag for operation in operations(own).values() for tag in operation["tags"]}
    assert {tag["name"] for tag in own["tags"]} == used


def test_the_tags_of_the_operations_are_listed_once(document):
    listed = [tag["name"] for tag in document["tags"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {tag for operation in operations(document).values() for tag in operation["tags"]}


def test_the_server_of_the_document_is_the_public_address():
    server = Server(ARAGORA_PUBLIC_URL="https://aragora.example/under/")
    try:
        with server.client() as client:
            document = client.get("/api/openapi.json").json()
            collection = client.get("/api/postman.json").json()
    finally:
        assert server.stop() == 0
    assert document["servers"] == [{"url": "https://aragora.example/under"}]
    variables = {variable["key"]: variable["value"] for variable in collection["variable"]}
    assert variables["baseUrl"] == "https://aragora.example/under"


def test_an_independent_validator_finds_the_document_sound(anonymous, tmp_path):
    made = subprocess.run(["sh", CONTRACT / "venv.sh"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the validator cannot be installed: {made.stderr[-300:]}")
    for name in ("openapi.json", "openapi.yaml", "v2/openapi.json"):
        file = tmp_path / name.replace("/", "-")
        file.write_text(anonymous.get(f"/api/{name}").text)
        done = subprocess.run([f"{made.stdout.strip()}/openapi-spec-validator", "--subschema-errors", "all", file],
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, f"{file}: OK", "")


# What the schema of Postman 2.1.0 asks for, as far as the collection uses it.
PAIRS = {"type": "array", "items": {
    "type": "object", "required": ["key", "value"], "additionalProperties": False,
    "properties": {"key": {"type": "string"}, "value": {"type": "string"}, "description": {"type": "string"},
                   "disabled": {"type": "boolean"}, "type": {"type": "string"}}}}
AUTH = {"type": "object", "required": ["type"], "additionalProperties": False,
        "properties": {"type": {"enum": ["noauth", "bearer"]}, "bearer": PAIRS}}
ITEM = {"type": "object", "required": ["name", "request", "response"], "additionalProperties": False, "properties": {
    "name": {"type": "string"}, "response": {"type": "array"},
    "request": {"type": "object", "required": ["method", "url"], "additionalProperties": False, "properties": {
        "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]}, "header": PAIRS, "auth": AUTH,
        "body": {"type": "object", "required": ["mode", "raw"], "additionalProperties": False, "properties": {
            "mode": {"const": "raw"}, "raw": {"type": "string"}, "options": {"type": "object"}}},
        "url": {"type": "object", "required": ["raw", "host", "path"], "additionalProperties": False, "properties": {
            "raw": {"type": "string"}, "host": {"type": "array"}, "path": {"type": "array"}, "query": PAIRS,
            "variable": PAIRS}}}}}}
COLLECTION = {"type": "object", "required": ["info", "item"], "additionalProperties": False, "properties": {
    "info": {"type": "object", "required": ["name", "schema"]}, "auth": AUTH, "variable": PAIRS,
    "item": {"type": "array", "items": {
        "type": "object", "required": ["name", "item"], "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "item": {"type": "array", "items": ITEM}}}}}}


def test_the_postman_collection_holds_every_operation(anonymous, document):
    reply = anonymous.get("/api/postman.json")
    assert reply.headers["content-disposition"] == "attachment; filename=aragora.postman_collection.json"
    collection = reply.json()
    jsonschema.Draft202012Validator(COLLECTION).validate(collection)
    assert collection["info"]["schema"].endswith("/v2.1.0/collection.json")
    found = {}
    for folder in collection["item"]:
        for item in folder["item"]:
            request = item["request"]
            path = "/" + "/".join(re.sub(r"^:(.*)", r"{\1}", part) for part in request["url"]["path"])
            found[request["method"], path] = (folder["name"], request)
    assert found.keys() == operations(document).keys()
    for key, operation in operations(document).items():
        tag, request = found[key]
        assert tag == operation["tags"][0]
        assert ("auth" in request) == (operation["security"] == [])
        told = collections.defaultdict(set)
        for parameter in operation["parameters"]:
            if "x-aragora-alias-of" not in parameter["schema"]:
                told[parameter["in"]].add(parameter["name"])
        assert {one["key"] for one in request["url"]["query"]} == told["query"]
        assert {one["key"] for one in request["url"]["variable"]} == told["path"]
        assert ("body" in request) == (key[0] in ("POST", "PUT", "PATCH"))


# --- Figures -------------------------------------------------------------------------------------

def test_the_list_of_routes_has_every_path_once_in_order(owner, document):
    listed = owner.get("/api/v1/docs/routes").json()
    paths = [route["path"] for route in listed["routes"]]
    assert listed["total"] == len(paths) and paths == sorted(document["paths"])
    for route in listed["routes"]:
        item = document["paths"][route["path"]]
        assert {method.lower() for method in route["methods"]} == set(item)
        first = item[route["methods"][0].lower()]
        assert (route["description"], [route["tag"]]) == (first["summary"], first["tags"])


@pytest.mark.parametrize("query, fits", [
    ({"method": "POST"}, lambda method, tag: method == "POST"),
    ({"tag": "Debates"}, lambda method, tag: tag == "Debates"),
    ({"tag": "Debates", "method": "GET"}, lambda method, tag: (method, tag) == ("GET", "Debates")),
    ({"tag": "No such"}, lambda method, tag: False),
])
def test_the_list_of_routes_can_be_narrowed(owner, document, query, fits):
    listed = owner.get("/api/v1/docs/routes", params=query).json()
    found = {(method, route["path"]) for route in listed["routes"] for method in route["methods"]}
    assert found == {(method, path) for (method, path), operation in operations(document).items()
                     if fits(method, operation["tags"][0])}


def test_the_figures_are_those_of_the_document(owner, document):
    stats = owner.get("/api/v1/docs/stats").json()
    every = operations(document)
    assert (stats["total_endpoints"], stats["total_paths"]) == (len(every), len(document["paths"]))
    by_method = collections.Counter(method for method, _ in every)
    assert stats["by_method"] == {name: by_method[name] for name in ("GET", "POST", "PUT", "PATCH", "DELETE")}
    by_tag = collections.Counter(operation["tags"][0] for operation in every.values())
    assert {row["tag"]: row["count"] for row in stats["by_tag"]} == by_tag
    counts = [row["count"] for row in stats["by_tag"]]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("path", ["/api/v1/docs/routes", "/api/v1/docs/stats"])
def test_who_asks_for_figures_must_be_signed_in(anonymous, path):
    assert anonymous.get(path).status_code == 401


# --- Pages ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", PAGES)
def test_a_page_and_all_that_it_loads_come_from_the_server(anonymous, path):
    page = anonymous.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = [httpx.URL(page.url).join(link) for link in re.findall(r'(?:src|href)="([^"]+)"', page.text)
              if not link.startswith("data:")]
    assert len(loaded) >= 3
    for url in loaded:
        assert (url.host, anonymous.get(url).status_code) == (httpx.URL(anonymous.base_url).host, 200), url
    assert not re.search(r"<script(?![^>]* src=)|<style| on\w+=|style=", page.text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--window-size=1280,900", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
                     "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                     "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"):  # there is no network
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    yield driver
    driver.quit()


class Page:
    def __init__(self, browser, server, path):
        self.browser, self.server = browser, server
        browser.get("about:blank")
        self.complaints()
        browser.get(server.url + path)
        self.wait(lambda: self.browser.find_element(By.ID, "count").text.endswith("operations"))

    def wait(self, condition):
        return WebDriverWait(self.browser, 20).until(lambda _: condition())

    def complaints(self):
        """What the browser wrote on its console since the last call."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def shown(self, selector):
        return [one for one in self.all(selector) if one.is_displayed()]

    def search(self, text):
        field = self.browser.find_element(By.ID, "search")
        field.clear()
        field.send_keys(text)

    def open(self, operation_id):
        operation = self.browser.find_element(By.ID, f"op-{operation_id}")
        operation.find_element(By.TAG_NAME, "summary").click()
        self.wait(lambda: operation.find_elements(By.TAG_NAME, "h3"))
        return operation

    def send(self, operation):
        operation.find_element(By.TAG_NAME, "button").click()
        return self.wait(lambda: operation.find_elements(By.CSS_SELECTOR, ".result .status, .result .error"))[0].text


@pytest.fixture
def page(browser, server, request):
    one = Page(browser, server, request.param)
    yield one
    assert one.complaints() == []


on_docs = pytest.mark.parametrize("page", ["/api/v1/docs"], indirect=True)


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_a_page_shows_every_operation_under_its_tag(page, document, anonymous):
    source = anonymous.get("/api/v2/openapi.json").json() if "/v2/" in page.browser.current_url else document
    every = operations(source)
    assert len(page.all("main .operation")) == len(every)
    groups = {group.find_element(By.TAG_NAME, "summary").text: len(group.find_elements(By.TAG_NAME, "a"))
              for group in page.all("nav details")}
    by_tag = collections.Counter(operation["tags"][0] for operation in every.values())
    assert groups == {f"{tag} ({count})": count for tag, count in by_tag.items()}
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert loaded and all(name.startswith(page.server.url + "/") for name in loaded)


@on_docs
def test_a_search_leaves_what_has_all_its_words(page):
    page.search("cancel POST")
    assert [one.get_attribute("id") for one in page.shown("main .operation")] == ["op-debate_cancel_post"]
    assert len(page.shown("nav li")) == 1 and len(page.shown("nav details")) == 1
    page.search("no such thing")
    assert page.shown("main .operation") == [] and page.browser.find_element(By.ID, "count").text.startswith("0 of")


@on_docs
def test_an_operation_tells_its_parameters_its_body_and_its_replies(page):
    start = page.open("debate_start").text
    for word in ("Body", "rounds", "1 to 20", "Question to debate", "Replies", "debate_id", "429"):
        assert word in start
    messages = page.open("debate_messages_get").text
    for word in ("Parameters", "id *", "path", "limit", "query"):
        assert word in messages


@pytest.mark.parametrize("page", ["/api/v1/redoc"], indirect=True)
def test_the_reference_unfolds_everything(page):
    texts = {one.get_attribute("id"): one.text for one in page.all("main .operation")}
    assert "Question to debate" in texts["op-debate_start"]
    assert all("Replies" in text for text in texts.values())


@on_docs
def test_a_get_can_be_tried_with_a_key_and_without(page, server):
    operation = page.open("debate_list_get")
    assert page.send(operation).startswith("401 application/json")
    refused = page.complaints()
    assert len(refused) == 1 and "401" in refused[0]  # the browser tells of every failed request
    page.browser.find_element(By.ID, "key").send_keys(server.key())
    assert page.send(operation).startswith("200 application/json")
    assert '"debates"' in operation.find_element(By.TAG_NAME, "pre").text
    assert page.browser.execute_script("return localStorage.length + sessionStorage.length") == 0


@on_docs
def test_a_value_goes_into_its_place_in_the_path(page, server):
    page.browser.find_element(By.ID, "key").send_keys(server.key())
    operation = page.open("debate_get")
    operation.find_element(By.TAG_NAME, "input").send_keys("no/such?one")
    assert "/api/v1/debates/no%2Fsuch%3Fone" in page.send(operation)
    assert len(page.complaints()) == 1


@on_docs
def test_only_a_get_can_be_tried(page):
    assert page.open("debate_start").find_elements(By.TAG_NAME, "form") == []


@pytest.mark.parametrize("page", ["/api/v1/docs#op-debate_start", "/api/v1/redoc#op-debate_start"], indirect=True)
def test_an_address_can_name_an_operation(page):
    wanted = page.browser.find_element(By.ID, page.browser.current_url.split("#")[1])
    assert page.wait(lambda: "Body" in wanted.text)
    seen = "const at = arguments[0].getBoundingClientRect(); return at.top >= 0 && at.top < innerHeight / 2"
    assert page.wait(lambda: page.browser.execute_script(seen, wanted))


@on_docs
def test_the_browser_would_complain_of_what_the_headers_forbid(page):
    page.browser.execute_script("document.body.append(Object.assign(document.createElement('script'),"
                                "{ textContent: 'document.title = 1' }))")
    assert any("Content Security Policy" in text for text in page.complaints())
