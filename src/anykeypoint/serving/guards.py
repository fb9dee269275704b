"""What a request must pass before anything of it is read: host, origin, token, number, size; and headers of answers."""

import asyncio
import base64
import hmac
import ipaddress
import logging
import secrets
import time
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InputError
from .refusals import FAILED, Refusal, answer_to
from .server_limits import ServerLimits
from .server_metrics import ServerMetrics

_log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What a token is needed for; the page's files hold no secrets.
GUARDED = ("/v1", "/metrics", "/label-studio", "/x-anylabeling")
QUIET = ("/healthz", "/readyz", "/metrics", "other")  # what is asked all the time, and would fill the log
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_listening(host: str, token: str | None) -> None:
    """InputError for a server that other machines reach without a token, and for a token that is easily guessed."""
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token):
        raise InputError("A token must be 16 or more printable ASCII characters without blanks; write a longer one.")
    if token is None and not is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, so a token is needed; give --token-file FILE, or listen on "
            "127.0.0.1."
        )


class Gate:
    """The outermost layer of the app, in ASGI's form.

    hosts: names in the header Host that are answered, beside those of loopback; another one means that a page of
        elsewhere had its name point here. "*" takes any, for a server behind a proxy that checks it.
    token: that requests of GUARDED must bring; None needs none.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServerLimits,
        metrics: ServerMetrics,
        hosts: Collection[str] = (),
        token: str | None = None,
    ) -> None:
        self.app, self.limits, self.metrics, self.token = app, limits, metrics, token
        self.hosts = {_name_of(host) for host in (*LOOPBACK, *hosts)}
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 0

        async def marked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                more = {**HEADERS, "x-request-id": request_id}
                added = [(name.encode(), value.encode()) for name, value in more.items() if name.encode() not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        self.under_way += 1
        try:
            try:
                self._check(scope)
            except Refusal as refusal:
                await answer_to(refusal, request_id)(scope, receive, marked_send)
                return
            await self.app(scope, self._bounded(receive), marked_send)
        except Exception:
            _log.exception("Request %s failed", request_id)
            if status == 0:
                await answer_to(Refusal(500, FAILED), request_id)(scope, receive, marked_send)
        finally:
            self.under_way -= 1
            taken = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            level = logging.DEBUG if route in QUIET else logging.INFO
            _log.log(level, "%s %s %s %d %.0f ms", request_id, scope["method"], route, status, 1000 * taken)

    def _check(self, scope: Scope) -> None:
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        values = dict(headers)
        host = values.get("host", "")
        name = _name_of(host)
        if "*" not in self.hosts and name not in self.hosts:
            raise Refusal(
                403, f"This server does not answer to the host {name[:80]!r}; name it with --allow-host.", "Host"
            )
        origin = values.get("origin")
        if origin is not None and urlsplit_host(origin) != host.lower():
            raise Refusal(403, f"Pages of {origin[:80]!r} may not use this server.", "Origin")
        if self.token is not None and any(_below(scope["path"], place) for place in GUARDED):
            given = [value for name, value in headers if name == "authorization"] or [
                f"Bearer {value}"
                for name, value in headers
                if name == "token"  # X-AnyLabeling's
            ]
            expected = f"Bearer {self.token}".encode()
            if len(given) != 1 or not hmac.compare_digest(_bearer(given[0]).encode("latin-1"), expected):
                raise Refusal(
                    401,
                    "This server needs its token in the header Authorization: Bearer TOKEN.",
                    "Authorization",
                    WWW_Authenticate="Bearer",
                )
        if self.under_way > self.limits.requests:
            raise Refusal(429, "Too many requests are under way; try again in a second.", Retry_After="1")
        length = values.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise Refusal(400, "The header Content-Length must be a whole number.", "Content-Length")
        if int(length) > self.limits.body_bytes:
            raise self._too_large()

    def _bounded(self, receive: Receive) -> Receive:
        """`receive` that refuses a body as soon as it is too large, and one that stops coming."""
        count, whole = 0, False

        async def bounded() -> Message:
            nonlocal count, whole
            if whole:  # what comes now is that the client went away, which may take as long as the answer does
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.limits.body_seconds)
            except TimeoutError:
                raise Refusal(408, f"No more of the body came for {self.limits.body_seconds:g} s.") from None
            if message["type"] == "http.request":
                count += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if count > self.limits.body_bytes:
                    raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> Refusal:
        return Refusal(413, f"The body of a request may have {self.limits.body_bytes} bytes, but has more; shrink it.")


def urlsplit_host(origin: str) -> str | None:
    """The host and port of an Origin, lower case; None for "null" and for what is none."""
    try:
        parts: Any = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _name_of(host: str) -> str:
    """The name in a header Host or of --allow-host, without the port and without the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return (host if host.count(":") > 1 else host.partition(":")[0]).lower()  # IPv6 may be given without brackets


def _bearer(authorization: str) -> str:
    """A header Authorization with the password of Basic, which Label Studio sends, as a bearer's token.

    The scheme may be in small letters or capitals (RFC 9110).
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return f"Bearer {value}"
    if scheme.lower() != "basic":
        return authorization
    try:
        return "Bearer " + base64.b64decode(value, validate=True).decode("latin-1").partition(":")[2]
    except ValueError:
        return authorization


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
