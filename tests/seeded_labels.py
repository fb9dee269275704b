"""Good labels of every form, made from a seed, and what it takes to put a fault into their files.

`Opened` subclasses open the files of one form: every labelled point of every object can be moved (`Spot.put`), spoiled
(`Spot.spoil`) or repeated, objects can be copied, and pictures renamed. Places are image pixels.
"""

import copy
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from anykeypoint.forms.registry import convert, read
from anykeypoint.forms.writing import point_labels
from anykeypoint.library.lookup import category

SIZE = (320, 240)  # width and height of the pictures
NAMES = ["nose", "left ear", "right ear", "left eye", "right eye", "left paw", "right paw", "tail"]
# Places in the box, of an animal that faces the camera: its left is on the picture's right.
LAYOUT = [(0.5, 0.25), (0.8, 0.1), (0.2, 0.1), (0.65, 0.18), (0.35, 0.18), (0.75, 0.85), (0.25, 0.85), (0.5, 0.6)]
FACE = point_labels(category("animal_face"))
PICTURES, OBJECTS = 4, 8


def make_pictures(folder: Path) -> None:
    for i in range(PICTURES):
        Image.new("RGB", SIZE, (60 * i, 90, 120)).save(folder / f"p{i}.png")


def good_document(rng: np.random.Generator, hidden: bool = True, gaps: bool = True) -> dict[str, Any]:
    """A COCO document without a fault.

    hidden: whether some points are labelled but hidden.
    gaps: whether some points are not labelled.
    """
    images = [{"id": i + 1, "file_name": f"p{i}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(PICTURES)]
    annotations = []
    for i in range(OBJECTS):
        w, h = rng.integers(60, 121, 2).tolist()
        x, y = int(rng.integers(70, SIZE[0] - w)), int(rng.integers(60, SIZE[1] - h))
        places = np.array(LAYOUT) + rng.uniform(-0.03, 0.03, (len(NAMES), 2))
        places = np.round(4 * (places * (w, h) + (x, y))) / 4
        seen = np.where(hidden & (rng.random(len(NAMES)) < 0.15), 1, 2)
        if gaps and rng.random() < 0.5:
            seen[int(rng.integers(0, 5))] = 0
        rows = [[*place, v] if v else [0, 0, 0] for place, v in zip(places.tolist(), seen.tolist(), strict=True)]
        entry = {
            "id": i + 1,
            "image_id": 1 + i % PICTURES,
            "category_id": 1,
            "keypoints": [value for row in rows for value in row],
        }
        entry |= {"num_keypoints": int((seen > 0).sum()), "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        annotations.append(entry)
    categories = [{"id": 1, "name": "cat", "keypoints": list(NAMES), "skeleton": [[1, 2], [1, 3], [7, 8]]}]
    return {"info": {"skeleton_base": 1}, "images": images, "annotations": annotations, "categories": categories}


@dataclass(frozen=True)
class Spot:
    """A labelled point in a file.

    place: its place (x, y).
    name: its label.
    put: moves it to (x, y).
    spoil: puts a text in the place of its x.
    """

    place: tuple[float, float]
    name: str
    put: Callable[[float, float], None]
    spoil: Callable[[str], None]


class Opened:
    """The files of one form, opened for changes.

    spec: the specification, with the word that the form needs, without the path.
    main: the path of the file or folder that the specification names, relative to where the files are written.
    repeats, copies, renames, sentinels: whether a point can stand twice in an object, an object be copied, a picture
        be renamed, and whether (-1, -1) is a place and not the form's own way of saying "not labelled".
    sided, hidden, gaps: whether the form has names of points, hidden points, and points that are not labelled.
    """

    spec = ""
    main = "labels"
    repeats = copies = renames = sentinels = True
    sided = hidden = gaps = True

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def objects(self) -> list[list[Spot]]:
        """The labelled points of each object."""
        raise NotImplementedError

    def repeat(self, thing: int, spot: int) -> None:
        """Let a point stand twice in its object."""
        raise NotImplementedError

    def copy(self, thing: int) -> None:
        """Let an object stand twice in its picture."""
        raise NotImplementedError

    def rename(self, thing: int, name: str) -> None:
        """Call the picture of an object something else."""
        raise NotImplementedError

    def texts(self) -> dict[str, str]:
        """The files after all changes."""
        return self.files


class LabelStudio(Opened):
    spec, main = "labelstudio", "labels.json"

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.tasks = json.loads(files[self.main])
        self.things = []
        for task in self.tasks:
            regions = task["annotations"][0]["result"]
            for box in [region for region in regions if region["type"] == "rectanglelabels"]:
                own = [region for region in regions if region.get("parentID") == box["id"]]
                self.things.append((task, regions, box, own))

    def objects(self) -> list[list[Spot]]:
        def spot(region: dict) -> Spot:
            value = region["value"]
            scale = (region["original_width"] / 100, region["original_height"] / 100)

            def put(x: float, y: float) -> None:
                value.update(x=x / scale[0], y=y / scale[1])

            place = (value["x"] * scale[0], value["y"] * scale[1])
            return Spot(place, value["keypointlabels"][0], put, lambda text: value.update(x=text))

        return [[spot(region) for region in own] for *_, own in self.things]

    def repeat(self, thing: int, spot: int) -> None:
        _, regions, _, own = self.things[thing]
        regions.append({**own[spot], "id": "again"})

    def copy(self, thing: int) -> None:
        _, regions, box, own = self.things[thing]
        regions.append({**box, "id": "again"})
        regions += [{**region, "id": f"again{i}", "parentID": "again"} for i, region in enumerate(own)]

    def rename(self, thing: int, name: str) -> None:
        self.things[thing][0]["data"]["image"] = name

    def texts(self) -> dict[str, str]:
        return {self.main: json.dumps(self.tasks)}


class LabelMe(Opened):
    spec, main = "labelme", "labels"
    renames = False  # a picture with the name of its label file is found, whatever the file calls it

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.pages = {path: json.loads(text) for path, text in files.items() if path.endswith(".json")}
        self.things = []
        for page in self.pages.values():
            shapes = page["shapes"]
            for box in [shape for shape in shapes if shape["shape_type"] == "rectangle"]:
                own = [s for s in shapes if s["shape_type"] == "point" and s["group_id"] == box["group_id"]]
                self.things.append((page, box, own))

    def objects(self) -> list[list[Spot]]:
        def spot(shape: dict) -> Spot:
            place = shape["points"][0]
            spoil = lambda text: shape.update(points=[[text, place[1]]])  # noqa: E731
            return Spot(tuple(place), shape["label"], lambda x, y: shape.update(points=[[x, y]]), spoil)

        return [[spot(shape) for shape in own] for *_, own in self.things]

    def repeat(self, thing: int, spot: int) -> None:
        page, _, own = self.things[thing]
        page["shapes"].append(copy.deepcopy(own[spot]))

    def copy(self, thing: int) -> None:
        page, box, own = self.things[thing]
        page["shapes"] += [{**copy.deepcopy(shape), "group_id": 99} for shape in (box, *own)]

    def texts(self) -> dict[str, str]:
        return {path: json.dumps(page) for path, page in self.pages.items()}


class Xml(Opened):
    """CVAT and imglab: XML with an element for each picture, object and point."""

    main = "labels.xml"
    thing_tag = point_tag = name_key = picture_key = ""

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.root = ElementTree.fromstring(files[self.main])
        self.things = [(p, thing) for p in self.root.iter("image") for thing in p.iterfind(self.thing_tag)]

    def spot(self, point: ElementTree.Element) -> Spot:
        raise NotImplementedError

    def own(self, thing: ElementTree.Element) -> list[ElementTree.Element]:
        return [point for point in thing.iterfind(self.point_tag) if point.get("outside") != "1"]

    def objects(self) -> list[list[Spot]]:
        return [[self.spot(point) for point in self.own(thing)] for _, thing in self.things]

    def repeat(self, thing: int, spot: int) -> None:
        element = self.things[thing][1]
        element.append(copy.deepcopy(self.own(element)[spot]))

    def copy(self, thing: int) -> None:
        picture, element = self.things[thing]
        picture.append(copy.deepcopy(element))

    def rename(self, thing: int, name: str) -> None:
        self.things[thing][0].set(self.picture_key, name)

    def texts(self) -> dict[str, str]:
        return {self.main: ElementTree.tostring(self.root, encoding="unicode")}


class Cvat(Xml):
    spec, thing_tag, point_tag, picture_key = "cvat", "skeleton", "points", "name"

    def spot(self, point: ElementTree.Element) -> Spot:
        x, y = map(float, point.get("points").split(","))
        put = lambda x, y: point.set("points", f"{x},{y}")  # noqa: E731
        return Spot((x, y), point.get("label"), put, lambda text: point.set("points", f"{text},{y}"))


class Imglab(Xml):
    spec, thing_tag, point_tag, picture_key = "imglab", "box", "part", "file"
    hidden = False

    def spot(self, point: ElementTree.Element) -> Spot:
        def put(x: float, y: float) -> None:
            for key, value in (("x", x), ("y", y)):
                point.set(f"exact_{key}", str(value))
                point.set(key, str(round(value)))

        place = tuple(float(point.get(f"exact_{key}", point.get(key))) for key in "xy")
        return Spot(place, point.get("name"), put, lambda text: point.set("x", text))


class Tidy(Opened):
    """The table of `predict` and `data convert`."""

    spec, main = "csv", "labels.csv"
    hidden = False

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.head, *self.rows = csv.reader(io.StringIO(files[self.main]))
        self.things: dict[tuple[str, str], list[list[str]]] = {}
        for row in self.rows:
            self.things.setdefault((row[0], row[1]), []).append(row)

    def own(self, thing: int) -> list[list[str]]:
        return list(self.things.values())[thing]

    def objects(self) -> list[list[Spot]]:
        def spot(row: list[str]) -> Spot:
            def put(x: float, y: float) -> None:
                row[4:6] = [str(x), str(y)]

            def spoil(text: str) -> None:
                row[4] = text

            return Spot((float(row[4]), float(row[5])), row[3], put, spoil)

        return [[spot(row) for row in rows if row[7] == "true"] for rows in self.things.values()]

    def repeat(self, thing: int, spot: int) -> None:
        row = [row for row in self.own(thing) if row[7] == "true"][spot]
        self.rows.insert(self.rows.index(row), list(row))

    def copy(self, thing: int) -> None:
        self.rows += [[row[0], "99", *row[2:]] for row in self.own(thing)]

    def rename(self, thing: int, name: str) -> None:
        for row in self.rows:
            if row[0] == self.own(thing)[0][0] and row is not self.own(thing)[0]:
                row[0] = name
        self.own(thing)[0][0] = name

    def texts(self) -> dict[str, str]:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return {self.main: text.getvalue()}


class Dlc(Opened):
    spec, main = "dlc/cat", "labels.csv"
    repeats = copies = hidden = False

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        rows = list(csv.reader(io.StringIO(files[self.main])))
        cut = next(i for i, row in enumerate(rows) if row[0] == "coords") + 1
        self.heads, self.rows = rows[:cut], rows[cut:]
        names = {row[0]: row for row in self.heads}
        people = names.get("individuals", names["scorer"])
        self.things = []
        for row in self.rows:
            for person in dict.fromkeys(people[1:]):
                at = [i for i in range(1, len(row), 2) if people[i] == person and row[i]]
                if at:
                    self.things.append((row, [(i, names["bodyparts"][i]) for i in at]))

    def objects(self) -> list[list[Spot]]:
        def spot(row: list[str], i: int, name: str) -> Spot:
            def put(x: float, y: float) -> None:
                row[i : i + 2] = [str(x), str(y)]

            def spoil(text: str) -> None:
                row[i] = text

            return Spot((float(row[i]), float(row[i + 1])), name, put, spoil)

        return [[spot(row, i, name) for i, name in at] for row, at in self.things]

    def rename(self, thing: int, name: str) -> None:
        self.things[thing][0][0] = name

    def texts(self) -> dict[str, str]:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*self.heads, *self.rows])
        return {self.main: text.getvalue()}


class Lines(Opened):
    """Files of lines of numbers parted by spaces; an object is a run of (file, line, column of x) for its points."""

    repeats = False

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.lines = {path: text.splitlines() for path, text in files.items() if isinstance(text, str)}

    def cell(self, path: str, line: int, column: int, name: str) -> Spot:
        cells = self.lines[path][line].split()

        def write(values: list[str]) -> None:
            now = self.lines[path][line].split()
            now[column : column + len(values)] = values
            self.lines[path][line] = " ".join(now)

        place = self.pixels(float(cells[column]), float(cells[column + 1]))
        put = lambda x, y: write([str(value) for value in self.written(x, y)])  # noqa: E731
        return Spot(place, name, put, lambda text: write([text]))

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        return x, y

    def written(self, x: float, y: float) -> tuple[float, float]:
        return x, y

    def texts(self) -> dict[str, str]:
        return {path: "\n".join(lines) + "\n" for path, lines in self.lines.items()}


class Yolo(Lines):
    spec, main = "yolo", "labels/data.yaml"
    renames = False

    def places(self) -> list[tuple[str, int]]:
        texts = [path for path in self.lines if path.endswith(".txt")]
        return [(path, i) for path in texts for i, line in enumerate(self.lines[path]) if line.strip()]

    def objects(self) -> list[list[Spot]]:
        things = []
        for path, i in self.places():
            cells = self.lines[path][i].split()
            at = [column for column in range(5, len(cells), 3) if float(cells[column + 2]) > 0]
            things.append([self.cell(path, i, column, NAMES[(column - 5) // 3]) for column in at])
        return things

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        return x * SIZE[0], y * SIZE[1]

    def written(self, x: float, y: float) -> tuple[float, float]:
        return x / SIZE[0], y / SIZE[1]

    def copy(self, thing: int) -> None:
        path, i = self.places()[thing]
        self.lines[path].append(self.lines[path][i])


class Tps(Lines):
    spec, main = "tps/cat", "labels.tps"
    sided = hidden = sentinels = False

    def starts(self) -> list[int]:
        return [i for i, line in enumerate(self.lines[self.main]) if line.startswith("LM=")]

    def objects(self) -> list[list[Spot]]:
        things = []
        for start in self.starts():
            rows = [(start + 1 + i, i) for i in range(len(NAMES))]
            there = [(row, i) for row, i in rows if not self.lines[self.main][row].startswith("-1")]
            things.append([self.cell(self.main, row, 0, NAMES[i]) for row, i in there])
        return things

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        return x, SIZE[1] - y

    def written(self, x: float, y: float) -> tuple[float, float]:
        return x, SIZE[1] - y

    def copy(self, thing: int) -> None:
        start, lines = self.starts()[thing], self.lines[self.main]
        end = next(i for i in range(start, len(lines)) if lines[i].startswith("IMAGE="))
        lines += [*lines[start : end + 1], "ID=99"]

    def rename(self, thing: int, name: str) -> None:
        lines = self.lines[self.main]
        at = next(i for i in range(self.starts()[thing], len(lines)) if lines[i].startswith("IMAGE="))
        lines[at] = f"IMAGE={name}"


class Pts(Lines):
    """Files of points alone, one for each picture."""

    spec, main = "pts/cat", "labels"
    sided = hidden = gaps = copies = renames = sentinels = False

    def objects(self) -> list[list[Spot]]:
        return [[self.cell(path, 3 + i, 0, name) for i, name in enumerate(FACE)] for path in self.lines]


class Via(Opened):
    spec, main = "via", "labels.json"
    hidden = False

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(files)
        self.entries = json.loads(files[self.main])
        self.things = []
        for entry in self.entries.values():
            regions = entry["regions"]
            for box in [region for region in regions if region["shape_attributes"]["name"] == "rect"]:
                tie = box["region_attributes"]["object"]
                own = [r for r in regions if r is not box and r["region_attributes"]["object"] == tie]
                self.things.append((entry, box, own))

    def objects(self) -> list[list[Spot]]:
        def spot(region: dict) -> Spot:
            shape = region["shape_attributes"]
            put = lambda x, y: shape.update(cx=x, cy=y)  # noqa: E731
            name = region["region_attributes"]["name"]
            return Spot((shape["cx"], shape["cy"]), name, put, lambda text: shape.update(cx=text))

        return [[spot(region) for region in own] for *_, own in self.things]

    def repeat(self, thing: int, spot: int) -> None:
        entry, _, own = self.things[thing]
        entry["regions"].append(copy.deepcopy(own[spot]))

    def copy(self, thing: int) -> None:
        entry, box, own = self.things[thing]
        for region in copy.deepcopy([box, *own]):
            region["region_attributes"]["object"] = "99"
            entry["regions"].append(region)

    def rename(self, thing: int, name: str) -> None:
        self.things[thing][0]["filename"] = name

    def texts(self) -> dict[str, str]:
        return {self.main: json.dumps(self.entries)}


OPENED = {
    "labelstudio": LabelStudio,
    "cvat": Cvat,
    "dlc": Dlc,
    "csv": Tidy,
    "labelme": LabelMe,
    "yolo": Yolo,
    "tps": Tps,
    "imglab": Imglab,
    "via": Via,
    "pts": Pts,
}


def write_form(form: str, document: dict[str, Any], folder: Path) -> dict[str, str]:
    """The files of a document in a form, by their paths; by its writer, or as its tool writes it where it has none.

    folder: that of the pictures.
    """
    if form == "via":
        return {Via.main: json.dumps(_via(document))}
    if form == "pts":
        return _pts(document)
    file = folder / "good.json"
    file.write_text(json.dumps(document))
    content = convert(read(f"coco:{file}", folder, phrases=None), folder, form).content
    if isinstance(content, str):
        return {OPENED[form].main: content}
    return {f"labels/{path}": text for path, text in content.items() if isinstance(text, str)}


def _via(document: dict[str, Any]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for picture in document["images"]:
        regions = []
        for entry in document["annotations"]:
            if entry["image_id"] != picture["id"]:
                continue
            x, y, w, h = entry["bbox"]
            shape = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
            regions.append({"shape_attributes": shape, "region_attributes": {"object": str(entry["id"])}})
            for i, name in enumerate(NAMES):
                px, py, v = entry["keypoints"][3 * i : 3 * i + 3]
                attributes = {"name": name, "object": str(entry["id"])}
                shape = {"name": "point", "cx": px, "cy": py}
                regions += [{"shape_attributes": shape, "region_attributes": attributes}] if v else []
        name = picture["file_name"]
        entries[f"{name}1"] = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
    return entries


def _pts(document: dict[str, Any]) -> dict[str, str]:
    """A file for each picture, with the nine points of a face in the box of its first object."""
    files = {}
    for picture in document["images"]:
        x, y, w, h = next(entry["bbox"] for entry in document["annotations"] if entry["image_id"] == picture["id"])
        across = [0.8 if "left" in name else 0.2 if "right" in name else 0.5 for name in FACE]
        rows = [f"{x + part * w + i / 4} {y + (0.1 + i / 12) * h}" for i, part in enumerate(across)]
        text = "\n".join(["version: 1", f"n_points: {len(rows)}", "{", *rows, "}", ""])
        files[f"labels/{re.sub(r'[.]png$', '.pts', picture['file_name'])}"] = text
    return files
