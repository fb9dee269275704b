"""What the adapters that are part of a server share: answers from the server's queue and its cache."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request

from ...configs.doubled_keys import strict_json
from ...geometry import Box
from ...inference.own_thread import in_own_thread
from ...pose import Pose
from ..answering import Answer, Question
from ..refusals import Refusal
from ..service import Service
from ..uploads import Uploaded
from .tool_adapter import ToolAdapter, look_of


class ServedTool:
    """A tool's adapter on a server's models.

    service: the models; the first one answers.
    adapter: what is looked for, and the examples.
    """

    def __init__(self, service: Service, adapter: ToolAdapter) -> None:
        self.service, self.adapter = service, adapter

    @property
    def model(self) -> str:
        """The name of the model that answers; Refusal (503) until it is loaded."""
        return self.service.model_name(None)

    @property
    def version(self) -> str:
        """The model and its examples in a word: equal where the same pictures get the same answers."""
        digest = hashlib.sha256()
        examples = self.adapter.examples
        for one in examples:
            digest.update(one.key + one.example.points.tobytes() + repr(one.example.box).encode())
        return f"{self.model}-{digest.hexdigest()[:8]}" if examples else self.model

    async def poses(self, picture: Uploaded, boxes: Sequence[Box] = ()) -> list[Pose]:
        """The objects of a picture; of boxes that the tool names, one for each. Raises as `Service.ask` does."""
        model = self.model
        asking = partial(self._questions, model, picture, boxes)
        questions = await asyncio.to_thread(in_own_thread, asking)
        texts = await self.service.ask(model, questions, _written)
        return [Pose.from_dict(json.loads(text)) for text in texts]

    def _questions(self, model: str, picture: Uploaded, boxes: Sequence[Box]) -> list[Question]:
        def look(image: Any, box: Box | None, key: bytes) -> np.ndarray | None:
            view = self.service.view(model, image, key, box)
            return None if view is None else look_of(view)

        return self.adapter.questions(picture.picture, picture.key, boxes, look)


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body; Refusal (400) for anything else."""
    try:
        body = strict_json((await request.body()).decode())
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON ({str(error)[:100].rstrip('.')}).") from None
    if not isinstance(body, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return body


def entries(value: Any, key: str) -> list[dict[str, Any]]:
    """The JSON objects under a key, which may be one alone; Refusal (422) for anything else."""
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise Refusal(422, f"The key {key} must be an object or a list of objects.", key)
    return listed


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _written(answer: Answer) -> Any:
    assert isinstance(answer, Pose)
    return answer.to_dict()
