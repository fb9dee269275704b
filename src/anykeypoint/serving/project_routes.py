"""The addresses below /v1/project: the pictures of a project, their answers and labels, what to look for, and exports.

Every change is in the project folder before it is answered.
"""

import asyncio
import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from ..configs.checks import near_names
from ..errors import InputError
from ..forms.registry import writable_forms
from ..geometry import check_box
from ..labelling.background import BackgroundAnswers
from ..labelling.project import Project
from ..labelling.records import Label, PointMark, ProjectPicture, StoredAnswer
from .downloads import KINDS, chunks, download_of, forms_to_write, lost_in, size_of
from .openapi import refusals
from .picture_files import PictureFiles
from .project_asking import FILES_BYTES, changed_category, densities_of, name_at
from .project_schemas import CategoryChange, LabelBody, LabelContent, TouchedPlace, WrittenPoints
from .refusals import Refusal
from .shown_pictures import part, shown, tag
from .uploads import checked_size
from .word_doubts import WordDoubts, written_doubts

_FILE = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
_TEXT, _BYTES = {"schema": {"type": "string"}}, {"schema": {"type": "string", "format": "binary"}}
_IMAGE: dict[int | str, Any] = {200: {"content": {"image/jpeg": _BYTES}}, 304: {"description": "It is as it was."}}
_ANY: dict[str, Any] = {"schema": {}}  # JSON of every form
_WRITTEN = {"application/json": _ANY, "application/zip": _BYTES}  # the others are text
_DOWNLOAD: dict[int | str, Any] = {
    200: {"content": {kind: _WRITTEN.get(kind, _TEXT) for kind in (*KINDS.values(), "text/plain")}}
}
Meant = Annotated[str | None, Header(alias="X-Project", include_in_schema=False)]
Since = Annotated[str, Query(max_length=40, description="an earlier X-Revision of this list")]
Side = Annotated[int, Query(description="pixels of the longer side: 128, 512, 1024 or 2048")]
Start = Annotated[int, Query(ge=0, lt=2**31, description="pixels of the picture as it is in its file")]
Length = Annotated[int, Query(ge=1, lt=2**31, description="pixels of the picture as it is in its file")]


class ProjectService(Protocol):
    """What the routes need of a service; see `service.Service`."""

    models: Mapping[str, Any]
    hashes: Mapping[str, str]
    progress: Any
    limits: Any

    @property
    def default(self) -> str: ...

    @property
    def ready(self) -> bool: ...

    def submit(self, model: str, questions: Sequence[Any]) -> list[Any]: ...


class ProjectDesk:
    """A project that is being served: the folder, the service, and the thread that answers its pictures."""

    def __init__(self, service: ProjectService, folder: Path, pictures: Sequence[Path] = ()) -> None:
        self.service, self.project = service, Project(folder)
        for more in pictures:
            self.project.add_folder(more)
        self.project.tell_gone()
        self.background = BackgroundAnswers(self.project, self.model)
        self.run = secrets.token_hex(4)  # tells the revisions of this run of the server from those of others
        self.files = PictureFiles(FILES_BYTES)
        self.doubts = WordDoubts()
        self.changing = threading.Lock()  # held while the category is changed
        self.turns = threading.BoundedSemaphore(service.limits.decoders)  # a large picture takes much memory

    def model(self) -> tuple[Any, str] | None:
        """The first model and a text for its weights, once it is loaded."""
        name = self.service.default
        return (self.service.models[name], self.service.hashes[name]) if self.service.ready else None

    def check_meant(self, meant: Meant = None) -> None:
        """Refusal (412) of a request that names another project: its pictures have other numbers."""
        if meant not in (None, self.project.identity):
            raise Refusal(412, "Another project is served at this address now; open the page anew.", "X-Project")

    def picture(self, number: int) -> ProjectPicture:
        """The picture of an id; Refusal (404) where there is none."""
        try:
            return self.project.picture(number)
        except InputError as error:
            raise Refusal(404, str(error), "number") from None

    def store(self, name: str, data: bytes) -> tuple[ProjectPicture, bool]:
        """`Project.store`; Refusal (413) for a picture of more pixels than the server takes, by its header."""
        try:
            checked_size(data, self.service.limits, "name")
        except Refusal as refusal:
            if refusal.status == 413:
                raise
        with self.turns:
            return self.project.store(name, data)

    def shown(self, path: Path, side: int) -> bytes:
        """`shown_pictures.shown`."""
        with self.turns:
            return shown(path, side)

    def part(self, path: Path, *box: int) -> bytes:
        """`shown_pictures.part`, of a picture that is decoded once while a person moves about in it."""
        with self.turns:
            return part(self.files.read(path).picture, *box)

    def overview(self) -> dict[str, Any]:
        """What the page shows of the whole project."""
        project, category = self.project, self.project.category
        answers = self.background.state().to_dict()
        pictures, done, examples = project.counts()
        doubts = self.doubts.of((self.model() or (None,))[0], category)
        known = None if category is None else {**category.to_dict(), "keys": project.point_names, "doubts": doubts}
        progress = self.service.progress
        return {
            "folder": str(project.folder),
            "identity": project.identity,
            "category": known,
            "pictures": pictures,
            "revision": f"{self.run}-{project.changes.revision}",
            "done": done,
            "examples": examples,
            "answers": answers,
            "model": {"name": self.service.default, "state": progress.state, "step": progress.step},
            "notes": project.notes,
            "largest_upload": self.service.limits.body_bytes,
        }

    def listed(self, since: str = "") -> tuple[str, list[dict[str, Any]]]:
        """The revision now, and the pictures as a list shows them, the least sure first and finished ones last.

        since: an earlier revision, after which only the pictures that changed are listed; all for one of another run.
        """
        self.background.look()
        run, _, number = since.partition("-")
        known = int(number) if run == self.run and number.isdecimal() else 0
        revision, changed = self.project.changes.since(known)
        return f"{self.run}-{revision}", sorted(map(self._entry, changed), key=_place_in_list)

    def _entry(self, number: int) -> dict[str, Any]:
        """A picture as a list shows it."""
        picture, label = self.project.picture(number), self.project.label(number)
        answer, failed = self.project.answer(number), self.background.failure(number)
        word = "waiting" if answer is None else "answered"
        if failed is not None:
            word = "failed"
        elif label.example:
            word = "example"
        elif label.done:
            word = "done"
        elif label.points:
            word = "started"
        return {
            "id": number,
            "name": picture.name,
            "size": list(picture.size),
            "image": picture.image_id,
            "object": picture.object,
            "state": word,
            "doubt": None if answer is None else round(answer.doubt, 4),
            "error": failed,
        }

    def whole(self, number: int) -> dict[str, Any]:
        """All that is known of a picture."""
        self.picture(number)
        project = self.project
        return {
            **self._entry(number),
            "label": project.label(number).to_dict(),
            "answer": _shown(project.answer(number)),
        }

    def save(self, number: int, body: LabelBody) -> dict[str, Any]:
        """Save what a person says of a picture, and answer the others anew where that changes something."""
        picture, label = self.picture(number), _label_of(body)
        said = self._unknown(number, label)
        if body.base is not None:
            said = [*self.project.merge_label(number, label, _label_of(body.base))[1], *said]
        elif body.revision != self.project.label(number).revision:
            raise Refusal(409, f"{picture.name} was changed in another window; this one shows it now.", "revision")
        else:
            self.project.save_label(number, replace(label, revision=body.revision))
        self.background.wake()
        return {**self.whole(number), "said": said}

    def _unknown(self, number: int, label: Label) -> list[str]:
        """A sentence where a label names points that the category lacks and the picture had not: perhaps misspelt."""
        known = {*self.project.point_names, *self.project.label(number).points}
        odd = [name for name in label.points if name not in known]
        if not odd:
            return []
        near = near_names(odd[0], self.project.point_names)
        return [f"What is looked for has no point {odd[0]!r}{near}; it is kept, but no export has it."]


def project_router(service: ProjectService, project: Path, pictures: Sequence[Path] = ()) -> APIRouter:
    """The routes of a project.

    service: of the server, whose first model answers.
    project: the project folder; a new one is begun where nothing is.
    pictures: folders whose pictures are added; they stay where they are.
    Raises InputError where the folder is no project, or is open in another program.
    """
    desk = ProjectDesk(service, project, pictures)

    @asynccontextmanager
    async def lifespan(_: Any) -> Any:
        desk.background.start()
        try:
            yield
        finally:
            await asyncio.to_thread(desk.background.stop)
            desk.project.close()

    answers = refusals(400, 401, 403, 404, 408, 409, 412, 413, 422, 429, 503)
    meant = [Depends(desk.check_meant)]
    router = APIRouter(prefix="/v1/project", tags=["project"], lifespan=lifespan, responses=answers, dependencies=meant)
    _add_overview(router, desk)
    _add_pictures(router, desk)
    _add_answers(router, desk)
    _add_export(router, desk)
    return router


def _add_overview(router: APIRouter, desk: ProjectDesk) -> None:
    @router.get("")
    def overview() -> dict[str, Any]:
        """The category, numbers of pictures, how far the answers are, and the state of the model."""
        return desk.overview()

    @router.put("/category")
    def category(body: CategoryChange) -> dict[str, Any]:
        """Say what to look for. Labels stay with their points, those of points that are gone too."""
        with desk.changing:  # of two windows, the later one changes what the other one made
            chosen, was, notes = changed_category(body, desk.project)
            before = set(desk.project.point_names)
            desk.project.set_category(chosen, was)
            added = [name for name in desk.project.point_names if name not in before and name not in was]
        desk.background.wake()
        return {**desk.overview(), "said": notes, "added": added}

    @router.post("/category/doubts")
    def doubts(body: WrittenPoints) -> list[dict[str, str]]:
        """What of some points, written one a line, the model does not understand: name and reason of each."""
        return written_doubts((desk.model() or (None,))[0], body.text)


def _add_pictures(router: APIRouter, desk: ProjectDesk) -> None:
    @router.get("/pictures")
    def pictures(response: Response, since: Since = "") -> list[dict[str, Any]]:
        """The pictures, those that the model is least sure of first, finished ones last.

        With `since`, an earlier value of the header X-Revision, those alone that changed after it; all pictures where
        that is of another run of the server.
        """
        response.headers["X-Revision"], entries = desk.listed(since)
        return entries

    @router.post("/pictures", openapi_extra=_FILE)
    async def add(request: Request, name: Annotated[str, Query(max_length=1000)]) -> dict[str, Any]:
        """Add a picture: the body is its file. Its name may have folders; no other picture is replaced."""
        data = await request.body()  # the server's limit holds while it is read
        picture, new = await run_in_threadpool(desk.store, name, data)
        desk.background.wake()
        return {"id": picture.id, "name": picture.name, "new": new}

    @router.post("/pictures/{number}/objects")
    def further(number: int) -> dict[str, Any]:
        """Begin a further object of a picture: it has an id, a label and an answer of its own."""
        added = desk.project.add_object(desk.picture(number).id)
        desk.background.wake()
        return {"id": added.id, "name": added.name, "object": added.object}

    @router.get("/pictures/{number}")
    def picture(number: int, ahead: bool = False) -> dict[str, Any]:
        """A picture's label and answer; unless `ahead`, it is the next to be answered where that is out of date."""
        desk.background.wake(None if ahead else desk.picture(number).id)
        return desk.whole(number)

    @router.get("/pictures/{number}/image", response_class=Response, responses=_IMAGE)
    def image(number: int, request: Request, side: Side = 1024) -> Response:
        """The picture, upright, as JPEG."""
        picture = desk.picture(number)
        mark = f'"{tag(desk.project.path(picture), side)}"'
        headers = {"ETag": mark, "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        return Response(desk.shown(desk.project.check_file(picture), side), media_type="image/jpeg", headers=headers)

    @router.get("/pictures/{number}/part", response_class=Response, responses=_IMAGE)
    def enlarged(number: int, left: Start, top: Start, width: Length, height: Length) -> Response:
        """A part of the picture, upright, as JPEG: all its pixels, at most 2048 a side."""
        path = desk.project.check_file(desk.picture(number))
        data = desk.part(path, left, top, width, height)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})

    @router.put("/pictures/{number}/label")
    def save(number: int, body: LabelBody) -> dict[str, Any]:
        """Save what a person says of a picture: what differs from `base`, or all of it in place of `revision`.

        The answer has the label that is saved now, and in `said` a sentence where two windows changed the same.
        """
        return desk.save(number, body)


def _add_answers(router: APIRouter, desk: ProjectDesk) -> None:
    @router.get("/pictures/{number}/density")
    def density(number: int) -> dict[str, Any]:
        """Where each point may be: the crop and, by name, probabilities of its cells scaled so that 255 is the most."""
        with desk.background.stepping_back():
            return densities_of(desk.service, desk.background, desk.files, desk.picture(number))

    @router.post("/pictures/{number}/identify")
    def identify(number: int, body: TouchedPlace) -> dict[str, Any]:
        """What is at this place: the likeliest names."""
        with desk.background.stepping_back():
            return name_at(desk.service, desk.background, desk.files, desk.picture(number), (body.x, body.y))


def _add_export(router: APIRouter, desk: ProjectDesk) -> None:
    @router.get("/forms")
    def forms() -> list[dict[str, str]]:
        """The forms in which labels can be written."""
        return forms_to_write()

    @router.get("/export")
    def look(form: str, answers: bool = False) -> dict[str, Any]:
        """What an export would be: name of the file, number of objects, and what the form has no room for."""
        return lost_in(desk.project, _known(form), answers)

    @router.get("/export/file", response_class=Response, responses=_DOWNLOAD)
    def export(form: str, answers: bool = False) -> Response:
        """The labels in a form, as a file or as a ZIP of several; with `answers`, also what nobody has looked at."""
        name, kind, data = download_of(desk.project, _known(form), answers)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if isinstance(data, bytes):
            return Response(data, media_type=kind, headers=headers)
        headers["Content-Length"] = str(size_of(data))
        return StreamingResponse(chunks(data), media_type=kind, headers=headers)


def _known(form: str) -> str:
    if form not in writable_forms():
        raise Refusal(422, f"Labels can be written as {', '.join(writable_forms())}, but got {form[:80]!r}.", "form")
    return form


def _label_of(content: LabelContent) -> Label:
    """The label of a request; InputError for marks and boxes that are none."""
    marks = {name: PointMark.from_list(_whole(entry), f"The point {name!r}") for name, entry in content.points.items()}
    box = None if content.box is None else check_box(content.box)
    return Label(marks, box, content.done, content.example)


def _whole(entry: Sequence[float | None]) -> list[Any]:
    """A mark as JSON gives it: its visibility is a whole number."""
    last = entry[2]
    return [entry[0], entry[1], int(last) if last is not None and float(last).is_integer() else last]


def _place_in_list(entry: Mapping[str, Any]) -> tuple:
    """Failed ones and those begun first, then by doubt; finished ones last, in the order of their names."""
    finished = entry["state"] in ("done", "example")
    unsure = 1.0 if entry["doubt"] is None else entry["doubt"]
    return (finished, 0.0 if finished else -unsure, entry["name"], entry["id"])


def _shown(answer: StoredAnswer | None) -> dict[str, Any] | None:
    return None if answer is None else answer.to_dict()
