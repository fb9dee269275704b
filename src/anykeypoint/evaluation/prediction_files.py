"""Predictions for a list of queries, on one process or many, each written to a file before the next is made.

The lines of predictions.jsonl are JSON objects with "schema_version", "id" (of the object), "examples" (the ids of
those that the model gets or that hide points from it, if there are any), "category" (that is asked for), "points" or
"names", "confidences", and "presences" if the model says any.
Of several processes each takes every n-th query and appends to a file of its own; in the end one file holds all lines,
in the order of the queries. A killed run goes on with what any process has written, also with another number of
processes.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, first_few
from ..images import read_picture
from .protocols import EvaluationProtocol
from .queries import EvaluatedModel, Prediction, Query, QueryKey, predict_query
from .run_folder import SCHEMA_VERSION, Progress, check_entry, finite_or_none, whole_lines, write_text


@dataclass(frozen=True)
class Workers:
    """This process among those that share a run.

    rank: number of this process, from 0. count: number of processes.
    wait: returns once all processes have called it.
    """

    rank: int = 0
    count: int = 1
    wait: Callable[[], None] = lambda: None


def predict_all(
    model: EvaluatedModel,
    queries: Sequence[Query],
    protocol: EvaluationProtocol,
    path: Path,
    options: Mapping[str, Any],
    workers: Workers,
    progress: Progress,
    title: str,
) -> list[Prediction]:
    """The predictions in the order of the queries: from the lines of `path` where they exist, else from the model.

    options: further arguments of the model's `predict`.
    title: heading of the progress bar, which only the first process shows.
    Raises InputError with the object's id where the model refuses a query or predicts another number of points. Where
    it is a picture that cannot be read, all other queries are answered first, and the error names all such pictures.
    """
    by_key = {query.key: query for query in queries}
    done: dict[QueryKey, Prediction] = {}
    for file in [path, *_worker_files(path)]:
        done |= _read(file, by_key, protocol)
    workers.wait()  # every process has read the files before one writes to them
    own = path if workers.count == 1 else path.with_suffix(f".{workers.rank}{path.suffix}")
    left = [query for query in queries if query.key not in done][workers.rank :: workers.count]
    unread: dict[Path, str] = {}
    with own.open("a", encoding="utf-8") as lines:
        for query in progress(left, title) if workers.rank == 0 else left:
            try:
                prediction = predict_query(model, query, protocol, options)
            except InputError as error:
                if not (bad := _unread_pictures(query)):
                    raise InputError(f"Object {query.item.id} ({query.item.image}): {error}") from error
                unread |= bad
                continue
            done[query.key] = prediction
            lines.write(_line(query, prediction))
            lines.flush()
    if unread:
        raise InputError(
            f"{len(unread)} of the pictures cannot be read ({first_few(list(map(str, unread)), 10)}): "
            f"{next(iter(unread.values())).rstrip('.')}; mend them or leave their objects out, and start again, as the "
            "answers about the others are kept."
        )
    workers.wait()
    if workers.rank == 0:
        for file in _worker_files(path):
            done |= _read(file, by_key, protocol)
        if workers.count > 1 or _worker_files(path):
            write_text(path, "".join(_line(query, done[query.key]) for query in queries))
            for file in _worker_files(path):
                file.unlink()
    workers.wait()
    if workers.rank:
        done = _read(path, by_key, protocol)
    return [done[query.key] for query in queries]


def _unread_pictures(query: Query) -> dict[Path, str]:
    """The pictures of a query that cannot be read, each with the reason."""
    found = {}
    for item in (query.item, *query.examples):
        try:
            read_picture(item.image)
        except InputError as error:
            found[item.image] = str(error)
    return found


def _worker_files(path: Path) -> list[Path]:
    """The files of single processes that belong to `path`: predictions.0.jsonl, predictions.1.jsonl, ..."""
    return sorted(path.parent.glob(f"{path.stem}.*{path.suffix}"))


def _line(query: Query, prediction: Prediction) -> str:
    entry: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "id": query.item.id}
    if examples := query.key[1]:
        entry["examples"] = list(examples)
    entry["category"] = query.category.name
    if prediction.names is None:
        entry["points"] = [[finite_or_none(x), finite_or_none(y)] for x, y in prediction.xy]
    else:
        entry["names"] = list(prediction.names)
    entry["confidences"] = [finite_or_none(value) for value in prediction.confidence]
    if prediction.presence is not None:
        entry["presences"] = [finite_or_none(value) for value in prediction.presence]
    return json.dumps(entry) + "\n"


def _read(path: Path, queries: Mapping[QueryKey, Query], protocol: EvaluationProtocol) -> dict[QueryKey, Prediction]:
    """The predictions in the file's whole lines.

    Raises InputError, with the line's number, for a line of a newer schema and for one that fits none of the queries.
    """
    done: dict[QueryKey, Prediction] = {}
    for number, line in enumerate(whole_lines(path), 1):
        try:
            entry = json.loads(line)
            check_entry(entry, f"{path}, line {number},")
            key = entry["id"], tuple(entry.get("examples", ()))
            count = len(queries[key].category)
            confidence = _numbers(entry["confidences"])
            presence = _numbers(entry["presences"]) if "presences" in entry else None
            names = tuple(entry["names"]) if protocol.identifies else None
            points = [[None, None]] * count if protocol.identifies else entry["points"]
            xy = np.array([[math.nan if v is None else v for v in point] for point in points], dtype=float)
            sizes = {len(part) for part in (xy, confidence, presence, names) if part is not None}
            if sizes != {count} or xy.shape != (count, 2):
                raise ValueError("the line has another number of points")
        except InputError:
            raise  # a newer schema, which the other errors must not hide
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number}, is no prediction of this run; remove the folder.") from error
        done[key] = Prediction(xy, confidence, names, presence)
    return done


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=float)
