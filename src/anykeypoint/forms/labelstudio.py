"""Label Studio's JSON export, read and written: keypoint regions in percent of the picture, grouped by rectangles.

A keypoint belongs to the rectangle that its `parentID` names, otherwise to the only rectangle it lies in. Where a
picture has no rectangle, its keypoints are one object. What the format has no field for goes where Label Studio keeps
data of other tools: the order of a category's points into the task's `data.keypoints`, and "hidden" into the note of a
region (`meta.text`).
"""

from pathlib import Path
from typing import Any

from ..errors import InputError
from ..images import picture_size
from .document import Answer, Labels, NamedObject
from .form import NOUN, LabelForm
from .labelstudio_pictures import picture_file
from .labelstudio_regions import by_task_picture, objects_of, stated_size
from .labelstudio_tasks import setup_text, tasks_text
from .picture_search import PictureSearch
from .reading import read_json

LOOSE = "object"  # name of objects without a rectangle, and of rectangles without a label
_SIZE = ("width", "height")


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of an export.

    word: the category of objects without a labelled rectangle, "object" by default.
    The annotation of a task that is marked as ground truth counts, otherwise the first one, and where there is none its
    first prediction, which is noted. Cancelled annotations, those of further annotators and rectangles without points
    are left out and counted. Tasks of one picture are noted, and the objects of all count.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path} must hold a list of tasks; export from Label Studio as JSON.")
    labels, search = Labels(), PictureSearch(images)
    orders: dict[str, dict[str, None]] = {}  # category -> names of its points in order
    objects: list[NamedObject] = []
    answers: dict[int, Answer] = {}  # place in `objects` -> what a model said of it
    for index, task in enumerate(tasks):
        with labels.catching():
            where = f"{path}: task {task.get('id', index) if isinstance(task, dict) else index}"
            if (
                not isinstance(task, dict)
                or not isinstance(task.get("data"), dict)
                or not {"annotations", "predictions"} & {*task}
            ):
                raise InputError(f"{where} has no 'data' and 'annotations'; export as JSON, not JSON-MIN.")
            regions, answered = _regions(task, where, labels)
            group = task["data"].get("group")
            known = task["data"].get("keypoints")  # of another tool it may be anything, which is ignored
            for kind, order in known.items() if isinstance(known, dict) else ():
                orders.setdefault(kind, {}).update(dict.fromkeys(map(str, order) if isinstance(order, list) else ()))
            for address, drawn in by_task_picture(task["data"], regions, where, labels):
                name = picture_file(address, search, where)
                size = picture_size(images / name)
                sizes = dict(zip(_SIZE, stated_size(drawn, size) or (), strict=False))
                if labels.knows(name, address):
                    labels.count_note("tasks show a picture of an earlier task, and the objects of all count")
                image = labels.add_image(name, source=address, **sizes, group=None if group is None else str(group))
                with labels.of_picture(image):
                    found = objects_of(drawn, word or LOOSE, labels, where, answered, size)
                for kind, points, box, answer in found:
                    if answer is not None:
                        answers[len(objects)] = answer
                    objects.append((image, kind, points, box))
    labels.notes += search.notes()
    labels.add_named_objects(objects, orders, answers)
    return labels


def _regions(task: dict[str, Any], where: str, labels: Labels) -> tuple[list[dict], bool]:
    """The regions of a task's annotation that counts, otherwise of its first prediction; and which of the two.

    The other annotations are counted. A prediction is what a model answered, and nobody has looked at it.
    """
    given = _list(task.get("annotations", []), "annotations", where)
    done = [entry for entry in given if not entry.get("was_cancelled")]
    done.sort(key=lambda entry: entry.get("ground_truth") is not True)
    for _ in range(len(given) - len(done)):
        labels.leave_out("cancelled annotations")
    for _ in done[1:]:
        labels.leave_out("annotations by further annotators")
    if done:
        return _list(done[0].get("result", []), "result", where), False
    listed = task.get("predictions")  # an export may list their ids alone
    answers = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if given or not answers:
        return [], False
    for _ in answers[1:]:
        labels.leave_out("predictions by further models")
    if isinstance(answers[0].get("model_version"), str):
        labels.info.setdefault("model", answers[0]["model_version"])
    labels.count_note("tasks have no annotation, and their predictions were taken")
    return _list(answers[0].get("result", []), "result", where), True


def _list(value: Any, key: str, where: str) -> list[dict]:
    """The value, once it is sure to be a list of JSON objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f"{where}, key {key!r}, must be a list of JSON objects.")
    return value


FORM = LabelForm(
    read,
    "Label Studio's JSON export",
    NOUN,
    write=tasks_text,
    suffix=".json",
    holds=frozenset({"boxes", "hidden", "groups", "empty", "confidences", "scores"}),
    beside=lambda data: {".config.xml": setup_text(data)},
    advice="Paste the labelling setup of the .config.xml into Settings > Labeling Interface > Code. Label Studio finds "
    "pictures of local files with --picture-prefix '/data/local-files/?d=FOLDER/' (see docs/tools.md).",
    prefixed=True,
)
