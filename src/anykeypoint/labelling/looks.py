"""What the pictures of a folder look like, as vectors that are kept in a folder, so that they are computed once.

The folder has three files: about.json says of which image encoder the vectors are, vectors.bin has one vector after
another, and pictures.jsonl has for each its picture: path, size and time of the file, and the hash of its content. A
picture is known by path, size and time, and where these differ by its content. Vectors are written before the line that
names them, so that a program that is stopped loses one picture at most.

Letters: N pictures, D numbers of a vector.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..geometry import square_crop
from ..images import crop_pixels, read_picture
from ..io import check_schema, write_bytes
from ..models.matching.model import MatchingModel
from ..models.tensors import float32_hash
from .nearest import pooled

SIDE = 160  # pixels on a side of what the encoder sees of a picture
SCHEMA_VERSION = 1
_BATCH = 16  # pictures that are encoded together
_PIXELS = 4 * SIDE * SIDE  # a larger picture is read shrunk
_ABOUT, _VECTORS, _PICTURES = "about.json", "vectors.bin", "pictures.jsonl"


@dataclass(frozen=True, eq=False)
class Looks:
    """What pictures look like.

    paths: N pictures. vectors: [N, D] float32 of unit length.
    faults: path -> the sentence that says why a picture has no vector.
    """

    paths: Sequence[Path]
    vectors: np.ndarray
    faults: dict[Path, str]


class LooksEncoder:
    """Vectors of whole pictures, by the image encoder of a matcher at SIDE pixels. The matcher is resized by it."""

    def __init__(self, model: MatchingModel) -> None:
        model.resize(SIDE)
        self.model = model

    @property
    def about(self) -> dict[str, Any]:
        """What tells its vectors from those of others."""
        return {"schema_version": SCHEMA_VERSION, "encoder": float32_hash(self.model.encoder), "side": SIDE}

    def pixels(self, path: Path) -> np.ndarray:
        """The square round a picture, [SIDE, SIDE, 3] uint8; InputError where it cannot be read."""
        picture = read_picture(path, max_pixels=_PIXELS)
        return crop_pixels(picture, square_crop(picture.whole, 1.0), SIDE)

    @torch.inference_mode()
    def vectors(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """[B, D] float32."""
        return pooled(self.model.encode_pixels(np.stack(pixels)).float().cpu().numpy())


class _Kept:
    """The folder of vectors, read and added to."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / _ABOUT
        if place.exists():
            try:
                theirs = json.loads(place.read_bytes())
            except ValueError:
                theirs = None
            if not isinstance(theirs, dict):
                raise InputError(f"{place} is damaged; remove {folder}, so that the features are computed anew.")
            check_schema(theirs.get("schema_version"), SCHEMA_VERSION, str(place))
            if theirs != about:
                raise InputError(f"{folder} holds features of another image encoder; remove it or use another folder.")
        elif any(folder.iterdir()):
            raise InputError(f"{folder} is no folder of features and is not empty; give a new one.")
        else:
            write_bytes(place, json.dumps(about, indent=1).encode())
        self.rows: dict[tuple[str, int, int], int] = {}  # path, size and time -> row
        self.by_content: dict[str, int] = {}
        self.count, self.width = 0, 0
        text = (folder / _PICTURES).read_text() if (folder / _PICTURES).exists() else ""
        self.cut = text != "" and not text.endswith("\n")  # by a program that was stopped
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                key, content, row = (entry["path"], entry["size"], entry["time"]), entry["content"], entry["row"]
                count, width = max(self.count, row + 1), entry["width"]
                self.rows[key] = self.by_content[content] = row
            except (ValueError, KeyError, TypeError):
                continue
            self.count, self.width = count, width

    def vectors(self) -> np.ndarray:
        """[rows, D] float16, memory-mapped."""
        return np.memmap(self.folder / _VECTORS, np.float16, "r", shape=(self.count, self.width))

    def add(self, files: "Sequence[_File]", vectors: np.ndarray | None) -> None:
        """Keep the vectors of some files; None: of files whose content is known, under another name."""
        if vectors is not None:
            self.width = vectors.shape[1]
            with (self.folder / _VECTORS).open("r+b" if self.count else "wb") as out:
                out.seek(2 * self.width * self.count)
                out.write(vectors.astype(np.float16).tobytes())
        lines = []
        for file in files:
            if vectors is not None:
                self.by_content[file.content] = self.count
                self.count += 1
            row = self.by_content[file.content]
            self.rows[file.key] = row
            path, size, time = file.key
            entry = {"path": path, "size": size, "time": time, "content": file.content, "row": row, "width": self.width}
            lines.append(json.dumps(entry) + "\n")
        with (self.folder / _PICTURES).open("a") as out:
            out.write("\n" * self.cut + "".join(lines))
        self.cut = False


@dataclass(frozen=True)
class _File:
    """A picture's file. key: path, size and time of its last change. content: hash."""

    path: Path
    key: tuple[str, int, int]
    content: str = ""


def looks_of(
    paths: Iterable[Path],
    encoder: LooksEncoder,
    folder: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Looks:
    """What pictures look like.

    folder: where the vectors are kept, and looked up; None computes all of them.
    advance: called for each picture.

    A picture that cannot be read is a fault and costs no other. Raises InputError for a folder of something else.
    """
    kept = None if folder is None else _Kept(folder, encoder.about)
    found: dict[Path, Any] = {}  # path -> its row in the folder, or its vector
    faults: dict[Path, str] = {}
    waiting: list[tuple[_File, np.ndarray]] = []
    paths = list(paths)

    def encode() -> None:
        vectors = encoder.vectors([pixels for _, pixels in waiting])
        if kept is not None:
            kept.add([file for file, _ in waiting], vectors)
        for (file, _), vector in zip(waiting, vectors, strict=True):
            found[file.path] = vector if kept is None else kept.rows[file.key]
        waiting.clear()

    for path in paths:
        try:
            file = _file_of(path, kept)
            if kept is not None and file.key in kept.rows:
                found[path] = kept.rows[file.key]
            elif kept is not None and file.content in kept.by_content:
                kept.add([file], None)
                found[path] = kept.rows[file.key]
            else:
                waiting.append((file, encoder.pixels(path)))
        except InputError as error:
            faults[path] = str(error)
        if len(waiting) == _BATCH:
            encode()
        advance()
    if waiting:
        encode()
    usable = [path for path in paths if path in found]
    return Looks(usable, _stacked([found[path] for path in usable], kept), faults)


def _stacked(found: Sequence[Any], kept: _Kept | None) -> np.ndarray:
    """[N, D] float32 of unit length."""
    if not found:
        return np.zeros((0, 1), np.float32)
    vectors = np.stack(found) if kept is None else kept.vectors()[np.array(found)].astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _file_of(path: Path, kept: _Kept | None) -> _File:
    """A file and, where it is not known, the hash of its content."""
    try:
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        if kept is None or key in kept.rows:
            return _File(path, key)
        with path.open("rb") as opened:
            return _File(path, key, hashlib.file_digest(opened, "sha256").hexdigest())
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
