"""Runs the app until a signal ends it: requests under way are finished first."""

import asyncio
import logging
import os
import socket
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from ..errors import InputError, first_line
from .service import Service

_log = logging.getLogger(__name__)
GRACE = 5  # seconds after draining in which refused requests are answered
ARRIVING = 1.0  # seconds for which a client that is connected may take to send its request, once a signal has come


class DrainingServer(uvicorn.Server):
    """A server that SIGTERM or SIGINT drains: no new requests, those under way are finished; a second one ends it."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        _log.info("Finishing the requests under way; a second signal ends the server at once")
        self.should_exit = True
        timer = threading.Timer(self.service.limits.drain_seconds, self.service.stop)
        timer.daemon = True
        timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and finish the requests of all clients that had connected until then.

        Uvicorn closes connections of which it has read no request yet, and the system those that were not accepted
        yet; to their clients either looks as if a request got lost.
        """
        loop = asyncio.get_running_loop()
        for listening in sockets or []:
            with suppress(NotImplementedError):  # the loop of Windows has none
                loop.remove_reader(listening)
        await asyncio.sleep(0.01)  # what the loop has accepted by now is lost where its server is closed too early
        arrived = [one for listening in sockets or [] for one in _accepted(listening)]
        for server in self.servers:
            server.close()  # right behind the last one that was accepted
        for connection in arrived:
            await loop.connect_accepted_socket(self._protocol, connection)
        ends = loop.time() + ARRIVING
        while loop.time() < ends and any(_is_silent(one) for one in self.server_state.connections):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        """What reads a connection, as `uvicorn.Server.startup` makes it."""
        made: Any = self.config.http_protocol_class
        return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """The connections that wait at a listening socket that does not block."""
    found: list[socket.socket] = []
    with suppress(BlockingIOError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            found.append(connection)
    return found


def _is_silent(connection: Any) -> bool:
    """Whether no request of a connection was read yet."""
    return connection.cycle is None


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes a free one. Raises InputError where it cannot be listened at."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise InputError(f"Cannot listen at {host}, port {port}: {first_line(error)}; choose another one.") from error


def running_config(app: FastAPI, service: Service) -> uvicorn.Config:
    """How uvicorn runs the app."""
    return uvicorn.Config(
        app,
        http="h11",  # DrainingServer knows its connections
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=int(service.limits.drain_seconds) + GRACE,
    )


def serve(app: FastAPI, service: Service, sock: socket.socket) -> None:
    """Serve an app on a listening socket until SIGTERM or SIGINT."""
    try:
        DrainingServer(running_config(app, service), service).run([sock])
    finally:
        sock.close()
    if service.loading:  # a thread inside a library that is being imported cannot be ended otherwise
        os._exit(0)
