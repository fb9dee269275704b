"""Label Studio's ML backend, spoken by hand: /health, /setup, /predict and /webhook below one address.

A task's picture is read from a folder on this machine; nothing is fetched. Answers are rectangles with the points that
belong to them. What a person submits becomes an example, and with it the name of the model's version changes, so that
Label Studio asks anew for the tasks that are not answered with it. Nothing is saved here: after a restart, Label Studio
sends with the tasks what was submitted.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ...errors import InputError, PredictionFailed
from ...forms.labelstudio_controls import Controls, read_controls
from ...forms.labelstudio_tasks import setup_of
from ...geometry import Box
from ..openapi import object_body, refusals
from ..refusals import FAILED, Refusal
from .label_studio_project import LabelStudioProject, drawn_boxes, regions_of_poses
from .served import ServedTool, entries, json_of, mapping
from .tool_adapter import score_of

_log = logging.getLogger(__name__)

SECONDS = 80  # for a request; Label Studio gives up after 100
TOGETHER = 8  # tasks whose pictures are in memory at once
ANSWERS = refusals(400, 401, 403, 408, 413, 422, 429, 503)
XML = {"application/xml": {"schema": {"type": "string"}}}


class LabelStudio:
    """The addresses of an ML backend.

    tool: the model and what it looks for.
    pictures: the folder that the addresses of pictures in tasks mean: what Label Studio serves as local files, or its
        media folder where pictures are uploaded.
    """

    def __init__(self, tool: ServedTool, pictures: Path) -> None:
        self.tool = tool
        self.project = LabelStudioProject(tool.adapter, pictures, tool.service.limits.image_pixels)

    async def health(self) -> Response:
        """Whether the model is loaded (503 until then)."""
        return JSONResponse({"status": "UP", "model_class": self.tool.model})

    async def setup(self, request: Request) -> Response:
        """The version of the model; refused where the project's labels are not those of the category."""
        self._controls((await json_of(request)).get("schema"))
        return JSONResponse({"model_version": self.tool.version})

    async def predict(self, request: Request) -> Response:
        """A prediction for each task; none for one whose picture cannot be read, and for what time does not allow."""
        body = await json_of(request)
        tasks, controls = entries(body.get("tasks"), "tasks"), self._controls(body.get("label_config"))
        context = mapping(mapping(body.get("params")).get("context"))
        await asyncio.to_thread(self.project.learn, tasks)
        version, ends = self.tool.version, time.monotonic() + SECONDS
        results: list[Any] = [[] for _ in tasks]
        faults: list[BaseException] = []
        for start in range(0, len(tasks), TOGETHER):
            part = range(start, min(start + TOGETHER, len(tasks)))
            works = {asyncio.ensure_future(self._answered(tasks[i], controls, context)): i for i in part}
            done, late = await asyncio.wait(works, timeout=max(0.0, ends - time.monotonic()))
            for work in done:
                if (error := work.exception()) is None:
                    results[works[work]] = {**work.result(), "model_version": version}
                else:
                    faults.append(error)
            for work in late:
                work.cancel()
            if late:
                faults.append(Refusal(503, "There was no time for the other tasks; ask again.", Retry_After="1"))
                break
        for fault in faults:
            _log.warning("Label Studio: %s", fault, exc_info=None if _is_said(fault) else fault)
        if faults and not any(results):
            raise faults[0]
        said = [str(fault) if _is_said(fault) else FAILED for fault in faults]
        return JSONResponse({"results": results, "errors": said})

    async def webhook(self, request: Request) -> Response:
        """A submitted, changed or deleted annotation: its objects become examples, in place of those before."""
        body = await json_of(request)
        action, notes = str(body.get("action")), []
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"):
            tasks = {str(task.get("id")): task for task in entries(body.get("task"), "task")}
            for annotation in entries(body.get("annotation"), "annotation"):
                task = tasks.get(str(annotation.get("task")), next(iter(tasks.values()), {}))
                try:
                    notes += await asyncio.to_thread(self.project.correct, annotation, task)
                except InputError as error:
                    _log.warning("Label Studio: %s", error)
                    raise
        elif action == "ANNOTATIONS_DELETED":
            for annotation in entries(body.get("annotations"), "annotations"):
                self.tool.adapter.correct(str(annotation.get("id")), [])
        return JSONResponse({"examples": len(self.tool.adapter.examples), "notes": notes})

    async def config(self) -> Response:
        """The labelling setup for the category, to paste into the project's settings."""
        return Response(setup_of([self.tool.adapter.category]), media_type="application/xml")

    def _controls(self, setup: Any) -> Controls:
        controls, adapter = read_controls(setup if isinstance(setup, str) else ""), self.tool.adapter
        missing = [label for label in adapter.labels if label not in controls.point_labels]
        if controls.boxes and adapter.category.name not in controls.box_labels:
            missing.append(adapter.category.name)
        if missing:
            sentence = f"The labelling setup has no label {missing[0]!r}; paste that of config.xml below this address."
            _log.warning("Label Studio: %s", sentence)
            raise Refusal(422, sentence, "schema")
        return controls

    async def _answered(self, task: Mapping[str, Any], controls: Controls, context: Mapping[str, Any]) -> Any:
        address = mapping(task.get("data")).get(controls.key)
        picture = await asyncio.to_thread(self.project.picture, address)
        # What was drawn just now, else the rectangles of what was submitted or begun.
        drawn = [context, *entries(task.get("annotations") or [], "annotations")]
        drawn += entries(task.get("drafts") or [], "drafts")
        category, size = self.tool.adapter.category, picture.picture.size
        found = (drawn_boxes(one.get("result"), size, category.name) for one in drawn)
        boxes: Sequence[Box] = next(filter(None, found), ())
        poses = await self.tool.poses(picture, boxes)
        regions = regions_of_poses(poses, category, controls)
        return {"result": regions, "score": max(map(score_of, poses), default=0.0)}


def _is_said(fault: BaseException) -> bool:
    """Whether the text of an error is for users."""
    return isinstance(fault, InputError | Refusal) and not isinstance(fault, PredictionFailed)


def label_studio_router(tool: ServedTool, pictures: Path) -> APIRouter:
    """The addresses of an ML backend, below /label-studio."""
    backend = LabelStudio(tool, pictures)
    router = APIRouter(prefix="/label-studio", tags=["label-studio"], responses=ANSWERS)
    for path in ("", "/"):
        router.add_api_route(path, backend.health, methods=["GET"], include_in_schema=False)
    router.add_api_route("/health", backend.health, methods=["GET"])
    router.add_api_route("/config.xml", backend.config, methods=["GET"], responses={200: {"content": XML}})
    task = {"type": "array", "items": {"type": "object"}}
    asked = object_body({"tasks": task, "label_config": {"type": "string"}}, ("tasks", "label_config"))
    router.add_api_route("/setup", backend.setup, methods=["POST"], openapi_extra=object_body({}))
    router.add_api_route("/predict", backend.predict, methods=["POST"], openapi_extra=asked)
    router.add_api_route("/webhook", backend.webhook, methods=["POST"], openapi_extra=object_body({}))
    return router
