"""Starts the server for a trained network and runs it until Ctrl-C."""

import contextlib
import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceemo.data.measure.decode import MAX_PIXELS
from faceemo.errors import UserError
from faceemo.inference.engine.names import AUTO

if TYPE_CHECKING:
    import uvicorn

    from faceemo.inference.serve.middleware import SecurityMiddleware

_SHUTDOWN_TIMEOUT = 5  # seconds for open connections when the server stops
_MAX_HEADER_BYTES = 16 * 2**10
# Open connections per active request: the others wait, load pages or are refused as busy.
_CONNECTIONS_PER_REQUEST = 8


def serve(
    run: Path,
    *,
    host: str,
    port: int,
    extra_hosts: Sequence[str],
    max_mib: float,
    max_film_mib: float,
    max_megapixels: float,
    timeout: float,
    max_requests: int,
    face_threshold: float | None = None,
    min_face: float | None = None,
    classes: Sequence[str] | None = None,
    engine: str = AUTO,
    check_faces: bool = True,
) -> None:
    """Serves a trained network; returns after Ctrl-C.

    Args:
        run: The run's folder, or a file of `faceemo.train.checkpoint.trained_model`.
        host: Name or IP address to listen at.
        port: Port to listen at; 0 takes a free one.
        extra_hosts: Host names that requests may name too, see `find_allowed_hosts`.
        max_mib: Maximum size of an uploaded image, MiB.
        max_film_mib: Maximum size of an uploaded film, MiB; 0 accepts no films.
        max_megapixels: Maximum size of an uploaded image, megapixels.
        timeout: Seconds within which an image must arrive, and then be answered; a film may take
            ten times as long to arrive.
        max_requests: Maximum number of requests in progress, see `Limits`.
        face_threshold: Confidence above which a detection is a face, see `predictor.load`.
        min_face: Height of the smallest faces, pixels, see `predictor.load`.
        classes: The classes to which predictions are restricted; None keeps all.
        engine: What runs the network, see `predictor.load`.
        check_faces: Whether each face is checked, see `predictor.load`.

    Raises:
        UserError: If the run cannot be read, or the address cannot be used.
    """
    if max_megapixels * 1e6 > MAX_PIXELS:
        raise UserError(
            expected=f"at most {MAX_PIXELS // 10**6} as --max-megapixels",
            found=f"{max_megapixels:g}",
            fix="give less; larger images are not decoded",
        )
    with bind_socket(host, port) as bound:
        # Imported late, as this takes seconds that a mistake in the options need not cost.
        from faceemo.inference import predictor
        from faceemo.inference.serve.app import make_app
        from faceemo.inference.serve.limits import Limits
        from faceemo.inference.serve.model_info import read_source, read_summary
        from faceemo.inference.serve.worker import Worker

        limits = Limits(
            max_bytes=round(max_mib * 2**20),
            max_pixels=round(max_megapixels * 1e6),
            max_film_bytes=round(max_film_mib * 2**20),
            film_timeout=10 * timeout,
            upload_timeout=timeout,
            response_timeout=timeout,
            max_requests=max_requests,
        )
        print(f"faceemo: loading {run} ...", file=sys.stderr)
        loaded = predictor.load(
            run,
            face_threshold=face_threshold,
            min_face=min_face,
            classes=classes,
            engine=engine,
            check_faces=check_faces,
        )
        worker = Worker(loaded, limits)
        worker.warm_up()
        allowed_hosts, allow_ip_hosts = find_allowed_hosts(bound, host, extra_hosts)
        app = make_app(
            loaded,
            limits,
            allowed_hosts=allowed_hosts,
            allow_ip_hosts=allow_ip_hosts,
            summary=read_summary(run),
            source=read_source(run),
            worker=worker,
        )
        print(f"faceemo: serving {run} at {format_url(bound)} (Ctrl-C stops it)", flush=True)
        if not is_loopback(bound):
            print(
                "faceemo: warning: everyone who can reach this machine can use the server: it has "
                "no login, and images are sent unencrypted",
                file=sys.stderr,
            )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down by then
            make_server(app, limits.max_requests).run(sockets=[bound])
        print("faceemo: server stopped", flush=True)


def make_server(
    app: "SecurityMiddleware", max_requests: int, log_level: str = "warning"
) -> "uvicorn.Server":
    """Makes the uvicorn server for an app.

    Args:
        app: The app, see `app.make_app`.
        max_requests: Maximum number of requests in progress, see `Limits`.
        log_level: Log level of uvicorn.
    """
    import uvicorn

    from faceemo.inference.serve.timeouts import TimeoutProtocol

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=TimeoutProtocol,
            log_level=log_level,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            limit_concurrency=_CONNECTIONS_PER_REQUEST * max_requests,
            timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
        )
    )


def bind_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at an address.

    Raises:
        UserError: If the address is unknown, in use or not permitted.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UserError(
            expected="an address of this machine as --host",
            found=f"'{host}' ({error.strerror or error})",
            fix="give 127.0.0.1 for this machine alone, or 0.0.0.0 for everyone who can reach it",
        ) from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen()
    except OSError as error:
        bound.close()
        fix = {
            errno.EADDRINUSE: "stop the program that uses it, or give another --port (0 for any)",
            errno.EACCES: "give a --port of 1024 or higher",
        }.get(error.errno or 0, "give --host 127.0.0.1, or an address that this machine has")
        raise UserError(
            expected=f"port {port} of {host} to be free and allowed",
            found=f"{error.strerror}",
            fix=fix,
        ) from error
    return bound


def format_url(bound: socket.socket) -> str:
    """Returns the URL of a listening socket."""
    return f"http://{_format_host(bound)}:{bound.getsockname()[1]}/"


def find_allowed_hosts(
    bound: socket.socket, host: str, extra_hosts: Sequence[str]
) -> tuple[set[str], bool]:
    """Returns `allowed_hosts` and `allow_ip_hosts` of `SecurityMiddleware`.

    This machine's name and any IP address are allowed only if other machines can reach the socket
    and the user gave no `extra_hosts`.

    Args:
        bound: The listening socket.
        host: Host that the user gave for it.
        extra_hosts: Further names that the user gave.
    """
    from faceemo.inference.serve.middleware import LOOPBACK_HOSTS

    is_open = not extra_hosts and not is_loopback(bound)
    names = [*LOOPBACK_HOSTS, _format_host(bound), host, *extra_hosts]
    names += [socket.gethostname()] if is_open else []
    return {name.lower() for name in names}, is_open


def is_loopback(bound: socket.socket) -> bool:
    """Returns whether only this machine can reach a socket."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def _format_host(bound: socket.socket) -> str:
    """Returns the IP address of a socket as in a URL: IPv6 in brackets."""
    host = bound.getsockname()[0]
    return f"[{host}]" if bound.family == socket.AF_INET6 else host
