"""The server: uvicorn with the application."""

from __future__ import annotations

import ipaddress
import socket
import threading
import webbrowser
from collections.abc import Iterable

import click
import uvicorn

from ganchain.errors import GanchainError
from ganchain.web.app import app
from ganchain.web.limits import Limits


def serve(
    host: str, port: int, limits: Limits, *, device: str, engine: str, hosts: Iterable[str] = (), show: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        GanchainError: the server cannot listen on this address.
    """
    listening = listen(host, port)
    name, port = listening.getsockname()[:2]
    everywhere = ipaddress.ip_address(name).is_unspecified
    address = f"http://{'localhost' if everywhere else f'[{name}]' if ':' in name else name}:{port}/"
    click.echo(f"ganchain listens on {address}  (Ctrl-C ends it)")
    if not ipaddress.ip_address(name).is_loopback:
        click.secho("Whoever can reach this machine can use it: there are no accounts.", fg="yellow", err=True)
    allowed = (tuple(hosts) or ("*",)) if everywhere else (*hosts, host)
    application = app(limits, device=device, engine=engine, hosts=allowed)
    if show:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    settings = uvicorn.Config(
        application, log_level="warning", timeout_graceful_shutdown=5, limit_concurrency=200, server_header=False
    )
    uvicorn.Server(settings).run(sockets=[listening])


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
    return listening
