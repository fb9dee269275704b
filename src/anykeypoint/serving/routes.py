"""The addresses of the API below /v1."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile

from ..category import Category
from ..example import MarkedPicture
from ..library.lookup import MP100, category, mp100_categories, names_for_people
from ..models.bounded_cache import BoundedCache
from ..pose import Identified, Pose
from . import schemas
from .answering import Answer, Question
from .asking import boxes_of, category_of, examples_of, marks_of
from .openapi import body_of, refusals
from .refusals import Refusal
from .service import Service, own_category
from .uploads import DecodedPictures, UploadDecoder, Uploaded, read_body

Result = TypeVar("Result")
_GONE = 499  # what nobody reads: the client went away


class Api:
    """What the addresses share.

    service: the models.
    decoder: of uploaded pictures.
    pictures, examples: what clients asked to keep, by id. An example is its points and its picture.
    """

    def __init__(self, service: Service) -> None:
        limits, metrics = service.limits, service.metrics
        self.service = service
        self.decoder = UploadDecoder(limits, metrics)
        half = limits.kept_bytes // 2
        self.pictures: BoundedCache[Uploaded] = BoundedCache(
            half, limits.keep_seconds, metrics.kept.labels("pictures").set
        )
        self.examples: BoundedCache[tuple[MarkedPicture, Uploaded]] = BoundedCache(
            half, limits.keep_seconds, metrics.kept.labels("examples").set
        )

    async def picture(self, pictures: DecodedPictures, files: Sequence[UploadFile], image_id: str | None) -> Uploaded:
        """The picture of a request: one upload, or one that was kept. Raises Refusal where it is neither or both."""
        if len(files) + (image_id is not None) != 1:
            raise Refusal(422, "Send one picture, as the part image or by its image_id.", "image")
        if image_id is None:
            return await pictures.read(files[0], "image")
        if (kept := self.pictures.find(image_id)) is None:
            raise Refusal(
                404, f"There is no picture {image_id!r} here, perhaps not any more; upload it again.", "image_id"
            )
        return kept

    def keep(self, cache: BoundedCache[Any], value: Any, picture: Uploaded) -> str:
        """Keep something with its picture, and give it an id that cannot be guessed."""
        identity = secrets.token_urlsafe(16)
        if not cache.put(identity, value, picture.size_in_memory):
            raise Refusal(413, "The picture is too large to be kept here; send it with each request.", "image")
        return identity

    async def predict(self, request: Request) -> Response:
        """Where are these keypoints?"""
        asked, files = await read_body(request, schemas.PredictRequest, ("image", "example"))
        model = self.service.model_name(asked.model)
        notes: list[str] = []
        chosen = category_of(asked, notes) or own_category(self.service.models[model])
        async with self.decoder.session() as pictures:
            picture = await self.picture(pictures, files.get("image", []), asked.image_id)
            marks = await self._marks(pictures, asked, files.get("example", []))
            if marks:
                chosen, examples = examples_of(marks, chosen, "examples" if asked.examples else "marked")
            elif chosen is not None:
                examples = ()
            else:
                raise Refusal(
                    422, "Say what to find, as category, keypoints or definition, or with an example.", "category"
                )
            boxes = boxes_of(asked.boxes, picture.picture.size)
            more: dict[str, Any] = {
                "examples": examples,
                "example_keys": tuple(one.key for _, one in marks),
                "words": asked.words,
                "options": self._options(asked, chosen, len(boxes)),
                "least": asked.presence,
                "kept": asked.image_id is not None,
            }
            questions = [Question(picture.picture, picture.key, chosen, box, **more) for box in boxes]
            poses = await while_connected(request, self.service.ask(model, questions, _written))
        return self._answered(model, picture, notes, "poses", b"[" + b",".join(poses) + b"]")

    async def identify(self, request: Request) -> Response:
        """What is at these points?"""
        asked, files = await read_body(request, schemas.IdentifyRequest)
        model = self.service.model_name(asked.model)
        notes: list[str] = []
        chosen = category_of(asked, notes)
        async with self.decoder.session() as pictures:
            picture = await self.picture(pictures, files.get("image", []), asked.image_id)
            boxes = boxes_of(None if asked.box is None else [asked.box], picture.picture.size)
            options = () if asked.called is None else (("called", asked.called),)
            points = np.array(asked.points, dtype=np.float64)
            question = Question(picture.picture, picture.key, chosen, boxes[0], points=points, options=options)
            (names,) = await while_connected(request, self.service.ask(model, [question], _written))
        return self._answered(model, picture, notes, "names", names)

    async def encode(self, request: Request) -> Response:
        """Keep a picture, to ask about it many times."""
        _, files = await read_body(request, schemas.Strict)
        async with self.decoder.session() as pictures:
            picture = await self.picture(pictures, files.get("image", []), None)
            identity = self.keep(self.pictures, picture, picture)
        size, seconds = list(picture.picture.size), self.service.limits.keep_seconds
        return JSONResponse({"image_id": identity, "image_size": size, "expires_in": seconds}, 201)

    async def example(self, request: Request) -> Response:
        """Keep an example."""
        asked, files = await read_body(request, schemas.ExampleRequest)
        marks = marks_of(asked, "The example")
        async with self.decoder.session() as pictures:
            picture = await self.picture(pictures, files.get("image", []), asked.image_id)
            examples_of([(marks, picture)], None, "points")
            identity = self.keep(self.examples, (marks, picture), picture)
        size, seconds = list(picture.picture.size), self.service.limits.keep_seconds
        body = {"example_id": identity, "names": list(marks.names), "image_size": size, "expires_in": seconds}
        return JSONResponse(body, 201)

    async def _marks(
        self, pictures: DecodedPictures, asked: schemas.PredictRequest, files: Sequence[UploadFile]
    ) -> list[tuple[MarkedPicture, Uploaded]]:
        """The examples of a request: those that were kept, then those that came with it."""
        if len(files) != len(asked.marked):
            raise Refusal(
                422,
                f"There are {len(files)} pictures in the parts example, but points of {len(asked.marked)} in marked; "
                "give one for each.",
                "marked",
            )
        marks = []
        for identity in asked.examples:
            if (kept := self.examples.find(identity)) is None:
                raise Refusal(
                    404, f"There is no example {identity!r} here, perhaps not any more; send it again.", "examples"
                )
            marks.append(kept)
        for place, (marked, file) in enumerate(zip(asked.marked, files, strict=True)):
            found = marks_of(marked, f"Example {place + 1}")
            marks.append((found, await pictures.read(file, "example")))
        return marks

    def _options(self, asked: schemas.PredictRequest, chosen: Category, boxes: int) -> tuple[tuple[str, Any], ...]:
        """What a model's `predict` is given beside the prompt; what has its default is left out."""
        if asked.grid is not None and not asked.density:
            raise Refusal(422, "grid says how fine a density is; ask for density too, or leave grid out.", "grid")
        cells = (asked.grid or 100) if asked.density else 0
        if cells**2 * len(chosen) * boxes > self.service.limits.density_values:
            raise Refusal(
                422,
                f"Densities of {cells} x {cells} cells for {len(chosen)} points and {boxes} boxes are too many; "
                "ask for fewer cells or boxes.",
                "grid",
            )
        given = {"density": asked.grid or asked.density, "fine": asked.fine, "mirror": asked.mirror}
        default = {"density": False, "fine": None, "mirror": False}
        return tuple((name, value) for name, value in given.items() if value is not default[name])

    def _answered(self, model: str, picture: Uploaded, notes: list[str], name: str, answers: bytes) -> Response:
        head = {
            "model": model,
            "model_hash": self.service.hashes[model],
            "image_size": list(picture.picture.size),
            "notes": notes,
        }
        start = json.dumps(head, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        return Response(start[:-1] + b',"' + name.encode() + b'":' + answers + b"}", media_type="application/json")


def api_router(service: Service) -> APIRouter:
    """The addresses of the API."""
    api, router = Api(service), APIRouter(prefix="/v1")

    def post(path: str, handler: Callable[..., Awaitable[Response]], asked: Any, answer: Any, **more: Any) -> None:
        status, files = more.pop("status", 200), more.pop("files", ("image",))

        async def closing(request: Request) -> Response:
            try:
                return await handler(request)
            finally:
                await request.close()  # files that were uploaded

        closing.__doc__ = handler.__doc__
        router.add_api_route(
            path,
            closing,
            methods=["POST"],
            name=handler.__name__,
            status_code=status,
            responses={status: {"model": answer}, **refusals(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)},
            openapi_extra=body_of(asked, files),
        )

    post("/predict", api.predict, schemas.PredictRequest, schemas.PredictAnswer, files=("image", "example"))
    post("/identify", api.identify, schemas.IdentifyRequest, schemas.IdentifyAnswer)
    post("/encode", api.encode, None, schemas.KeptImage, status=201)
    post("/examples", api.example, schemas.ExampleRequest, schemas.KeptExample, status=201)

    @router.get("/categories", responses={200: {"model": schemas.CategoriesAnswer}, **refusals(401, 403, 429)})
    def categories() -> Response:
        """The library's categories, by noun, and MP-100's by id, with the names of their points."""
        return Response(_library(), media_type="application/json")

    return router


_library_text: list[bytes] = []


def _library() -> bytes:
    if not _library_text:
        names = [*names_for_people(), *(f"{MP100}{identity}" for identity in mp100_categories())]
        known = [category(name) for name in names]
        entries = [
            {
                "name": name,
                "noun": one.noun,
                "keypoints": one.names,
                "skeleton": [list(edge) for edge in one.skeleton],
            }
            for name, one in zip(names, known, strict=True)
        ]
        _library_text.append(json.dumps({"categories": entries}, ensure_ascii=False).encode())
    return _library_text[0]


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is given up where the client goes away before it is there."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal(_GONE, "The client went away.")
        return task.result()
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _written(answer: Answer) -> Any:
    """What JSON holds of an answer."""
    if isinstance(answer, Pose):
        return answer.to_dict()
    return [_named(one) for one in answer]


def _named(answer: Identified) -> dict[str, Any]:
    shares = None if answer.probabilities is None else dict(answer.probabilities)
    return {"name": answer.name, "confidence": answer.confidence, "probabilities": shares}
