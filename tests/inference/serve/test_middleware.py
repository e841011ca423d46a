"""Allowed hosts and origins, and the security headers of responses."""

import pytest

from tests.support.inference.asking import crop_png, make_form, open_api


@pytest.fixture(scope="module")
def api(predictor):
    with open_api(predictor) as api:
        yield api


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
def test_every_response_has_the_security_headers(api, method, path, status):
    response = api.request(method, path)
    assert response.status_code == status
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert not any(name.startswith("access-control") for name in response.headers)
    if status >= 400:
        assert response.json().keys() == {"error", "expected", "found", "fix", "message"}


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
def test_other_host_names_are_refused(api, host, ok):
    """A page of evil.example can make that name resolve to 127.0.0.1 (DNS rebinding)."""
    for method, path in (("GET", "/"), ("POST", "/api/predict")):
        response = api.request(method, path, headers={"Host": host})
        assert (response.status_code == 421) is not ok, host


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
def test_an_open_server_allows_ip_addresses_and_its_own_name(predictor, host, ok):
    """Any other name may be that of another site."""
    with open_api(predictor, allowed_hosts={"box"}, allow_ip_hosts=True) as api:
        response = api.get("/api/health", headers={"Host": host.encode("latin-1")})
        assert response.status_code == (200 if ok else 421)
        assert "box" not in response.text


def test_an_added_host_name_is_allowed(predictor):
    with open_api(predictor, allowed_hosts={"demo.example"}) as api:
        assert api.get("/", headers={"Host": "demo.example:443"}).status_code == 200
        assert api.get("/", headers={"Host": "localhost"}).status_code == 421


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
def test_requests_from_pages_of_other_sites_are_refused(api, headers, ok):
    response = api.request("POST", "/api/predict", files=make_form(crop_png(0)), headers=headers)
    assert response.status_code == (200 if ok else 403)
    assert api.get("/", headers=headers).status_code == 200, "a link from another site is allowed"
