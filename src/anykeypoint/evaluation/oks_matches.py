"""What each detection of a picture hit by COCO's rules, kept so that AP and AR can be had of other draws of pictures.

Matching is slow and of each picture by itself; what follows is a ranking of all detections, which is quick. A picture
that is drawn w times is one whose detections and objects weigh w: copies of a detection have one score, so that they
stand side by side in the ranking, and the precision that COCO takes at a recall is that behind the last of them.

Letters: R draws, P pictures, D detections of a category, T thresholds of OKS.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .run_folder import SCHEMA_VERSION, check_entry, whole_lines

FILE = "oks_matches.jsonl"
AREAS = ("all", "medium", "large")  # sizes of objects, in COCO's order
HIT, MISS, IGNORED = "hm-"  # an ignored detection counts neither way, such as one of an object of another size
_THRESHOLDS = {"": slice(0, 10), "50": slice(0, 1), "75": slice(5, 6)}  # of OKS, 0.5, 0.55 ... 0.95
_RECALLS = np.linspace(0, 1, 101)  # at which COCO takes the precision
_CELLS = 4_000_000  # number of detections that are ranked at once, which bounds the memory

MatchLine = dict[str, Any]


def match_lines(evaluation: Any) -> list[MatchLine]:
    """A line for each picture and category with an object or a detection, in COCO's order.

    evaluation: pycocotools' COCOeval after its `evaluate`.
    A line has the picture's id under "image", the "category", the ids of its "objects", how many of them are "counted"
    by area, and for each of its "detections" the "score" and by area a letter for each threshold: HIT, MISS or IGNORED.
    """
    lines: dict[tuple[int, int], MatchLine] = {}
    sizes = {tuple(limits): area for limits, area in zip(evaluation.params.areaRng, AREAS, strict=True)}
    for found in evaluation.evalImgs:
        if found is None:
            continue
        image, category, area = int(found["image_id"]), int(found["category_id"]), sizes[tuple(found["aRng"])]
        if (image, category) not in lines:
            lines[image, category] = {
                "schema_version": SCHEMA_VERSION,
                "image": image,
                "category": category,
                "objects": sorted(found["gtIds"]),
                "counted": {},
                "detections": [{"score": score} for score in found["dtScores"]],
            }
        line = lines[image, category]
        line["counted"][area] = int((found["gtIgnore"] == 0).sum())
        letters = np.where(found["dtIgnore"], IGNORED, np.where(found["dtMatches"] > 0, HIT, MISS))
        for detection, of_it in zip(line["detections"], letters.T, strict=True):
            detection[area] = "".join(of_it)
    return list(lines.values())


def read_match_lines(path: Path) -> list[MatchLine]:
    """The lines of a file, none where there is no file. Raises InputError for a line of a newer schema."""
    lines = [json.loads(text) for text in whole_lines(path)]
    for number, line in enumerate(lines, 1):
        check_entry(line, f"{path}, line {number},")
    return lines


def drawn_pictures(count: int, rounds: int, seed: int = 0) -> np.ndarray:
    """How often each of `count` pictures is drawn in each round, with replacement: (rounds, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=rounds)


def drawn_statistic(lines: Sequence[MatchLine], name: str, pictures: Sequence[str], times: np.ndarray) -> np.ndarray:
    """One of COCO's statistics in percent for each draw: (R,), NaN where no object of that size was drawn.

    lines: of all categories. name: one of `oks.STATISTICS`.
    pictures: names of the P pictures that are drawn, among them those of all lines.
    times: (R, P) how often each picture is in each draw.
    """
    kind, rest = name[:2], name[2:]
    area, thresholds = (rest[1:], "") if rest.startswith("_") else ("all", rest)
    place = {picture: number for number, picture in enumerate(pictures)}
    by_category: dict[int, list[MatchLine]] = {}
    for line in lines:
        by_category.setdefault(line["category"], []).append(line)
    found = []
    for members in by_category.values():
        drawn = times[:, [place[line["image"]] for line in members]]
        objects = drawn @ np.array([line["counted"][area] for line in members])
        ranked = _Ranked.of(members, area, _THRESHOLDS[thresholds])
        step = max(1, _CELLS // max(1, len(ranked.line)))
        parts = [
            ranked.measure(kind, drawn[first : first + step], objects[first : first + step])
            for first in range(0, len(times), step)
        ]
        found.append(np.concatenate(parts))
    table = np.stack(found)  # of each category; those without an object that counts are no part of the mean
    known = np.isfinite(table)
    sums, counts = np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0)
    return 100 * np.divide(sums, counts, out=np.full(len(times), math.nan), where=counts > 0)


@dataclass(frozen=True)
class _Ranked:
    """The D detections of a category, the surest first; among equals the order of the lines counts, as COCO has it.

    line: (D,) number of the line that each is of. hits, misses: (T, D) bool; what is neither is ignored.
    """

    line: np.ndarray
    hits: np.ndarray
    misses: np.ndarray

    @classmethod
    def of(cls, lines: Sequence[MatchLine], area: str, thresholds: slice) -> "_Ranked":
        """The detections of a category's lines for objects of one size."""
        flat = [(number, one) for number, line in enumerate(lines) for one in line["detections"]]
        order = np.argsort([-one["score"] for _, one in flat], kind="stable")
        letters = np.array([list(flat[place][1][area][thresholds]) for place in order], dtype="U1")
        letters = letters.reshape(len(flat), thresholds.stop - thresholds.start).T
        return cls(np.array([flat[place][0] for place in order], dtype=int), letters == HIT, letters == MISS)

    def measure(self, kind: str, drawn: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """AP or AR in [0, 1] of each draw, the mean over the thresholds; NaN where no object counts.

        drawn: (R, L) how often each line is drawn. objects: (R,) number of objects that count.
        """
        weights = drawn[:, self.line].astype(np.float64)
        known = np.maximum(objects, 1)[:, None]
        of_thresholds = []
        for hits, misses in zip(self.hits, self.misses, strict=True):
            right = np.cumsum(weights * hits, axis=1)
            recall = right / known
            if kind == "AR":
                of_thresholds.append(recall[:, -1] if len(self.line) else np.zeros(len(drawn)))
                continue
            precision = right / (right + np.cumsum(weights * misses, axis=1) + np.spacing(1))
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or a higher one
            padded = np.pad(best, ((0, 0), (0, 1)))  # a recall that is not reached has precision 0
            places = np.array([np.searchsorted(row, _RECALLS, side="left") for row in recall])
            of_thresholds.append(np.take_along_axis(padded, places, axis=1).mean(axis=1))
        return np.where(objects > 0, np.mean(of_thresholds, axis=0), math.nan)
