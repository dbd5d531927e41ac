"""The server: uvicorn with the application."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ganchain.batch.signals import handled
from ganchain.errors import GanchainError, shown
from ganchain.web.app import app
from ganchain.web.connection import MOST, Connection
from ganchain.web.limits import Limits
from ganchain.web.live_frames import BYTES
from ganchain.web.live_seats import Live
from ganchain.web.service import Service
from ganchain.web.worker import Ended

HURRY = 1.5  # seconds after which nothing is waited for any more, not even threads that compute


class Server(uvicorn.Server):
    """Uvicorn that ends quickly and quietly, and tells who still waits.

    Attributes:
        signal: the first of ``ENDING`` that arrived; 0 before.
        interrupted: something was running when it arrived.
        seats: those of live pages.
    """

    def __init__(self, guard: Any, service: Service, announce: Callable[[], None]) -> None:
        settings = uvicorn.Config(
            guard,
            http=Connection,
            ws=WebSocketsSansIOProtocol,
            ws_max_size=BYTES,
            ws_per_message_deflate=False,  # pictures are compressed already, and bombs are not
            log_level="warning",
            timeout_graceful_shutdown=1,
            limit_concurrency=MOST + 1,  # Connection keeps their number at MOST as long as one waits for nothing
            server_header=False,
        )
        super().__init__(settings)
        self.signal, self.interrupted = 0, False
        self._hurry = threading.Timer(HURRY, self._end_now)
        self._hurry.daemon = True
        self._guard, self._service, self._announce = guard, service, announce
        self.seats = service.seats

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end at the first signal; those after it change nothing."""
        if not self.signal:
            self.signal, self.should_exit = sig, True
            self.interrupted = not self._service.idle
            self._hurry.start()

    @property
    def status(self) -> int:
        """Exit status: 0, or 128 and the signal's number if something was running when it came."""
        return 128 + self.signal if self.interrupted else 0

    def _end_now(self) -> None:
        self._service.close()
        os._exit(self.status)

    def close(self) -> None:
        """Delete all files; the process may take its time from here."""
        self._hurry.cancel()
        self._service.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to ``serve``, which captures them from the beginning."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell all who wait that the server ends, and end."""
        self._guard.ending = True
        self._service.end()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # its words on tasks that it cancels
        await super().shutdown(sockets)


def serve(
    host: str,
    port: int,
    limits: Limits,
    *,
    device: str,
    engine: str,
    hosts: Iterable[str] = (),
    show: bool = False,
    live: Live | None = None,
) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP.

    Args:
        live: settings of live pages; with them the live page is the one that is shown, and its chain is loaded first.

    Returns:
        The exit status: 0, or 128 and the signal's number if something was running when it came.

    Raises:
        GanchainError: the server cannot listen on this address, or the chain or the camera of ``live`` cannot be used.
    """
    listening = listen(host, port)
    name, port = listening.getsockname()[:2]
    everywhere = ipaddress.ip_address(name).is_unspecified
    machine = "localhost" if everywhere else f"[{name}]" if ":" in name else name
    address = f"http://{machine}:{port}/{'live.html' if live else ''}"

    def announce() -> None:
        click.echo(f"ganchain listens on {address}  (Ctrl-C ends it)")
        if not ipaddress.ip_address(name).is_loopback:
            click.secho("Whoever can reach this machine can use it: there are no accounts.", fg="yellow", err=True)
        if show:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    allowed = (tuple(hosts) or ("*",)) if everywhere else (*hosts, host)
    ended = threading.Event()
    with handled(lambda *_: ended.set()):  # before there is a folder that must be deleted
        guard = app(limits, device=device, engine=engine, hosts=allowed, live_settings=live)
        server = Server(guard, guard.app.state.service, announce)
        try:
            if live is not None:
                _prepare(server, ended)
            with handled(server.handle_exit):
                if not ended.is_set():
                    server.run(sockets=[listening])
        finally:
            server.close()
            listening.close()
    return server.status


def _prepare(server: Server, ended: threading.Event) -> None:
    """Load the chain of live pages, unless a signal comes."""

    def tick(step: int) -> None:
        if ended.is_set():
            raise Ended("stopped")

    with suppress(Ended):
        server.seats.prepare(tick)


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket to an address.

    Raises:
        GanchainError: the address is not this machine's, or is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise GanchainError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; --port takes another"
        ) from error
    except UnicodeError as error:
        raise GanchainError(f"cannot listen on {shown(host)}: no machine can have this name") from error
    return listening
