"""From a run to a server that listens, until somebody ends it."""

import contextlib
import errno
import importlib
import ipaddress
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from faceemo.errors import UserError

if TYPE_CHECKING:
    import uvicorn

    from faceemo.inference.serve.middleware import Guard

_PACKAGES = ("fastapi", "uvicorn", "python_multipart")
# Seconds for connections to end when the server does.
_CLOSING = 5
_HEADERS = 16 * 2**10  # bytes of a request's headers
# Connections for each request that has a place: others wait, look at pages or are told to wait.
_CONNECTIONS = 8


def serve(
    run: Path,
    *,
    host: str,
    port: int,
    names: Sequence[str],
    mib: float,
    megapixels: float,
    seconds: float,
    places: int,
) -> None:
    """Serves a trained network; returns when Ctrl-C ends it.

    Args:
        run: its folder, or a file of `faceemo.train.checkpoint.trained_model`.
        host: name or number of the address to listen at.
        port: 0 takes one that is free.
        names: see `names_of`.
        mib: of an uploaded picture, at the most.
        megapixels: likewise.
        seconds: in which a picture must have arrived, and be answered from then on.
        places: of `Limits`.

    Raises:
        UserError: if packages are missing, the run cannot be read, or the address not be had.
    """
    _check_installed()
    if Image.MAX_IMAGE_PIXELS and megapixels * 1e6 > Image.MAX_IMAGE_PIXELS:
        raise UserError(
            expected=f"at most {Image.MAX_IMAGE_PIXELS // 10**6} as --max-megapixels",
            found=f"{megapixels:g}",
            fix="give less: Pillow, which decodes, takes more for an attack",
        )
    with listening(host, port) as bound:
        # Only here, because each takes seconds, which a mistake need not wait for.
        from faceemo.inference import predictor
        from faceemo.inference.serve.app import make_app
        from faceemo.inference.serve.limits import Limits
        from faceemo.inference.serve.model_info import read_source, read_summary
        from faceemo.inference.serve.worker import Worker

        limits = Limits(
            bytes=round(mib * 2**20),
            pixels=round(megapixels * 1e6),
            upload_seconds=seconds,
            answer_seconds=seconds,
            places=places,
        )
        print(f"faceemo: getting {run} ready ...", file=sys.stderr)
        loaded = predictor.load(run)
        worker = Worker(loaded, limits)
        worker.warm()
        called, numbers = names_of(bound, host, names)
        app = make_app(
            loaded,
            limits,
            names=called,
            numbers=numbers,
            summary=read_summary(run),
            source=read_source(run),
            worker=worker,
        )
        print(f"faceemo: serving {run} at {address(bound)} (Ctrl-C ends it)", flush=True)
        if not is_loopback(bound):
            print(
                "faceemo: warning: everybody who can reach this machine can use it: there is no "
                "login, and pictures travel unencrypted",
                file=sys.stderr,
            )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended everything by then
            running(app, limits.places).run(sockets=[bound])
        print("faceemo: ended", flush=True)


def running(app: "Guard", places: int, log_level: str = "warning") -> "uvicorn.Server":
    """What serves an app on sockets.

    Args:
        app: of `app.make_app`.
        places: of `Limits`.
        log_level: of uvicorn.
    """
    import uvicorn

    from faceemo.inference.serve.timeouts import Impatient

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Impatient,
            log_level=log_level,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            h11_max_incomplete_event_size=_HEADERS,
            limit_concurrency=_CONNECTIONS * places,
            timeout_graceful_shutdown=_CLOSING,
        )
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address, before anything else is done.

    Raises:
        UserError: if it cannot be.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UserError(
            expected="an address of this machine as --host",
            found=f"'{host}' ({error.strerror or error})",
            fix="give 127.0.0.1 for this machine alone, or 0.0.0.0 for all who can reach it",
        ) from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(place)
        bound.listen()
    except OSError as error:
        bound.close()
        fix = {
            errno.EADDRINUSE: "end the program that uses it, or give another --port (0: any)",
            errno.EACCES: "give a --port from 1024 on",
        }.get(error.errno or 0, "give --host 127.0.0.1, or an address that this machine has")
        raise UserError(
            expected=f"port {port} of {host} to be free and allowed", found=f"{error.strerror}",
            fix=fix,
        ) from error  # fmt: skip
    return bound


def address(bound: socket.socket) -> str:
    """What to give to a browser."""
    return f"http://{_number(bound)}:{bound.getsockname()[1]}/"


def names_of(bound: socket.socket, host: str, names: Sequence[str]) -> tuple[set[str], bool]:
    """As which hosts the server answers, and whether as any IP address too, see `Guard`.

    Args:
        bound: where it listens.
        host: by which the user called that.
        names: that the user added; one that others can reach is called by the name of this machine
            and by numbers only without them.
    """
    from faceemo.inference.serve.middleware import LOOPBACK

    plain = not names and not is_loopback(bound)
    own = {socket.gethostname()} if plain else set()
    return {name.lower() for name in (*LOOPBACK, _number(bound), host, *own, *names)}, plain


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def _number(bound: socket.socket) -> str:
    """Where it listens, as it stands in a URL."""
    host = bound.getsockname()[0]
    return f"[{host}]" if bound.family == socket.AF_INET6 else host


def _check_installed() -> None:
    missing = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise UserError(
            expected="the packages of the extra 'serve'",
            found=f"no {', '.join(missing)}",
            fix="from the checkout, pip install -e '.[serve]'",
        )
