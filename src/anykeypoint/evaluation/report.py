"""The report of an evaluation as one HTML page: config, metrics beside those of the baselines, curves, pictures.

It shows the content of OUT/results.json and adds only pictures of the worst and best pairs. The page has no date, so
that the same results give the same bytes.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import first_few
from ..io import write_bytes
from . import page
from .metrics import PAIR_KEYS
from .page import INKS, LINES, UNKNOWN, number, paragraph, section, table
from .pair_pictures import PER_CATEGORY, PredictedPair, draw_pair
from .run_folder import Progress, no_progress
from .scoring import describe_areas
from .semantics import NAMING_KEYS

PAGE = "report.html"
NAMED = 20  # number of missing pictures that are named; the others are only counted
TITLES = {key: {"mpck": "mPCK"}.get(key, key.upper()) for key in PAIR_KEYS}
_MEANING = (
    "PCK@t is the share of labelled points found within t of the longer side of their object's box, in percent; mPCK "
    "is its mean over the five t, AUC the area under its curve up to 1. NME is the mean distance as a fraction of that "
    "side, EPE in pixels. A point without an answer is a miss in PCK, mPCK and AUC and left out of NME and EPE."
)


def write_report(
    out: str | Path,
    results: Mapping[str, Any],
    best: Sequence[PredictedPair] = (),
    worst: Sequence[PredictedPair] = (),
    progress: Progress = no_progress,
) -> None:
    """Write OUT/report.html.

    out: folder of the run.
    results: content of OUT/results.json. A part that is None is left out of the page.
    best, worst: pairs that are drawn as pictures.
    progress: shows a bar while the pictures are drawn.
    Raises InputError where the page cannot be written or a picture cannot be read.
    """
    sections = (
        _summary,
        _config,
        _metrics,
        _curve,
        _splits,
        _categories,
        _left_right,
        _calibration,
        _presence,
        _oks,
        _semantics,
        _left_out,
    )
    title = f"Evaluation of {results['settings'].get('model') or 'a model'}"
    parts = [part(results) for part in sections]
    pictures = [_picture(pair) for pair in progress([*worst, *best], "pictures of the report")]
    parts.append(_pictures("Worst examples", pictures[: len(worst)]))
    parts.append(_pictures("Best examples", pictures[len(worst) :]))
    write_bytes(Path(out) / PAGE, page.page(title, *(part for part in parts if part)))


# --- sections: each gives its HTML, empty where there is nothing to show ---------------------------------------------


def _summary(results: Mapping[str, Any]) -> str:
    counts = (
        f"{results['objects']} objects, {results['points']} labelled points, {results['categories']} categories, "
        f"{results['pairs']} questions."
    )
    if not results["category_mean"]:
        return paragraph(counts)
    headline = f"{number(results['category_mean']['pck@0.2'])} % of the points lie within a fifth of the object's size"
    interval = results["interval"]
    if interval:
        low, high = interval["pck@0.2"]
        level = f"{100 * interval['level']:g} % interval {number(low)} to {number(high)}"
        headline += f" ({level}, {interval['rounds']} rounds of resampling {interval['over']})"
    over_objects = number(results["object_mean"]["pck@0.2"])
    return paragraph(f"{headline}; mean over categories. The mean over objects is {over_objects} %. {counts}")


def _config(results: Mapping[str, Any]) -> str:
    settings = dict(results["settings"])
    settings.pop("data", None)  # the hash that stands under "sha256 of the labels"
    rows = [("command", results["command"] or UNKNOWN), ("sha256 of the labels", results["data_sha256"] or UNKNOWN)]
    rows += [(name.replace("_", " "), setting_text(value)) for name, value in settings.items()]
    rows.append(("words of the keypoints", _whose(results.get("words"))))
    rows += [(f"the model's {name}", value) for name, value in results.get("variant", {}).items()]
    rows += [(f"version of {name}", version) for name, version in results["versions"].items()]
    return section("What was measured", table("Command and settings", ("", "value"), rows, words=True))


def _whose(words: Mapping[str, str] | None) -> str:
    """Whose words were read, with the number of categories of each: "file (19 categories), library (1)"."""
    if words is None:
        return "none were read"
    counts = Counter(words.values()).most_common()
    return ", ".join(f"{whose} ({count}{' categories' if not i else ''})" for i, (whose, count) in enumerate(counts))


def _metrics(results: Mapping[str, Any]) -> str:
    if not results["category_mean"]:
        return ""
    parts = [paragraph(_MEANING)]
    for key, caption in (("category_mean", "Mean over categories"), ("object_mean", "Mean over objects")):
        rows = [("model", results[key])]
        rows += [(name.replace("_", " "), entry[key]) for name, entry in results["baselines"].items()]
        cells = [(name, *metric_cells(values)) for name, values in rows]
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

    alt = f"PCK by threshold of {', '.join(lines)}"
    return section("PCK by threshold", page.picture(page.chart(paint), "svg+xml", alt, f"{alt}; mean over categories."))


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
                *metric_cells(entry["category_mean"]),
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
    ranked = sorted(results["per_category"].items(), key=lambda row: (-sort_key(row[1][first]), row[0]))
    rows = [(label, entry["objects"], entry["points"], *metric_cells(entry, keys)) for label, entry in ranked]
    titles = [TITLES.get(key, key) for key in keys]
    caption = f"Every category, the best {TITLES.get(first, first)} first"
    return section("Categories", table(caption, ("category", "objects", "points", *titles), rows))


def _left_right(results: Mapping[str, Any]) -> str:
    found = results.get("left_right")  # absent in results of earlier versions
    if not found:
        return ""
    exchanged, agreement = found["exchanged"], found["agreement"]
    words = (
        "A pair of left and right is exchanged where each of its answers is nearer to the label of the other. "
        "Pairs with both points labelled and answered are counted."
    )
    header = ["category", "exchanged, percent", "pairs"]
    columns = [exchanged]
    if agreement is not None:
        words += (
            " Agreement: the share of points whose answer lies within "
            f"{found['within']:g} of the box's longer side of that for the mirrored picture."
        )
        header += ["agreement, percent", "points"]
        columns.append(agreement)

    def cells(name: str, of: str, count: str, entries: Sequence[Mapping[str, Any]]) -> tuple:
        numbers = ((number(entry.get(of)), entry.get(count, 0)) for entry in entries)
        return (name, *(cell for pair in numbers for cell in pair))

    rows = [cells("mean over categories", "category_mean", "count", columns), cells("mean", "mean", "count", columns)]
    for label in sorted({label for column in columns for label in column["per_category"]}):
        rows.append(cells(label, "percent", "count", [column["per_category"].get(label, {}) for column in columns]))
    return section("Left and right", paragraph(words), table("Pairs of left and right", header, rows, strong=0))


def _calibration(results: Mapping[str, Any]) -> str:
    calibration = results["calibration"]
    if not calibration and not results["category_mean"]:
        return ""  # the protocol predicts no points
    if not calibration:
        return section("Confidence", paragraph("The model says of no point how sure it is, so this was not measured."))
    edges = calibration["edges"]
    pictures = [_reliability_picture(calibration)]
    if calibration["ause"] is not None:
        pictures.append(_sparsification_picture(calibration))
    rows = [
        (f"{low:g} to {high:g}", count, number(confidence, 3), number(correct, 3))
        for low, high, count, confidence, correct in zip(
            edges[:-1], edges[1:], calibration["count"], calibration["confidence"], calibration["correct"], strict=True
        )
    ]
    header = ("confidence", "points", "mean confidence", "share right")
    return section("Confidence", page.picture_grid(pictures, "charts"), table("Points by confidence", header, rows))


def _reliability_picture(calibration: Mapping[str, Any]) -> str:
    edges, within = calibration["edges"], f"within {calibration['within']:g} of the box's longer side"

    def paint(axes: Any) -> None:
        width = np.diff(edges)
        axes.bar(edges[:-1], numbers(calibration["correct"]), width, align="edge", color="#c9ddec", edgecolor="#ffffff")
        axes.plot([0, 1], [0, 1], color="#555555", linewidth=1, linestyle="--", label="as sure as right")
        axes.plot(
            numbers(calibration["confidence"]),
            numbers(calibration["correct"]),
            "o",
            color=INKS[0],
            label="points of a bin",
        )
        axes.set(xlabel="confidence", ylabel=f"share {within}", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left")

    ece = f"Expected calibration error (ECE) {number(calibration['ece'], 3)}"
    words = f"How many points lie {within}, by how sure the model was. {ece}: 0 where confidences are right on average."
    return page.picture(page.chart(paint, (5.2, 3.8)), "svg+xml", f"Reliability diagram. {ece}", words)


def _sparsification_picture(calibration: Mapping[str, Any]) -> str:
    def paint(axes: Any) -> None:
        few = np.unique(
            np.linspace(0, len(calibration["left"]) - 1, 400).astype(int)
        )  # a chart cannot show more points
        away = 1 - numbers(calibration["left"])[few]
        curves = [numbers(calibration[key])[few] for key in ("by_confidence", "oracle")]
        axes.fill_between(away, *curves, color="#e9eef3")
        for i, (values, name) in enumerate(zip(curves, ("least sure first", "worst first"), strict=True)):
            axes.plot(away, values, color=INKS[i], linestyle=LINES[i], label=name)
        axes.set(xlabel="share of the points taken away", ylabel="mean error of the rest", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        axes.legend()

    ause = f"Area between the curves (AUSE) {number(calibration['ause'], 3)}"
    words = f"Mean error of what is left, relative to that of all, when points are taken away. {ause}: 0 is best."
    return page.picture(page.chart(paint, (5.2, 3.8)), "svg+xml", f"Sparsification curves. {ause}", words)


def _presence(results: Mapping[str, Any]) -> str:
    found = results.get("presence")  # absent in results of earlier versions
    if not found:
        return ""
    words = (
        f"A point is called present from a presence of {found['from']:g} on. AUROC is the chance that a visible point "
        "has a higher presence than one of the row. Points without a label count as absent."
    )
    titles = {"visible": "visible", "hidden": "labelled as hidden", "absent": "absent, without a label"}
    titles["foreign"] = f"of another kind of object, asked of {found['foreign_objects']} objects"
    rows = [
        (title, found[part]["points"], number(found[part]["present"]), number(found.get(f"auroc_{part}"), 3))
        for part, title in titles.items()
    ]
    unseen = found["hidden"]["points"] + found["absent"]["points"]
    rows.append(("hidden and absent together", unseen, UNKNOWN, number(found["auroc"], 3)))
    mean = (
        f"Mean AUROC over the {found['categories']} categories that have hidden or absent points: "
        f"{number(found['category_mean'], 3)}."
    )
    header = ("points", "number", "called present, percent", "AUROC")
    return section("Presence", paragraph(words), table("Points by their labels", header, rows), paragraph(mean))


def _oks(results: Mapping[str, Any]) -> str:
    if not results["oks"]:
        return ""
    statistics = dict(results["oks"])
    sigmas = statistics.pop("sigmas")
    statistics.pop("values", None)  # absent in results of earlier versions, like the areas
    areas = statistics.pop("areas", None)
    whose = "" if areas is None else f"; {describe_areas(areas)}"
    rows = [(name.replace("_", ", "), number(value)) for name, value in statistics.items()]
    caption = f"COCO's statistics, sigmas {sigmas}{whose}"
    return section("Object keypoint similarity", table(caption, ("", "percent"), rows))


def _semantics(results: Mapping[str, Any]) -> str:
    semantics = results["semantics"]
    if not semantics:
        return ""
    rows = [("model", semantics), *((name.replace("_", " "), entry) for name, entry in semantics["baselines"].items())]
    cells = [
        (name, *metric_cells(entry["category_mean"], NAMING_KEYS), *metric_cells(entry, NAMING_KEYS))
        for name, entry in rows
    ]
    words = (
        f"Percent of {semantics['points']} marked points whose name was given; {semantics['excluded']} points with "
        "names that fit several places were left out. Normalised: without case, punctuation and articles."
    )
    header = ("", *(f"{key}, {mean}" for mean in ("mean over categories", "over points") for key in NAMING_KEYS))
    return section("Names", paragraph(words), table("Names of points", header, cells, strong=0))


def _left_out(results: Mapping[str, Any]) -> str:
    reasons = [("questions without a point to score on", results["empty"])]
    reasons += [("points without an answer", results["unanswered"]), *results["skipped"].items()]
    rows = [(reason, count) for reason, count in reasons if count]
    missing, faults = results["missing"], results.get("faults", ())
    parts = [table("Objects by reason, points and questions", ("", "count"), rows)] if rows else []
    if missing:
        parts.append(paragraph(f"{len(missing)} pictures are missing: {first_few(missing, NAMED)}."))
    if faults:
        more = f" (and {len(faults) - NAMED} more)" if len(faults) > NAMED else ""
        parts.append(paragraph(f"{len(faults)} faults in the labels: {' '.join(faults[:NAMED])}{more}"))
    return section("What was left out", *(parts or [paragraph("Nothing was left out.")]))


def _pictures(title: str, pictures: Sequence[str]) -> str:
    if not pictures:
        return ""
    words = (
        "White crosses: the labelled points. Dots: the answers, a thin line to the point they are about. "
        f"At most {PER_CATEGORY} of a category."
    )
    return section(title, paragraph(words), page.picture_grid(pictures))


def _picture(pair: PredictedPair) -> str:
    """The picture of one pair with its caption, as HTML."""
    item = pair.item
    buffer = BytesIO()
    draw_pair(pair).save(buffer, "JPEG", quality=80)
    score = f"PCK@0.2 {number(100 * pair.score)}"
    alt = f"{item.category.name}, object {item.id}, with labelled points and answers; {score}"
    caption = f"{item.category.name}, object {item.id} in {item.image.name}: {score}"
    return page.picture(buffer.getvalue(), "jpeg", alt, f"{caption}; {pair.note}" if pair.note else caption)


# --- cells of tables -------------------------------------------------------------------------------------------------


def setting_text(value: Any) -> str:
    """A value of the config as text: strings as they are, None as "not set", the rest as JSON."""
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def metric_cells(values: Mapping[str, float | None] | None, keys: Sequence[str] = PAIR_KEYS) -> list[str]:
    """The metrics as text, with three digits for NME and one for the others.

    values: metric -> its value; None for a part without any pair.
    """
    if values is None:
        return [UNKNOWN] * len(keys)
    return [number(values[key], 3 if key == "nme" else 1) for key in keys]


def numbers(values: Sequence[float | None]) -> np.ndarray:
    """The values as an array, with NaN for None."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def sort_key(value: float | None) -> float:
    """A key for sorting from high to low in which unknown values come last."""
    return -math.inf if value is None or math.isnan(value) else value
