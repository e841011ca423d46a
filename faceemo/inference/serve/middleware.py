"""Middleware that checks the host and origin of requests and adds security headers to responses."""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceemo.inference.serve.errors import ApiError, make_busy_error

# Key in the state of a request: True if it came when more connections were open than allowed.
TOO_MANY_CONNECTIONS = "too_many_connections"
# Hosts by which a browser on the same machine reaches the server.
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_HEADERS = {
    # Nothing from other sites and nothing inline. Images also from memory (blob:), for the user's
    # own, and from responses (data:), for heatmaps; films from memory.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class SecurityMiddleware:
    """ASGI middleware that lets through the server's own pages and programs, but no other pages.

    Args:
        app: The app that handles requests which pass the checks.
        allowed_hosts: Lower-case hosts, without port, that a request may name. A page of another
            site can make its own domain resolve to this machine (DNS rebinding). The browser then
            treats both as the same origin, so that only the Host header tells them apart.
        allow_ip_hosts: Whether a request may name any IP address too, which cannot be rebound.
    """

    def __init__(
        self, app: ASGIApp, allowed_hosts: Collection[str], *, allow_ip_hosts: bool = False
    ):
        self._app, self._allowed_hosts, self._allow_ip_hosts = app, allowed_hosts, allow_ip_hosts

    @property
    def paths(self) -> list[str]:
        """Lists the paths of all routes of the app, sorted."""
        return sorted({route.path for route in getattr(self._app, "routes", ())})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request or passes it to the app; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            if scope.get("state", {}).get(TOO_MANY_CONNECTIONS):
                raise make_busy_error("too many open connections")
            self._check(scope["method"], Headers(scope=scope))
        except ApiError as error:
            response = JSONResponse(error.body, error.status, error.headers)
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, method: str, headers: Headers) -> None:
        """Raises an `ApiError` if the host or the origin of a request is not allowed."""
        host = headers.get("host", "").lower()
        name = _strip_port(host)
        if name not in self._allowed_hosts and not (self._allow_ip_hosts and _is_ip_address(name)):
            raise ApiError(
                421,
                "wrong_host",
                # does not list the allowed hosts: the client may be another site's page
                expected="a host name of this server, such as localhost on the same machine",
                found=f"'{host[:80]}'",
                fix="use the URL that the server printed, or start it with --name for this host",
            )
        origin = headers.get("origin")
        is_foreign = origin is not None and origin.lower().partition("://")[2] != host
        if method not in _SAFE_METHODS and (
            is_foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        ):
            raise ApiError(
                403,
                "cross_origin",
                expected="a request from this server's own page, or from a program",
                found=f"one from a page of {(origin or 'another site')[:80]}",
                fix="open this server's own page",
            )


def _strip_port(host: str) -> str:
    """Removes the port: '[::1]:8000' becomes '[::1]'. A host without a port is unchanged."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _is_ip_address(name: str) -> bool:
    """Returns whether the host of a URL is an IP address; IPv6 is in brackets."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
