"""Runs the app until a signal ends it: requests under way are finished first."""

import logging
import os
import socket
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ..errors import InputError, first_line
from .service import Service

_log = logging.getLogger(__name__)
GRACE = 5  # seconds after draining in which refused requests are answered


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
