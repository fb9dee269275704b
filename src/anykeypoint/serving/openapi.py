"""The description of the API that is served at /openapi.json."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .guards import GUARDED
from .schemas import ErrorAnswer, ExampleRequest, IdentifyRequest, PredictRequest

_REF = "#/components/schemas/{model}"
_WHAT = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "The host or the origin is not allowed.",
    404: "What was kept is not there any more.",
    408: "The body stopped coming.",
    409: "It was changed by someone else meanwhile.",
    412: "It is meant for another project.",
    413: "The body or a picture is too large.",
    415: "The body or a picture is of another type.",
    422: "A part of the request cannot be used.",
    429: "The server has too much to do; Retry-After says when to try again.",
    500: "The server failed.",
    503: "The server is not ready, shuts down, or the request waited too long.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The entries of refusals in an operation's `responses`."""
    return {status: {"model": ErrorAnswer, "description": _WHAT[status]} for status in statuses}


def body_of(kind: type[BaseModel] | None, files: Sequence[str]) -> dict[str, Any]:
    """The `requestBody` of an operation whose JSON is of a kind, with files beside it.

    kind: None has no JSON.
    files: names of the parts that are pictures; `image` is one, others may be several.
    """
    picture = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    parts: dict[str, Any] = {
        name: picture if name == "image" else {"type": "array", "items": picture, "maxItems": 16} for name in files
    }
    required = ["image"] if kind is None else []
    content: dict[str, Any] = {}
    encoding: dict[str, Any] = {}
    if kind is not None:
        reference = {"$ref": _REF.format(model=kind.__name__)}
        parts["request"] = reference
        encoding = {"request": {"contentType": "application/json"}}
        content["application/json"] = {"schema": reference}
        if any(field.is_required() for field in kind.model_fields.values()):
            required = ["request"]
    schema = {"type": "object", "properties": parts, "required": required, "additionalProperties": False}
    content["multipart/form-data"] = {"schema": schema, "encoding": encoding}
    return {"requestBody": {"required": True, "content": content}}


def object_body(properties: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """The `requestBody` of an operation that takes a JSON object and reads it by hand.

    properties: those that must be of a type; others may be there.
    """
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, title: str, version: str, token: bool) -> None:
    """Let an app give its description, with the schemas of what it reads by hand.

    token: whether requests need one.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            whole = get_openapi(title=title, version=version, routes=app.routes)
            kinds: list[Any] = [(kind, "validation") for kind in (PredictRequest, IdentifyRequest, ExampleRequest)]
            _, schemas = models_json_schema(kinds, ref_template=_REF)
            parts = whole.setdefault("components", {})
            parts["schemas"] = {**schemas["$defs"], **parts.get("schemas", {})}
            if token:
                parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                for path, operations in whole["paths"].items():
                    if path.startswith(GUARDED):
                        for operation in operations.values():
                            operation["security"] = [{"token": []}]
            app.openapi_schema = whole
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
