"""What stands before every request and on every answer: names, origins, headers."""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceemo.inference.serve.errors import Refused, busy

# In the state of a request: that there are more connections than there may be.
CROWDED = "crowded"
# By which a browser on this machine reaches it.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_HEADERS = {
    # Nothing from elsewhere, nothing inline; pictures also from memory (blob:) and answers (data:).
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guard:
    """An app that is asked only by its own pages and by programs, never by other sites' pages.

    Args:
        app: that is guarded.
        names: of hosts that it answers as, without port, lower case. A page of another site may let
            its own name lead to this machine (DNS rebinding), and is then, to the browser, of the
            same origin: only the name tells.
        numbers: whether it answers as any IP address too, which is no name that leads elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], *, numbers: bool = False):
        self._app, self._names, self._numbers = app, names, numbers

    @property
    def paths(self) -> list[str]:
        """Every path that the app answers at, each once."""
        return sorted({route.path for route in getattr(self._app, "routes", ())})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As every ASGI app is called."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            if scope.get("state", {}).get(CROWDED):
                raise busy("too many connections")
            self._check(scope["method"], Headers(scope=scope))
        except Refused as refused:
            answer = JSONResponse(refused.body, refused.status, refused.headers)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        name = _without_port(host)
        if name not in self._names and not (self._numbers and _is_number(name)):
            raise Refused(
                421,
                "wrong_host",
                # which they are is not told: whoever asks thus may be another site's page
                expected="a name that this server has, such as localhost on its own machine",
                found=f"'{host[:80]}'",
                fix="use the address that it printed, or start it with --name for this one",
            )
        origin = headers.get("origin")
        foreign = origin is not None and origin.lower().partition("://")[2] != host
        if method not in _SAFE_METHODS and (
            foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        ):
            raise Refused(
                403,
                "cross_origin",
                expected="a request of this server's own page, or of a program",
                found=f"one of a page of {(origin or 'another site')[:80]}",
                fix="open this server's own page",
            )


def _without_port(host: str) -> str:
    """'[::1]' of '[::1]:8000', 'localhost' of 'localhost'; what is no port stays."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _is_number(name: str) -> bool:
    """Whether it is an IP address, as it stands in a URL."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
