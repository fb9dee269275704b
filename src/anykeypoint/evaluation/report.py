"""The report of an evaluation as one page: what was measured, the figures beside the baselines, curves, pictures.

It shows what OUT/results.json holds and adds nothing to it but pictures of the worst and best pairs; the page has no
date, so the same results give the same bytes.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.contact import CONTEXT
from ..drawing.panels import paint_cross, paint_dot
from ..drawing.shapes import DARK, colours, stroke
from ..forms.dataset import LabelledObject
from ..geometry import square_crop
from ..images import crop_pixels, read_image
from ..io import write_bytes
from . import page
from .metrics import PAIR_KEYS
from .page import INKS, LINES, UNKNOWN, number, paragraph, section, table
from .semantics import NAMING_KEYS

PAGE = "report.html"
MOST = 12  # pictures of the worst and of the best
PER_CATEGORY = 2  # of these, so that one category does not fill the page
SIDE = 320  # pixels of a picture
NAMED = 20  # missing pictures named; the rest are counted
TITLES = {key: {"mpck": "mPCK"}.get(key, key.upper()) for key in PAIR_KEYS}
_MEANING = (
    "PCK@t is the share of labelled points found within t of the longer side of their object's box, in percent; mPCK "
    "is its mean over the five t, AUC the area under its curve up to 1. NME is the mean distance as a fraction of that "
    "side, EPE in pixels. A point without an answer is a miss in PCK, mPCK and AUC and left out of NME and EPE."
)


@dataclass(frozen=True)
class Shown:
    """A scored pair to be shown. xy: (K, 2) predicted image pixels, NaN where absent; score: its PCK@0.2 in [0, 1].

    note: further words for the caption, such as the ids of its examples.
    """

    item: LabelledObject
    xy: np.ndarray
    score: float
    note: str = ""


def choose(scores: Sequence[float], categories: Sequence[str], most: int = MOST) -> tuple[list[int], list[int]]:
    """Indices of the worst and of the best pairs, up to `most` of each, the worst and the best first.

    Each list has at most PER_CATEGORY of a category and no pair is in both: where there are few, the two take turns.
    Ties go by position; a score of NaN is in neither.
    """
    known = [i for i, score in enumerate(scores) if not math.isnan(score)]
    queues = [iter(sorted(known, key=lambda i: sign * scores[i])) for sign in (1, -1)]
    counts: list[Counter[str]] = [Counter(), Counter()]
    chosen: tuple[list[int], list[int]] = [], []
    taken: set[int] = set()
    for _ in range(most):
        for queue, count, picks in zip(queues, counts, chosen, strict=True):
            for i in queue:
                if i not in taken and count[categories[i]] < PER_CATEGORY:
                    count[categories[i]] += 1
                    taken.add(i)
                    picks.append(i)
                    break
    return chosen


def draw_pair(shown: Shown, side: int = SIDE) -> Image.Image:
    """The object in its surroundings, RGB `side` pixels a side: each labelled point a white cross, its answer a dot.

    A thin line joins the two; an answer outside the picture is a line that leaves it. Answers about points that have no
    label are not drawn, as nothing says whether they are right. Raises InputError for a picture that cannot be read.
    """
    item = shown.item
    crop = square_crop(item.box, CONTEXT)
    canvas = crop_pixels(read_image(item.image), crop, side)
    truth, answer = crop.normalise(item.points) * side, crop.normalise(shown.xy) * side
    labelled = np.isfinite(truth).all(axis=1)
    answered = labelled & np.isfinite(answer).all(axis=1)
    inks, size = colours(len(truth)), side / 320
    for i in np.flatnonzero(answered):
        stroke(canvas, truth[i], answer[i], 1.6 * size, DARK, DARK, 0.5)
        stroke(canvas, truth[i], answer[i], 0.9 * size, inks[i], inks[i], 1.0)
    for i in np.flatnonzero(labelled):
        paint_cross(canvas, truth[i], 0.75 * size)
    for i in np.flatnonzero(answered):
        paint_dot(canvas, answer[i], inks[i], 0.8 * size)
    return Image.fromarray(canvas)


def write_report(
    out: str | Path, results: Mapping[str, Any], best: Sequence[Shown] = (), worst: Sequence[Shown] = ()
) -> None:
    """Write OUT/report.html from what OUT/results.json holds; `best` and `worst` are shown as pictures.

    A part that is null is left out. Raises InputError where the page cannot be written or a picture not be read.
    """
    sections = (_summary, _measured, _figures, _curve, _splits, _categories, _calibration, _oks, _semantics, _left_out)
    title = f"Evaluation of {results['settings'].get('model') or 'a model'}"
    parts = [part(results) for part in sections]
    parts += [_pictures("Worst examples", worst), _pictures("Best examples", best)]
    write_bytes(Path(out) / PAGE, page.page(title, *(part for part in parts if part)))


# --- sections: each gives its markup, empty where there is nothing to say ------------------------------------------


def _summary(results: Mapping[str, Any]) -> str:
    counts = (
        f"{results['objects']} objects, {results['points']} labelled points, {results['categories']} categories, "
        f"{results['pairs']} questions."
    )
    if not results["category_mean"]:
        return paragraph(counts)
    found = f"{number(results['category_mean']['pck@0.2'])} % of the points lie within a fifth of the object's size"
    interval = results["interval"]
    if interval:
        low, high = interval["pck@0.2"]
        level = f"{100 * interval['level']:g} % interval {number(low)} to {number(high)}"
        found += f" ({level}, {interval['rounds']} rounds of resampling {interval['over']})"
    return paragraph(f"{found}; mean over categories. {counts}")


def _measured(results: Mapping[str, Any]) -> str:
    settings = dict(results["settings"])
    settings.pop("data", None)  # the same hash again
    rows = [("command", results["command"] or UNKNOWN), ("sha256 of the labels", results["data_sha256"] or UNKNOWN)]
    rows += [(name.replace("_", " "), setting(value)) for name, value in settings.items()]
    rows += [(f"version of {name}", version) for name, version in results["versions"].items()]
    return section("What was measured", table("Command and settings", ("", "value"), rows, words=True))


def _figures(results: Mapping[str, Any]) -> str:
    if not results["category_mean"]:
        return ""
    parts = [paragraph(_MEANING)]
    for key, caption in (("category_mean", "Mean over categories"), ("object_mean", "Mean over objects")):
        rows = [("model", results[key])]
        rows += [(name.replace("_", " "), entry[key]) for name, entry in results["baselines"].items()]
        cells = [(name, *figure_cells(figures)) for name, figures in rows]
        parts.append(table(f"{caption}; baselines on the same objects", ("", *TITLES.values()), cells, strong=0))
    return section("Figures", *parts)


def _curve(results: Mapping[str, Any]) -> str:
    curve = results["curve"]
    if not curve:
        return ""
    lines = {"model": curve["model"]}
    lines |= {name.replace("_", " "): values for name, values in curve["baselines"].items()}

    def paint(axes: Any) -> None:
        for i, (name, values) in enumerate(lines.items()):
            style = {"color": INKS[i % len(INKS)], "linestyle": LINES[i % len(LINES)], "linewidth": 1.6 if i else 2.6}
            axes.plot(curve["thresholds"], numbers(values), label=name, **style)
        axes.set(xlabel="threshold, fraction of the box's longer side", ylabel="PCK, percent", ylim=(0, 100))
        axes.set_xlim(curve["thresholds"][0], curve["thresholds"][-1])
        axes.legend()

    shown = f"PCK by threshold of {', '.join(lines)}"
    return section(
        "PCK by threshold", page.picture(page.chart(paint), "svg+xml", shown, f"{shown}; mean over categories.")
    )


def _splits(results: Mapping[str, Any]) -> str:
    words = {
        "groups": "Queries by whether their examples come from the same group (video, person or session)",
        "names": "Points by whether the model met their names in training",
    }
    parts = []
    for key, caption in words.items():
        split = results[key]
        if not split:
            continue
        counted = [name for name in ("pairs", "objects", "points") if any(name in entry for entry in split.values())]
        rows = [
            (
                name,
                *(UNKNOWN if entry.get(what) is None else entry[what] for what in counted),
                *figure_cells(entry["category_mean"]),
            )
            for name, entry in split.items()
        ]
        parts.append(table(f"{caption}; mean over categories", ("", *counted, *TITLES.values()), rows))
    return section("Splits", *parts) if parts else ""


def _categories(results: Mapping[str, Any]) -> str:
    if not results["per_category"]:
        return ""
    if results["semantics"]:
        keys, first = NAMING_KEYS, "normalised"
    else:
        keys, first = PAIR_KEYS, "pck@0.2"
    ranked = sorted(results["per_category"].items(), key=lambda row: (-order(row[1][first]), row[0]))
    rows = [(label, entry["objects"], entry["points"], *figure_cells(entry, keys)) for label, entry in ranked]
    titles = [TITLES.get(key, key) for key in keys]
    caption = f"Every category, the best {TITLES.get(first, first)} first"
    return section("Categories", table(caption, ("category", "objects", "points", *titles), rows))


def _calibration(results: Mapping[str, Any]) -> str:
    found = results["calibration"]
    if not found and not results["category_mean"]:
        return ""  # no points were asked for
    if not found:
        return section("Confidence", paragraph("The model says of no point how sure it is, so this was not measured."))
    edges, within = found["edges"], f"within {found['within']:g} of the box's longer side"

    def reliability(axes: Any) -> None:
        width = np.diff(edges)
        axes.bar(edges[:-1], numbers(found["correct"]), width, align="edge", color="#c9ddec", edgecolor="#ffffff")
        axes.plot([0, 1], [0, 1], color="#555555", linewidth=1, linestyle="--", label="as sure as right")
        axes.plot(numbers(found["confidence"]), numbers(found["correct"]), "o", color=INKS[0], label="points of a bin")
        axes.set(xlabel="confidence", ylabel=f"share {within}", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left")

    ece = f"Expected calibration error (ECE) {number(found['ece'], 3)}"
    words = f"How many points lie {within}, by how sure the model was. {ece}: 0 where confidences are right on average."
    pictures = [page.picture(page.chart(reliability, (5.2, 3.8)), "svg+xml", f"Reliability diagram. {ece}", words)]
    rows = [
        (f"{low:g} to {high:g}", count, number(sure, 3), number(right, 3))
        for low, high, count, sure, right in zip(
            edges[:-1], edges[1:], found["count"], found["confidence"], found["correct"], strict=True
        )
    ]
    if found["ause"] is not None:

        def sparsification(axes: Any) -> None:
            few = np.unique(np.linspace(0, len(found["left"]) - 1, 400).astype(int))  # more cannot be seen
            away = 1 - numbers(found["left"])[few]
            curves = [numbers(found[key])[few] for key in ("by_confidence", "oracle")]
            axes.fill_between(away, *curves, color="#e9eef3")
            for i, (values, name) in enumerate(zip(curves, ("least sure first", "worst first"), strict=True)):
                axes.plot(away, values, color=INKS[i], linestyle=LINES[i], label=name)
            axes.set(xlabel="share of the points taken away", ylabel="mean error of the rest", xlim=(0, 1))
            axes.set_ylim(bottom=0)
            axes.legend()

        ause = f"Area between the curves (AUSE) {number(found['ause'], 3)}"
        words = f"Mean error of what is left, relative to that of all, when points are taken away. {ause}: 0 is best."
        drawn = page.chart(sparsification, (5.2, 3.8))
        pictures.append(page.picture(drawn, "svg+xml", f"Sparsification curves. {ause}", words))
    header = ("confidence", "points", "mean confidence", "share right")
    return section("Confidence", page.figures(pictures, "charts"), table("Points by confidence", header, rows))


def _oks(results: Mapping[str, Any]) -> str:
    if not results["oks"]:
        return ""
    found = dict(results["oks"])
    sigmas = found.pop("sigmas")
    rows = [(name.replace("_", ", "), number(value)) for name, value in found.items()]
    return section("Object keypoint similarity", table(f"COCO's statistics, sigmas {sigmas}", ("", "percent"), rows))


def _semantics(results: Mapping[str, Any]) -> str:
    found = results["semantics"]
    if not found:
        return ""
    rows = [("model", found), *((name.replace("_", " "), entry) for name, entry in found["baselines"].items())]
    cells = [
        (name, *figure_cells(entry["category_mean"], NAMING_KEYS), *figure_cells(entry, NAMING_KEYS))
        for name, entry in rows
    ]
    words = (
        f"Percent of {found['points']} marked points whose name was given; {found['excluded']} points with names that "
        "fit several places were left out. Normalised: without case, punctuation and articles."
    )
    header = ("", *(f"{key}, {mean}" for mean in ("mean over categories", "over points") for key in NAMING_KEYS))
    return section("Names", paragraph(words), table("Names of points", header, cells, strong=0))


def _left_out(results: Mapping[str, Any]) -> str:
    reasons = [("questions without a point to score on", results["empty"])]
    reasons += [("points without an answer", results["unanswered"]), *results["skipped"].items()]
    rows = [(reason, count) for reason, count in reasons if count]
    missing = results["missing"]
    parts = [table("Objects by reason, points and questions", ("", "count"), rows)] if rows else []
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        parts.append(paragraph(f"{len(missing)} pictures are missing: {', '.join(missing[:NAMED])}{more}."))
    return section("What was left out", *(parts or [paragraph("Nothing was left out.")]))


def _pictures(title: str, pairs: Sequence[Shown]) -> str:
    if not pairs:
        return ""
    words = (
        "White crosses: the labelled points. Dots: the answers, a thin line to the point they are about. "
        f"At most {PER_CATEGORY} of a category."
    )
    drawn = []
    for shown in pairs:
        item = shown.item
        buffer = BytesIO()
        draw_pair(shown).save(buffer, "JPEG", quality=80)
        found = f"PCK@0.2 {number(100 * shown.score)}"
        alt = f"{item.category.name}, object {item.id}, with labelled points and answers; {found}"
        caption = f"{item.category.name}, object {item.id} in {item.image.name}: {found}"
        drawn.append(
            page.picture(buffer.getvalue(), "jpeg", alt, f"{caption}; {shown.note}" if shown.note else caption)
        )
    return section(title, paragraph(words), page.figures(drawn))


# --- cells -----------------------------------------------------------------------------------------------------------


def setting(value: Any) -> str:
    """A setting in words: plain text as it is, None as unset, the rest as JSON."""
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def figure_cells(figures: Mapping[str, float | None] | None, keys: Sequence[str] = PAIR_KEYS) -> list[str]:
    """The figures with the digits that each deserves; None for a part that nothing was asked of."""
    if figures is None:
        return [UNKNOWN] * len(keys)
    return [number(figures[key], 3 if key == "nme" else 1) for key in keys]


def numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def order(value: float | None) -> float:
    """A key to sort by, in which what is not known comes last of all."""
    return -math.inf if value is None or math.isnan(value) else value
