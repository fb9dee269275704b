"""What a simulated labelling loop reports: results.json, and the same as a table for people in report.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import write_bytes
from .simulate import SimulationConfig, WayResult

RESULTS, PAGE = "results.json", "report.md"
SCHEMA_VERSION = 1
WAYS_TEXT = {
    "words": "the model by words alone",
    "example": "the model with the first picture as its example",
    "examples": "the model with the corrected pictures as its examples, those nearest to the picture",
    "adapted": "the same, and what was trained on the corrected pictures",
    "copying": "the points of the nearest corrected picture, at the same place of the box",
}


def results_of(
    kinds: Mapping[str, Mapping[str, WayResult]],
    counts: Mapping[str, int],
    config: SimulationConfig,
    settings: Mapping[str, Any],
    left_out: Mapping[str, int],
) -> dict[str, Any]:
    """The content of results.json.

    kinds: name of a kind of object -> name of a way -> what came of it.
    counts: name of a kind -> number of its objects.
    settings: of the command. left_out: reason -> number of objects.
    """
    names = list(next(iter(kinds.values()))) if kinds else []
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": {**settings, **{name: getattr(config, name) for name in config.__dataclass_fields__}},
        "kinds": {
            kind: {"objects": counts[kind], "ways": {name: one.to_dict() for name, one in ways.items()}}
            for kind, ways in kinds.items()
        },
        "mean": {name: _mean([ways[name] for ways in kinds.values()]) for name in names},
        "left_out": dict(left_out),
    }


def _mean(results: Sequence[WayResult]) -> dict[str, float | None]:
    """The means over kinds: of the share of points that stay untouched, of the share of all points that were corrected,
    and of the seconds."""
    known = [one.untouched for one in results if one.untouched is not None]
    return {
        "untouched": float(np.mean(known)) if known else None,
        "corrected": float(np.mean([one.corrections / max(one.points, 1) for one in results])),
        "seconds": float(np.mean([one.seconds for one in results])),
        "seconds_before": float(np.mean([one.seconds_before for one in results])),
    }


def markdown(results: Mapping[str, Any]) -> str:
    """The report as a page in Markdown."""
    settings, ways = results["settings"], list(results["mean"])
    within, corrected = settings["within"], settings["corrected"]
    lines = [
        "# A simulated labelling loop",
        "",
        f"Model {settings['model']}, {len(results['kinds'])} kinds of object. The first picture of a kind is labelled, "
        "the others are answered, the most unsure are corrected, and the rest is answered anew every "
        f"{settings['every']} pictures. A point further than {within:g} of the box's longer side from its label is one "
        "correction.",
        "",
        *(f"- **{way}**: {WAYS_TEXT[way]}" for way in ways),
        "",
        f"## Points that stay untouched after {corrected} corrected pictures, in % of those in the other pictures",
        "",
        *_table(results, ways, lambda entry: _percent(entry["untouched"]), lambda mean: _percent(mean["untouched"])),
        "",
        "## Corrections until all pictures are labelled, those of the first picture included",
        "",
        *_table(
            results,
            ways,
            lambda entry: str(entry["corrections"]),
            lambda mean: f"{_percent(mean['corrected'])} %",
            [("points", lambda entry: str(next(iter(entry["ways"].values()))["points"]))],
        ),
        "",
        f"## Machine time in seconds: until the rest is answered after {corrected} corrected pictures / in all",
        "",
        *_table(
            results,
            ways,
            lambda entry: f"{entry['seconds_before']:.0f} / {entry['seconds']:.0f}{_late(entry)}",
            lambda mean: f"{mean['seconds_before']:.0f} / {mean['seconds']:.0f}",
        ),
        "",
        f"The budget was {settings['budget']:g} seconds for each kind and way; * marks where it was used up, after "
        "which nothing was answered anew.",
    ]
    lines += ["", *(f"- left out: {count} ({reason})" for reason, count in results["left_out"].items())]
    return "\n".join(lines).rstrip() + "\n"


def _table(results: Mapping[str, Any], ways: Sequence[str], cell: Any, mean: Any, more: Any = ()) -> list[str]:
    """A table with a row for each kind and one for the mean.

    cell: of a way's entry. mean: of a way's mean.
    more: further columns, each with its title and what gives a cell of a kind's entry.
    """
    titles = ["kind", "objects", *(title for title, _ in more), *ways]
    rows = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    for kind, entry in results["kinds"].items():
        extra = [give(entry) for _, give in more]
        rows.append([kind.replace("|", "\\|"), str(entry["objects"]), *extra, *(cell(entry["ways"][w]) for w in ways)])
    rows.append(["mean", "", *[""] * len(more), *(mean(results["mean"][way]) for way in ways)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _late(entry: Mapping[str, Any]) -> str:
    return "" if entry["out_of_time"] is None else "*"


def write_results(out: Path, results: Mapping[str, Any]) -> None:
    """Write OUT/results.json and OUT/report.md."""
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / RESULTS, (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
    write_bytes(out / PAGE, markdown(results).encode())
