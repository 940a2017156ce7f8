"""Only the service's own page, and programs on purpose, may ask; and what every answer forbids the browser."""

from functools import partial

import pytest
from starlette.testclient import TestClient
from tests.server.harness import TOKEN

from bitseek.server import Settings, create_app
from bitseek.server._limits import Rates

OURS = "127.0.0.1:8765"


@pytest.mark.parametrize("host", [OURS, "localhost", "localhost:1", "LOCALHOST:8765", "[::1]:8765", "127.0.0.1."])
def test_own_names_are_known(standing, host):
    assert standing.get("/api/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.2.3", "", "a b",
     "127.0.0.1:8765@evil.example", "localhost:80:80", "[::1", "0", "2130706433", "127.0.0.1:8765, evil.example"],
)  # fmt: skip
def test_foreign_host_headers_are_refused(standing, host):
    """A foreign name that resolves to this address would make the page of its owner one of the same origin."""
    for method, path in (("GET", "/"), ("GET", "/api/items"), ("GET", "/api/search"), ("POST", "/api/search")):
        answer = standing.request(method, path, headers={"Host": host})
        assert answer.status_code == 400 and "(--allow-host)" in answer.json()["detail"]


def test_two_host_headers_are_refused(standing):
    assert standing.get("/api/health", headers=[("Host", OURS), ("Host", "evil.example")]).status_code == 400


def test_further_names_are_allowed_by_the_owner(collection):
    app = create_app(collection, Settings(allowed_hosts=("photos.example",)))
    with TestClient(app, base_url="http://photos.example:80") as client:
        assert client.get("/api/health").status_code == 200
        assert client.get("/api/health", headers={"Host": "evil.example"}).status_code == 400
    with TestClient(create_app(collection, Settings(allowed_hosts=("*",))), base_url="http://any.example") as client:
        assert client.get("/api/health").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "anything else"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},  # another program of this machine
        {"Origin": "null"},
        {"Origin": f"http://{OURS}", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/items"), ("GET", "/api/search?code=00"), ("POST", "/api/search"), ("POST", "/api/update"),
     ("DELETE", "/api/items/1"), ("GET", "/api/items/1/image"), ("GET", "/metrics"), ("GET", "/static/main.js")],
)  # fmt: skip
def test_requests_of_other_sites_are_refused(standing, bearer, method, path, headers):
    """Even with the token, and though a browser would hide the answer: it must not happen at all."""
    answer = standing.request(method, path, headers=headers | bearer)
    assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


def test_the_own_page_and_programs_may_ask(standing):
    same = {"Origin": f"http://{OURS}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, same, {"Sec-Fetch-Site": "none"}):
        assert standing.get("/api/items", headers=headers).status_code == 200


def test_a_link_of_another_site_may_lead_to_the_page_alone(standing):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert standing.get("/", headers=link).status_code == 200
    assert standing.post("/", headers=link).status_code == 403
    assert standing.get("/", headers=link | {"Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_no_preflight_of_another_site_is_granted(standing):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    answer = standing.options("/api/items/1", headers=asked)
    assert answer.status_code == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "path",
    ["/", "/static/main.js", "/api/items", "/api/items/0/image", "/api/items/0/thumbnail", "/metrics", "/nothing",
     "/api/openapi.json", "/api/search?code=zz", "/api/search"],
)  # fmt: skip
def test_every_answer_forbids_sniffing_framing_and_referring(standing, path):
    headers = standing.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
    assert "server" not in headers and "cache-control" in headers
    assert ("sandbox" in policy) == path.startswith(("/api", "/metrics"))


def test_the_docs_of_the_framework_are_not_served(standing):
    """They load scripts from another host."""
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert standing.get(path).status_code == 404


def test_the_page_loads_nothing_from_another_host(standing):
    from importlib import resources

    for file in (resources.files("bitseek.server") / "static").iterdir():
        if file.name.endswith((".html", ".css", ".js", ".svg")):
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert "http://" not in text and "https://" not in text and "//cdn" not in text, file.name
    page = standing.get("/")
    assert page.headers["content-type"].startswith("text/html") and "<script>" not in page.text
    again = standing.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_requests_of_one_client_are_limited(collection, monkeypatch):
    """At one moment: on a busy machine requests come slowly, and more of them pass."""
    monkeypatch.setattr("bitseek.server._service.Rates", partial(Rates, clock=lambda: 0.0))
    with TestClient(create_app(collection, Settings(rate=20)), base_url=f"http://{OURS}") as client:
        statuses = [client.get("/api/health").status_code for _ in range(80)]
    assert statuses == [200] * 40 + [429] * 40


def test_a_token_of_any_bytes_is_compared_and_refused(standing):
    for shown in (b"Bearer \xff\xfe", b"Bearer ", b"Bearer", b"Basic " + TOKEN.encode(), TOKEN.encode()):
        assert standing.post("/api/update", headers={b"Authorization": shown}).status_code == 401
