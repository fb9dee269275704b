"""The endpoints of X-AnyLabeling's remote server: /v1/models and /v1/predict below one address.

The picture comes in the request. An object is a rectangle and its points, joined by a group number. A refusal has the
status that fits, so that X-AnyLabeling shows it, and the body that its documentation gives errors.
"""

import base64
import binascii
import io
import logging
import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile

from ...errors import InputError, PredictionFailed
from ...forms.reading import plain_number
from ...geometry import Box
from ...pose import Pose
from ..openapi import object_body, refusals
from ..refusals import FAILED, Refusal
from ..uploads import UploadDecoder
from .served import ServedTool, json_of
from .tool_adapter import box_of, score_of

_log = logging.getLogger(__name__)

_URI = re.compile(r"data:[\w/+.-]*;base64,")
WIDGETS = [
    {"name": name, "value": value}
    for name, value in (
        ("button_run", None),
        ("input_conf", None),
        ("edit_conf", 0.0),
        ("toggle_preserve_existing_annotations", False),
    )
]


class XAnyLabeling:
    """The addresses of a remote server. tool: the model and what it looks for."""

    def __init__(self, tool: ServedTool) -> None:
        self.tool = tool
        self.decoder = UploadDecoder(tool.service.limits, tool.service.metrics)

    async def health(self) -> Response:
        """Whether the model is loaded (503 until then)."""
        return JSONResponse({"status": "healthy", "models_loaded": 1 if self.tool.model else 0})

    async def models(self) -> Response:
        """The one model, with what is shown of it."""
        return JSONResponse({"success": True, "data": {self.tool.model: self._shown()}})

    async def model(self, model_id: str) -> Response:
        """What is shown of a model."""
        if model_id != self.tool.model:
            return _refused(404, "MODEL_NOT_FOUND", f"There is no model {model_id[:80]!r}.")
        return JSONResponse({"success": True, "data": {"model_id": model_id, **self._shown()}})

    async def predict(self, request: Request) -> Response:
        """The shapes of a picture."""
        try:
            body = await json_of(request)
            if body.get("model") != self.tool.model:
                return _refused(404, "MODEL_NOT_FOUND", f"There is no model {str(body.get('model'))[:80]!r}.")
            given = body.get("params")
            params: dict[str, Any] = given if isinstance(given, dict) else {}
            least = plain_number(params.get("conf_threshold", 0.0))
            async with self.decoder.session() as pictures:
                upload = UploadFile(io.BytesIO(_bytes_of(body.get("image"))))
                poses = await self.tool.poses(await pictures.read(upload, "image"), _boxes(params.get("marks")))
        except Refusal as refusal:
            code = "INVALID_IMAGE" if refusal.field == "image" else "INFERENCE_ERROR"
            return _refused(refusal.status, code, refusal.sentence, refusal.headers)
        except PredictionFailed as error:
            _log.error("Request %s failed", request.state.request_id, exc_info=error.__cause__)
            return _refused(500, "INFERENCE_ERROR", FAILED)
        except InputError as error:
            return _refused(422, "INFERENCE_ERROR", str(error))
        shapes = [shape for number, pose in enumerate(poses, start=1) for shape in self._shapes(pose, number, least)]
        return JSONResponse({"success": True, "data": {"shapes": shapes, "description": ""}})

    def _shown(self) -> dict[str, Any]:
        title = f"anykeypoint {self.tool.model}: {self.tool.adapter.category.name}"
        return {"display_name": title, "widgets": WIDGETS, "params": {}, "batch_processing_mode": "default"}

    def _shapes(self, pose: Pose, group: int, least: float) -> list[dict[str, Any]]:
        """The rectangle of an object and its present points, without those of a lower confidence."""
        x, y, w, h = box_of(pose)
        corners = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
        shapes = [_shape(self.tool.adapter.category.name, "rectangle", corners, score_of(pose), group)]
        labels = self.tool.adapter.labels
        for k in pose.present.nonzero()[0].tolist():
            sure = float(pose.confidence[k])
            if not sure < least:  # a point of unknown confidence stays
                score = sure if sure == sure else None
                shapes.append(_shape(labels[k], "point", [pose.xy[k].tolist()], score, group))
        return shapes


def x_anylabeling_router(tool: ServedTool) -> APIRouter:
    """The addresses of a remote server, below /x-anylabeling."""
    server = XAnyLabeling(tool)
    router = APIRouter(prefix="/x-anylabeling", tags=["x-anylabeling"], responses=refusals(401, 403, 408, 429, 503))
    own = {status: {"model": dict[str, Any]} for status in (400, 404, 413, 415, 422, 429, 503)}
    body = object_body({"model": {"type": "string"}, "image": {"type": "string"}}, ("model", "image"))
    router.add_api_route("/health", server.health, methods=["GET"])
    router.add_api_route("/v1/models", server.models, methods=["GET"])
    router.add_api_route("/v1/models/{model_id}/info", server.model, methods=["GET"], responses={404: own[404]})
    router.add_api_route("/v1/predict", server.predict, methods=["POST"], openapi_extra=body, responses=own)
    return router


def _shape(label: str, kind: str, points: list[list[float]], score: float | None, group: int) -> dict[str, Any]:
    fixed = {
        "attributes": {},
        "description": None,
        "difficult": False,
        "direction": 0,
        "flags": None,
        "kie_linking": [],
    }
    return {"label": label, "shape_type": kind, "points": points, "score": score, "group_id": group, **fixed}


def _refused(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"success": False, "error": {"code": code, "message": message}}, status, headers)


def _bytes_of(image: Any) -> bytes:
    """The bytes of a picture in base64, with or without the start of a data URI; Refusal (422) for anything else."""
    try:
        return base64.b64decode(_URI.sub("", image, count=1), validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Refusal(422, "The image must be the picture in base64; no address is fetched.", "image") from None


def _boxes(marks: Any) -> list[Box]:
    """The rectangles that were drawn to ask about: [x1, y1, x2, y2] in image pixels."""
    boxes: list[Box] = []
    for mark in marks if isinstance(marks, list) else ():
        data = mark.get("data") if isinstance(mark, dict) and mark.get("type") == "rectangle" else None
        if isinstance(data, list) and len(data) == 4:
            x1, y1, x2, y2 = map(plain_number, data)
            boxes.append((min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)))
    return boxes
