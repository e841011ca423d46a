"""Who may ask, and what every answer forbids a browser."""

import pytest

from tests.support.inference.asking import asking, crop, form


@pytest.fixture(scope="module")
def server(predictor):
    with asking(predictor) as asker:
        yield asker


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/api", 200),
        ("GET", "/api/model", 200),
        ("GET", "/demo.js", 200),
        ("GET", "/examples/happy.png", 200),
        ("GET", "/nothing", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/predict", 405),
        ("POST", "/api/predict", 400),
        ("DELETE", "/", 405),
        ("OPTIONS", "/api/predict", 405),
    ],
)
def test_every_answer_forbids_what_it_does_not_need(server, method, path, status):
    answer = server.ask(method, path)
    assert answer.status_code == status
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not any(name.startswith("access-control") for name in answer.headers)
    if status >= 400:
        assert answer.json().keys() == {"error", "expected", "found", "fix", "message"}


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("LocalHost:1", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8000", False),
        ("localhost.evil.example", False),
        ("[::1].evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_only_its_own_names_reach_it(server, host, ok):
    """A page of evil.example may let that name lead to 127.0.0.1."""
    for method, path in (("GET", "/"), ("POST", "/api/predict")):
        answer = server.ask(method, path, headers={"Host": host})
        assert (answer.status_code == 421) is not ok, host


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("192.0.2.7", True),
        ("192.0.2.7:8000", True),
        ("[2001:db8::1]:8000", True),
        ("box:8000", True),
        ("evil.example", False),
        ("192.0.2.7.evil.example", False),
        ("192.0.2", False),
        ("[", False),
        ("[::1", False),
        ("a b", False),
        ("\u00e9", False),
        ("", False),
    ],
)
def test_a_server_for_all_is_called_by_numbers_or_its_own_name(predictor, host, ok):
    """A name that leads to it may be another site's."""
    with asking(predictor, names={"box"}, numbers=True) as asker:
        answer = asker.get("/api/health", headers={"Host": host.encode("latin-1")})
        assert answer.status_code == (200 if ok else 421)
        assert "box" not in answer.text


def test_a_name_that_was_added_is_its_name(predictor):
    with asking(predictor, names={"demo.example"}) as asker:
        assert asker.get("/", headers={"Host": "demo.example:443"}).status_code == 200
        assert asker.get("/", headers={"Host": "localhost"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "ok"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8000"}, True),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1:9000"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_pages_of_other_sites_cannot_ask(server, headers, ok):
    answer = server.ask("POST", "/api/predict", files=form(crop(0)), headers=headers)
    assert answer.status_code == (200 if ok else 403)
    assert server.get("/", headers=headers).status_code == 200, "a link from elsewhere is fine"
