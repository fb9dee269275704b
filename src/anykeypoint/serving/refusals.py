"""Errors as clients get them: one JSON shape, and a status that fits.

{"error": "one sentence", "request_id": "3f2a...", "field": "boxes"}
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..errors import InputError, PredictionFailed
from ..io import NotWritten

_log = logging.getLogger(__name__)

_SENTENCES = {
    400: "The request cannot be read; send the form that the server's openapi.json describes.",
    404: "There is nothing at this address; the server's openapi.json lists what there is.",
    405: "This address does not take the method; the header Allow says which ones it takes.",
}
FAILED = "The server could not answer, and it is not the request's fault; its log has the reason under this request_id."


class Refusal(Exception):
    """A request that is not answered.

    status: of the HTTP answer.
    sentence: what was wrong and what to do.
    field: the part of the request that is to blame; None where it is none.
    headers: of the answer, such as Retry-After.
    """

    def __init__(self, status: int, sentence: str, field: str | None = None, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.field = status, sentence, field
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def body_of(sentence: str, request_id: str, field: str | None = None) -> dict[str, Any]:
    """The JSON of an error."""
    return {"error": sentence, "request_id": request_id} | ({} if field is None else {"field": field})


def answer_to(refusal: Refusal, request_id: str) -> JSONResponse:
    """The HTTP answer of a refusal."""
    body = body_of(refusal.sentence, request_id, refusal.field)
    return JSONResponse(body, refusal.status, refusal.headers)


def unusable(error: RequestValidationError) -> Refusal:
    """The refusal of a request of which a part has another type, or lies outside its limits."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    more = f" ({len(error.errors()) - 1} more faults)" if len(error.errors()) > 1 else ""
    return Refusal(422, f"{place[:80]} cannot be used: {first['msg'][:200]}{more}.", place[:80])


def add_handlers(app: FastAPI) -> None:
    """Let the errors that handlers of an app raise leave as refusals; `guards.Gate` does so for all others."""

    def request_id(request: Request) -> str:
        return str(getattr(request.state, "request_id", ""))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refusal)
        return answer_to(error, request_id(request))

    async def wrong_input(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, PredictionFailed):
            _log.error("Request %s failed", request_id(request), exc_info=error.__cause__)
            return answer_to(Refusal(500, FAILED), request_id(request))
        if isinstance(error, NotWritten):  # not the request's fault: what it brings is sent again, and not thrown away
            return answer_to(Refusal(503, str(error), Retry_After="10"), request_id(request))
        return answer_to(Refusal(422, str(error)), request_id(request))

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, Refusal):  # of the body, which FastAPI read itself
            return answer_to(error.__cause__, request_id(request))
        sentence = _SENTENCES.get(error.status_code, f"{error.detail}.")
        return JSONResponse(body_of(sentence, request_id(request)), error.status_code, error.headers)

    async def wrong_request(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer_to(unusable(error), request_id(request))

    app.add_exception_handler(RequestValidationError, wrong_request)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(InputError, wrong_input)
    app.add_exception_handler(HTTPException, http_error)
