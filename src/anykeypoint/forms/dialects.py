"""Public data sets whose files are COCO's but for something: each difference is mended here, in memory.

Every function takes the file, the folder of the pictures and what stands after "/" in the specification.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..category import plain_text
from ..errors import InputError
from ..library.lookup import category as library_category
from .dataset import load_document
from .document import Labels, find_picture, number, read_json

# Where in DeepFashion2's 294 points each kind of garment has its own: first and one past the last.
GARMENTS = {
    "short_sleeved_shirt": (0, 25),
    "long_sleeved_shirt": (25, 58),
    "short_sleeved_outwear": (58, 89),
    "long_sleeved_outwear": (89, 128),
    "vest": (128, 143),
    "sling": (143, 158),
    "shorts": (158, 168),
    "trousers": (168, 182),
    "skirt": (182, 190),
    "short_sleeved_dress": (190, 219),
    "long_sleeved_dress": (219, 256),
    "vest_dress": (256, 275),
    "sling_dress": (275, 294),
}
_FACES = {68: "human_face", 19: "amur_tiger_body"}  # 300W; AFLW, which MP-100 keeps in a folder of that name


def coco(path: Path, images: Path, selection: str = "") -> Labels:
    """COCO's own, and all that are like it. selection: names of categories or of groups of them (`supercategory`),
    parted by commas; AP-10K's groups are the animals' families, so `coco/Bovidae:FILE` is one side of CLAMP's
    zero-shot settings (Bovidae to Canidae across orders, Canidae to Felidae within one)."""
    labels = Labels.of(load_document(path))
    return select(labels, selection, path) if selection else labels


def apt36k(path: Path, images: Path, selection: str = "") -> Labels:
    """AP-10K's points on videos: file names may be paths of the machine they were made on, and the folder of a picture
    is its video, which becomes its group."""
    labels = coco(path, images, selection)
    for entry in _dicts(labels.images):
        name = entry.get("file_name")
        if not isinstance(name, str):
            continue
        parts = PurePosixPath(name.replace("\\", "/")).parts
        tails = ["/".join(parts[i:]) for i in range(len(parts))]
        entry["file_name"] = find_picture(images, [tail for tail in tails if ":" not in tail and tail[0] != "/"])
        if len(parts) > 1:
            entry.setdefault("group", "/".join(parts[-3:-1]))
    return labels


def animal_kingdom(path: Path, images: Path, selection: str = "") -> Labels:
    """Animal Kingdom: five classes of animals with 23 points, and the species in each annotation (`animal`).

    selection may name species too. A picture's group is the clip it is from, the first part of its path. Annotations
    of a class that the file does not list (the data set's own samples have such) take the points of the others, which
    are the same for all.
    """
    labels = Labels.of(load_document(path))
    listed = {_id(entry, "id") for entry in _dicts(labels.categories)}
    names = next((entry.get("keypoints") for entry in _dicts(labels.categories) if entry.get("keypoints")), None)
    skeleton = next((entry.get("skeleton") for entry in _dicts(labels.categories) if entry.get("skeleton")), [])
    for entry in _dicts(labels.annotations):
        kind, identity = entry.get("animal_parent_class"), _id(entry, "category_id")
        if identity not in listed and isinstance(kind, str) and names and identity is not None:
            listed.add(identity)
            labels.categories.append({"id": identity, "name": kind, "keypoints": names, "skeleton": skeleton})
    for entry in _dicts(labels.categories):
        if isinstance(entry.get("keypoints"), list):
            entry["keypoints"] = [name.strip() if isinstance(name, str) else name for name in entry["keypoints"]]
    for entry in _dicts(labels.images):
        parts = PurePosixPath(str(entry.get("file_name", ""))).parts
        if len(parts) > 1:
            entry.setdefault("group", parts[0])
    if not selection:
        return labels
    wanted = _words(selection)
    kept = [entry for entry in _dicts(labels.annotations) if plain_text(str(entry.get("animal", ""))) in wanted]
    if not kept:
        return select(labels, selection, path)
    labels.annotations = kept
    return labels


def human_art(path: Path, images: Path, selection: str = "") -> Labels:
    """Human-Art: 21 points are named, `keypoints` holds the 17 of COCO and `keypoints_21` all of them.

    selection "17" reads COCO's 17; else all 21. File names begin with HumanArt/images, which `images` may be already.
    """
    if selection not in ("", "17", "21"):
        raise InputError(f"Human-Art has 17 or 21 points, but got humanart/{selection}; write humanart/17:FILE.")
    labels = Labels.of(load_document(path))
    body = 17
    for entry in _dicts(labels.categories):
        names = entry.get("keypoints")
        if selection == "17" and isinstance(names, list) and len(names) > body:
            entry["keypoints"] = names[:body]  # the fingers and toes come last
            edges = entry.get("skeleton") or []
            entry["skeleton"] = [edge for edge in edges if isinstance(edge, list) and max(edge, default=0) <= body]
    for entry in _dicts(labels.annotations):
        if selection != "17" and "keypoints_21" in entry:
            entry["keypoints"] = entry["keypoints_21"]
            entry["num_keypoints"] = entry.get("num_keypoints_21", entry.get("num_keypoints"))
    for entry in _dicts(labels.images):
        name = entry.get("file_name")
        if isinstance(name, str):
            parts = PurePosixPath(name).parts
            entry["file_name"] = find_picture(images, ["/".join(parts[i:]) for i in range(min(3, len(parts)))])
    return labels


def faces(path: Path, images: Path, selection: str = "") -> Labels:
    """300W (68 points) and AFLW (19): their files name no points, so the library's definitions do."""
    labels = Labels.of(load_document(path))
    counts = {len(e["keypoints"]) // 3 for e in _dicts(labels.annotations) if isinstance(e.get("keypoints"), list)}
    for entry in _dicts(labels.categories):
        if entry.get("keypoints") == []:
            if len(counts) != 1 or not counts <= set(_FACES):
                raise InputError(
                    f"{path}: category {entry.get('id')} names no points, and {sorted(counts)} points are neither "
                    "300W's 68 nor AFLW's 19; name them under 'keypoints'."
                )
            known = library_category(_FACES[next(iter(counts))])
            entry["keypoints"] = [point.label or point.name for point in known.keypoints]
            entry["skeleton"] = [list(edge) for edge in known.skeleton]
    return labels


def deepfashion2(path: Path, images: Path, selection: str = "") -> Labels:
    """DeepFashion2 turned to COCO: 294 points, of which each kind of garment has its own few.

    Points get the library's names. selection: as `coco`.
    """
    labels = coco(path, images, selection)
    ranges: dict[int | None, tuple[int, int]] = {}
    for entry in _dicts(labels.categories):
        name = str(entry.get("name", "")).strip().replace(" ", "_")
        name = name.replace("sleeve_", "sleeved_").replace("_top", "_shirt")  # as the data set's own list has them
        if name not in GARMENTS:
            raise InputError(
                f"{path}: category {entry.get('id')} is called {entry.get('name')!r}, no garment of DeepFashion2; "
                f"known are {', '.join(GARMENTS)}."
            )
        known = library_category(name)
        entry["keypoints"] = [point.label or point.name for point in known.keypoints]
        entry["skeleton"] = [list(edge) for edge in known.skeleton]
        ranges[_id(entry, "id")] = GARMENTS[name]
    whole = max(end for _, end in GARMENTS.values())
    for entry in _dicts(labels.annotations):
        values, place = entry.get("keypoints"), ranges.get(_id(entry, "category_id"))
        if isinstance(values, list) and len(values) == 3 * whole and place is not None:
            entry["keypoints"] = values[3 * place[0] : 3 * place[1]]
    return labels


def animal_pose(path: Path, images: Path, selection: str = "") -> Labels:
    """AnimalPose, 20 points on cats, dogs, sheep, cows and horses: as COCO, or its authors' `keypoints.json`.

    There `images` maps ids to file names, boxes are left, top, right, bottom, and points are rows [x, y, v] with v 0
    or 1.
    """
    document = read_json(path)
    if not (isinstance(document, dict) and isinstance(document.get("images"), dict)):
        return coco(path, images, selection)
    labels = Labels()
    for key, name in document["images"].items():
        labels.images.append({"id": int(number(key, "images", str(path))), "file_name": name})
    for key in ("annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise InputError(f"{path} has no list under {key!r}; AnimalPose's file has both.")
    labels.categories = document["categories"]
    for index, entry in enumerate(_dicts(document["annotations"])):
        where = f"{path}: annotations[{index}]"
        box, rows = entry.get("bbox"), entry.get("keypoints")
        if not (isinstance(box, list) and len(box) == 4 and isinstance(rows, list)):
            raise InputError(f"{where} must have a 'bbox' of four numbers and a list under 'keypoints'.")
        left, top, right, bottom = (number(value, "bbox", where) for value in box)
        flat: list[Any] = []
        for row in rows:
            if not (isinstance(row, list) and len(row) == 3):
                raise InputError(f"{where}, key 'keypoints', must hold rows [x, y, v], but has {str(row)[:40]!r}.")
            flat += [row[0], row[1], 2 if row[2] else 0]
        more = {"id": entry.get("id", index + 1), "bbox": [left, top, right - left, bottom - top], "keypoints": flat}
        labels.annotations.append({**entry, **more})
    return select(labels, selection, path) if selection else labels


def select(
    labels: Labels, selection: str, path: Path, words_of: Callable[[dict[str, Any]], set[str]] | None = None
) -> Labels:
    """The categories that a selection names, and what is labelled with them. words_of: what a category answers to, in
    plain words; its name and its group unless said."""
    wanted = _words(selection)
    known: set[str] = set()
    ids: set[int | None] = set()
    categories = []
    for entry in _dicts(labels.categories):
        words = (words_of or own_words)(entry)
        known |= words
        if words & wanted:
            ids.add(_id(entry, "id"))
            categories.append(entry)
    if unknown := sorted(wanted - known):
        names = ", ".join(" ".join(name.split()) for name in sorted(known - {""})[:80])
        raise InputError(f"{path} has no category or group {unknown[0]!r}; known are {names}.")
    labels.categories = categories
    labels.annotations = [entry for entry in _dicts(labels.annotations) if _id(entry, "category_id") in ids]
    return labels


def own_words(entry: Mapping[str, Any]) -> set[str]:
    """A category's name and its group."""
    return {plain_text(str(entry.get(key, ""))) for key in ("name", "supercategory")}


def _words(selection: str) -> set[str]:
    return {plain_text(word) for word in selection.split(",") if word.strip()}


def _dicts(entries: Iterable[Any]) -> list[dict[str, Any]]:
    """The JSON objects of a list; what else is in it stays where it is, for `from_document` to refuse."""
    return [entry for entry in entries if isinstance(entry, dict)]


def _id(entry: dict[str, Any], key: str) -> int | None:
    return entry[key] if type(entry.get(key)) is int else None
