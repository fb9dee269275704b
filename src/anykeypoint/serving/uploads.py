"""What a request brings: its JSON, and pictures, each checked in its header before it is decoded."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ..configs.doubled_keys import strict_json
from ..errors import InputError
from ..images import UprightPicture, read_picture
from ..images.opening import header_size
from .refusals import Refusal
from .server_limits import MAX_EXAMPLES, ServerLimits
from .server_metrics import ServerMetrics

JSON_BYTES = 2**20  # of the JSON of a request
Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True)
class Uploaded:
    """A decoded picture, and a key that is equal for equal pixels."""

    picture: UprightPicture
    key: bytes

    @property
    def size_in_memory(self) -> int:
        """Bytes of the decoded pixels."""
        return 3 * self.picture.pixels.width * self.picture.pixels.height


def content_key(picture: UprightPicture) -> bytes:
    """A key that is equal for equal pixels in the same place of a picture of the same size."""
    place = repr((picture.size, picture.pixels.size, picture.shrunk, picture.corner))
    return hashlib.sha256(place.encode() + picture.pixels.tobytes()).digest()


async def read_body(
    request: Request, kind: type[Asked], files: Sequence[str] = ("image",)
) -> tuple[Asked, dict[str, list[UploadFile]]]:
    """The JSON of a request, and the files that came with it by the names of their parts.

    kind: what the JSON must be.
    files: the names of parts that may be files. The body is multipart/form-data with the JSON in the part `request`,
        which may be missing where all has a default; or it is the JSON alone.
    Raises Refusal: 415 for another type of body, 400 for one that cannot be read, 422 for JSON of another kind.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        return check(kind, await request.body(), ""), {}
    if content_type != "multipart/form-data":
        raise Refusal(
            415, "A request must be multipart/form-data with the pictures, or application/json.", "Content-Type"
        )
    try:
        form = await request.form(max_files=MAX_EXAMPLES + 2, max_fields=8, max_part_size=JSON_BYTES)
    except HTTPException as error:
        raise Refusal(error.status_code, f"The form cannot be read: {str(error.detail).rstrip('.')}.") from error
    given: dict[str, list[UploadFile]] = {name: [] for name in files}
    text: bytes | None = None
    for name, value in form.multi_items():
        if name == "request" and text is None:
            text = value.encode() if isinstance(value, str) else await value.read(JSON_BYTES + 1)
        elif name in given and isinstance(value, UploadFile):
            given[name].append(value)
        else:
            parts = ", ".join(["request", *files])
            what = "must be a file" if name in given else "is there twice" if name == "request" else "is not known"
            raise Refusal(422, f"The part {name[:80]!r} {what}; parts are {parts}.", name[:80])
    return check(kind, b"{}" if text is None else text, "request"), given


def check(kind: type[Asked], text: bytes, part: str) -> Asked:
    """The JSON as an object of a kind. part: of the form that it came in, "" where it is the body."""
    if len(text) > JSON_BYTES:
        raise Refusal(413, f"The JSON of a request may have {JSON_BYTES} bytes; shorten it.", part or None)
    try:
        read = kind.model_validate_json(text)
        strict_json(text.decode())  # of a key that stands twice the last value would be taken in silence
        return read
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(place) for place in first["loc"])
        if first["type"] == "json_invalid":
            what = f"The {part or 'body'} is no JSON ({first['msg'].rstrip('.')})."
            raise Refusal(400, what, part or None) from None
        said = first["msg"][0].lower() + first["msg"][1:].rstrip(".")
        sentence = f"{field or part or 'The body'} cannot be used: {said}."
        raise Refusal(422, sentence, field or part or None) from None
    except ValueError as error:
        raise Refusal(422, f"The {part or 'body'} cannot be used: {error}.", part or None) from None


def checked_size(data: bytes, limits: ServerLimits, field: str) -> tuple[int, int]:
    """Width and height of a picture from its header; Refusal for one that is too large (413) and for none (415).

    field: the part that it came in.
    """
    too_large = ""

    def check_size(width: int, height: int, name: str) -> None:
        nonlocal too_large
        if max(width, height) > limits.image_side or width * height > limits.image_pixels:
            too_large = (
                f"The picture has {width} x {height} pixels, but at most {limits.image_pixels} in all and "
                f"{limits.image_side} a side are taken; shrink it."
            )
            raise InputError(too_large)

    try:
        return header_size(data, check_size)
    except InputError as error:
        raise Refusal(413 if too_large else 415, too_large or _of_upload(error), field) from None


class UploadDecoder:
    """Decodes pictures, so many at a time, and holds those that are in use to a number of bytes."""

    def __init__(self, limits: ServerLimits, metrics: ServerMetrics) -> None:
        self.limits, self.metrics = limits, metrics
        self._turns = asyncio.Semaphore(limits.decoders)
        self._used = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator["DecodedPictures"]:
        """The pictures of one request; their bytes are free again at its end."""
        pictures = DecodedPictures(self)
        try:
            yield pictures
        finally:
            self.take(-pictures.bytes)

    def take(self, size: int) -> None:
        """Take so many bytes, or give them back; Refusal (429) where there are not enough."""
        if size > 0 and self._used + size > self.limits.decoding_bytes:
            raise Refusal(
                429, "Too many large pictures are being answered; try again in a second.", "image", Retry_After="1"
            )
        self._used += size
        self.metrics.kept.labels("decoding").set(self._used)

    async def decode(self, pictures: "DecodedPictures", upload: UploadFile, field: str) -> Uploaded:
        """See `DecodedPictures.read`."""
        async with self._turns:
            data = await upload.read()
            await upload.close()
            width, height = await asyncio.to_thread(checked_size, data, self.limits, field)
            size = 3 * width * height
            if pictures.bytes + size > self.limits.decoding_bytes:
                raise Refusal(413, "The pictures of this request are too large together; shrink them.", field)
            self.take(size)
            pictures.bytes += size
            return await asyncio.to_thread(self._decoded, data, field)

    def _decoded(self, data: bytes, field: str) -> Uploaded:
        with self.metrics.stage("decode"):
            try:
                picture = read_picture(data, self.limits.image_pixels)
            except InputError as error:
                raise Refusal(422, _of_upload(error), field) from None
            return Uploaded(picture, content_key(picture))


@dataclass
class DecodedPictures:
    """The pictures of one request. bytes: that they take."""

    decoder: UploadDecoder
    bytes: int = 0

    async def read(self, upload: UploadFile, field: str) -> Uploaded:
        """The decoded picture of an upload.

        field: the part that it came in.
        Raises Refusal: 413 where it is too large, 415 where it is no picture, 422 where it is damaged or animated, 429
        where too many bytes are in use.
        """
        return await self.decoder.decode(self, upload, field)


def _of_upload(error: Any) -> str:
    return str(error).replace("The picture given as bytes", "The uploaded picture")
