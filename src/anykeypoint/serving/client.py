"""A client of a server of `anykeypoint serve`, with the standard library alone."""

import http.client
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..category import Category, Keypoint
from ..configs.checks import check_positive, plain
from ..errors import InputError, first_line
from ..example import Example
from ..geometry import Box, check_box
from ..images import ImageSource, read_image
from ..images.limits import check_ceiling
from ..images.opening import header_size
from ..library.lookup import as_category
from ..models.arguments import check_points, is_several
from ..pose import Identified, Pose, unique_names

Prompt = Category | str | os.PathLike | Sequence[str | Keypoint] | None


class ServerError(InputError):
    """What a server refused, or that it could not be reached.

    status: of HTTP; 0 where there was no answer.
    request_id: by which the server's log names it; "" where there was no answer.
    field: the part of the request that was to blame; None where it was none.
    retry_after: seconds after which to try again; None where the server did not say.
    """

    def __init__(
        self,
        sentence: str,
        status: int = 0,
        request_id: str = "",
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status, self.request_id, self.field, self.retry_after = status, request_id, field, retry_after


@dataclass(frozen=True)
class KeptOnServer:
    """A picture or an example that a server keeps, by its id. An example has the names of its points."""

    id: str
    names: tuple[str, ...] = ()


class Client:
    """Asks a server where keypoints are.

    url: of the server, such as "http://127.0.0.1:8000".
    token: that it needs, as its file has it; None for none.
    timeout: seconds for which an answer is waited for.
    Raises InputError for a URL that is none or has parts that would not be used, and for a token that cannot be sent.

    A client may be used from several threads. A picture is what `read_picture` takes, or one that `encode` kept.

    >>> client = ak.Client("http://127.0.0.1:8000")
    >>> client.predict("examples/cat.jpg", "animal_face").category
    'animal_face'
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None, timeout: float = 120.0) -> None:
        text = url if isinstance(url, str) else ""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # a host or a port that is none
            parts, port = urlsplit(""), -1
        if parts.username is not None:
            raise InputError(
                "A server's URL must be without user and password, as they would not be sent; give token=."
            )
        unused = parts.query or parts.fragment or port == -1 or re.search(r"\s", text)
        if parts.scheme not in ("http", "https") or not parts.hostname or unused:
            raise InputError(f"A server's URL must be as http://127.0.0.1:8000, but got {url!r:.80}.")
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._start = parts.path.rstrip("/")
        self.url, self.timeout = url, check_positive(plain(timeout), "A client's timeout in seconds")
        self._headers = {} if token is None else {"Authorization": f"Bearer {_sendable(token)}"}

    def predict(
        self,
        image: "ImageSource | KeptOnServer",
        category: Prompt = None,
        box: Box | None = None,
        example: "Example | KeptOnServer | Sequence[Example | KeptOnServer] | None" = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose:
        """Where the keypoints of one object are; see `predict_boxes`."""
        boxes = None if box is None else [check_box(box)]
        return self.predict_boxes(image, category, boxes, example, words, **options)[0]

    def predict_boxes(
        self,
        image: "ImageSource | KeptOnServer",
        category: Prompt = None,
        boxes: Sequence[Box] | None = None,
        example: "Example | KeptOnServer | Sequence[Example | KeptOnServer] | None" = None,
        words: bool | None = None,
        **options: Any,
    ) -> list[Pose]:
        """Where the keypoints of several objects of a picture are: a pose for each box, in order.

        category: a Category, a name of the library, a JSON or YAML file here, a list of names, or keypoints as text
            where it holds ";" or ":" or several lines; None takes the category of the first example, or the points of
            those that are kept.
        boxes: x, y, w, h in image pixels; None takes the whole picture.
        example: one or several; those with a category are given by its names, others by those of `category`.
        words: whether names and descriptions are read.
        options: density, grid, fine, mirror, noun, model, ..., as the server's openapi.json describes them.
        A pose has the path of its picture as it is here. Raises ServerError where the server refuses, and InputError
        for what cannot be sent.
        """
        listed = [] if example is None else list(example) if isinstance(example, list | tuple) else [example]
        for one in listed:
            _check_example(one, Example | KeptOnServer)
        category = _prompt(category)
        own = [one.category for one in listed if isinstance(one, Example)]
        category = own[0] if category is None and own else category
        request = {**_asked(category), **options}
        if boxes is not None:
            if not is_several(boxes):
                raise InputError(f"Boxes must be a list of boxes x, y, w, h in pixels, but got {boxes!r:.80}.")
            request["boxes"] = [check_box(box) for box in boxes]
        if words is not None:
            request["words"] = words
        kept = [one.id for one in listed if isinstance(one, KeptOnServer)]
        along = [one for one in listed if isinstance(one, Example)]
        if kept:
            request["examples"] = kept
        if along:
            request["marked"] = [_marked(one, category) for one in along]
        files = [("example", _bytes(one.image)) for one in along]
        answer = self._ask("/v1/predict", {"poses"}, image, request, files)
        path = os.fsdecode(image) if isinstance(image, str | os.PathLike) else ""
        return [replace(Pose.from_dict(pose), image=path) for pose in answer["poses"]]

    def identify(
        self,
        image: "ImageSource | KeptOnServer",
        points: Any,
        category: Prompt = None,
        box: Box | None = None,
        **options: Any,
    ) -> list[Identified]:
        """What is at these points [P, 2] of a picture, in image pixels: a name for each.

        category: the names to choose from, as in `predict_boxes`; None leaves them to the model.
        """
        request = {**_asked(_prompt(category)), "points": check_points(points)[0].tolist(), **options}
        if box is not None:
            request["box"] = check_box(box)
        answer = self._ask("/v1/identify", {"names"}, image, request)
        return [Identified(**one) for one in answer["names"]]

    def encode(self, image: ImageSource) -> KeptOnServer:
        """Let the server keep a picture, to ask about it many times."""
        return KeptOnServer(self._ask("/v1/encode", {"image_id"}, image, None)["image_id"])

    def keep_example(self, example: Example, category: Prompt = None) -> KeptOnServer:
        """Let the server keep an example, to ask with it many times.

        category: gives the names of the points where the example has none itself.
        """
        _check_example(example, Example)
        marked = _marked(example, _prompt(category))
        answer = self._ask("/v1/examples", {"example_id", "names"}, example.image, marked)
        return KeptOnServer(answer["example_id"], tuple(answer["names"]))

    def categories(self) -> dict[str, list[str]]:
        """The library's categories: name -> the names of their points."""
        answer = self._call("GET", "/v1/categories", {"categories"})
        return {one["name"]: one["keypoints"] for one in answer["categories"]}

    def progress(self) -> dict[str, Any]:
        """How far the server is: state is "loading", "ready" or "failed", step says more."""
        return self._call("GET", "/readyz", {"state"}, accept=(200, 503))

    def _ask(
        self,
        path: str,
        holds: Set[str],
        image: "ImageSource | KeptOnServer",
        request: Mapping[str, Any] | None,
        files: Sequence[tuple[str, bytes]] = (),
    ) -> Any:
        parts = list(files)
        if isinstance(image, KeptOnServer):
            request = {**(request or {}), "image_id": image.id}
        else:
            parts.insert(0, ("image", _bytes(image)))
        boundary = secrets.token_hex(16)
        body = BytesIO()
        for name, data in parts:
            body.write(_part(boundary, name, "application/octet-stream", ' filename="picture"'))
            body.write(data + b"\r\n")
        if request is not None:
            body.write(_part(boundary, "request", "application/json"))
            body.write(_json(request) + b"\r\n")
        body.write(f"--{boundary}--\r\n".encode())
        return self._call("POST", path, holds, body.getvalue(), f"multipart/form-data; boundary={boundary}")

    def _call(
        self,
        method: str,
        path: str,
        holds: Set[str],
        body: bytes | None = None,
        content_type: str | None = None,
        accept: Sequence[int] = (200, 201),
    ) -> Any:
        """The server's answer. holds: the keys that it must have."""
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self.timeout)
        headers = self._headers | ({} if content_type is None else {"Content-Type": content_type})
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it answered before it had read all, with a refusal
                connection.request(method, self._start + path, body, headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            sentence = f"The server {self.url} cannot be reached: {first_line(error)}; is it running?"
            raise ServerError(sentence) from error
        finally:
            connection.close()
        try:
            answer = json.loads(data)
        except ValueError:
            sentence = f"{self.url} is no server of anykeypoint, as its answer is no JSON; check the URL."
            raise ServerError(sentence, response.status) from None
        if response.status not in accept:
            later, answer = response.headers.get("Retry-After", ""), answer if isinstance(answer, dict) else {}
            raise ServerError(
                str(answer.get("error", f"The server answered {response.status}.")),
                response.status,
                str(answer.get("request_id", "")),
                answer.get("field"),
                float(later) if later.isascii() and later.isdigit() else None,  # of a proxy it may be a date
            )
        if not isinstance(answer, dict) or not holds <= answer.keys():
            lacks = f"as its answer has no {sorted(holds)[0]!r}"
            sentence = f"{self.url} is no server of anykeypoint, {lacks}; check the URL."
            raise ServerError(sentence, response.status)
        return answer


def _part(boundary: str, name: str, kind: str, more: str = "") -> bytes:
    extra = f";{more}" if more else ""
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\nContent-Type: {kind}\r\n\r\n'
    ).encode()


def _json(request: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(request, allow_nan=False, default=_of_numpy).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"This cannot be sent to a server: {first_line(error)}; give finite numbers and text."
        ) from None


def _of_numpy(value: Any) -> Any:
    """A number or flag of numpy as JSON can hold it. Raises TypeError for anything else."""
    if (found := plain(value)) is value:
        raise TypeError(f"{type(value).__name__} is nothing that JSON holds")
    return found


def _sendable(token: Any) -> str:
    """A token without the line end of its file; InputError for one that no header can hold, which is not quoted."""
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token.strip()):
        raise InputError("A token must be text of letters, digits and signs of ASCII, without spaces; check its file.")
    return token.strip()


def _check_example(value: Any, kind: Any) -> None:
    if not isinstance(value, kind):
        raise InputError(f"An example must be an anykeypoint.Example, or one kept here, but got {value!r:.80}.")


def _prompt(category: Prompt) -> Category | str | None:
    """What is asked as it is sent: text that the server reads, or a category; files are read here."""
    here = isinstance(category, str) and category.lower().endswith((".json", ".yaml", ".yml"))
    return category if category is None or (isinstance(category, str) and not here) else as_category(category)


def _asked(category: Category | str | None) -> dict[str, Any]:
    if category is None:
        return {}
    if isinstance(category, Category):
        return {"definition": category.to_dict()}
    return {"keypoints" if any(letter in category for letter in ";:\n") else "category": category}


def _marked(example: Example, category: Category | str | None) -> dict[str, Any]:
    """The points of an example by name, as a server takes them."""
    known = example.category if example.category is not None else category
    if not isinstance(known, Category):
        raise InputError("An example needs names for its points; give it a category, as Example(..., category=...).")
    pairs = zip(example.points.tolist(), example.marked, strict=True)
    places = [place if marked else None for place, marked in pairs]
    if len(places) != len(known):
        raise InputError(f"The example has {len(places)} points, but its category has {len(known)}; give one for each.")
    request: dict[str, Any] = {
        "points": dict(zip(unique_names(known.names), places, strict=True)),
        "category": known.name,
        "skeleton": [list(edge) for edge in known.skeleton],
    }
    return request if example.box is None else {**request, "box": list(example.box)}


def _bytes(image: Any) -> bytes:
    """The bytes of a picture's file as they are; of another picture those of a PNG file."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        header_size(image, check_ceiling)  # what is no picture, or a URL, is refused before it is sent
        return Path(image).read_bytes()
    file = BytesIO()
    read_image(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
