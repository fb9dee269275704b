"""Measure a model on a data set: answers to disk as they come, then figures with baselines on the same pairs.

The folder of a run: settings.json (whose it is), predictions.jsonl (one line per question, so that a killed run goes
on), results.json, per_category.csv, per_object.csv and report.html, written last.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..data.pairs import Pair
from ..decoding.strategies import Strategy
from ..errors import InputError
from ..forms.dataset import Dataset, without_descriptions
from ..instructions import check_describe
from . import metrics, naming, scoring
from .asking import Answered, Model, Progress, Question, Workers, ask, ask_all
from .protocols import Protocol, draw_pairs
from .records import claim, write, write_results
from .report import Shown, choose, write_report
from .scoring import Scored
from .selection import NOT_DRAWN, label_objects, select

PREDICTIONS, UNTRAINED, SETTINGS, RESULTS = "predictions.jsonl", "untrained.jsonl", "settings.json", "results.json"
PER_CATEGORY, PER_OBJECT = "per_category.csv", "per_object.csv"
HEADLINE = ("pck@0.05", "pck@0.1", "pck@0.2", "mpck")
SHOWN = 12  # pictures of the best pairs, and of the worst


@dataclass(frozen=True)
class Settings:
    """What decides the predictions. model: its name or path; data: sha256 of the data, where it comes from files."""

    model: str = ""
    data: str = ""
    protocol: str = "text"  # see protocols.Protocol
    episodes: int | None = None  # of each category, as the released sampler draws them; else every object is asked once
    official: bool = False  # score as MP-100's released code does
    oks: str | None = None  # the data set whose sigmas COCO's statistics are taken with
    strategy: str | None = None  # the model's own
    descriptions: str = "detailed"  # how they are given, one of instructions.DESCRIBE
    cumulative: bool = False  # in one conversation, each question with the answers before it in view
    image_size: int | None = None  # pixels that the model looks at; its own
    max_per_category: int | None = None
    seed: int = 0


def evaluate(
    model: Model,
    dataset: Dataset,
    out: str | Path,
    settings: Settings | None = None,
    *,
    baselines: Sequence[Any] = (),
    unmeasured: dict[str, str] | None = None,
    known_names: Collection[str] | None = None,
    untrained: bool = False,
    command: str = "",
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> dict | None:
    """Ask the model all questions of a protocol, write the run's folder `out` and return the results.

    Points are looked for in the object's labelled box. Figures are in percent (NME a fraction of the box's longer side,
    EPE in pixels): means over pairs and over categories, of the model and of every baseline on the same pairs.
    baselines: models with a `name` (see evaluation.baselines); unmeasured: those that could not be had, and why.
    known_names: names of keypoints in training; results by words are split by them. untrained: measure
    `model.untrained()` too. progress: wraps an iterable of known length and a title, to show a bar.
    workers: this process among several; all but the first return None.
    Raises InputError for settings or folders that cannot be used, and for a model whose answer does not fit.
    """
    out, settings, workers = Path(out), settings or Settings(), workers or Workers()
    protocol = _check(model, settings, untrained)
    pairs, skipped = draw_pairs(dataset, protocol, settings.episodes, settings.seed)
    chosen = select(dataset.objects, settings.max_per_category, settings.seed)
    if len(chosen) < len(dataset.objects):
        if settings.episodes is not None:
            raise InputError("Episodes take all objects of a category; leave out the maximum per category.")
        kept = {item.id for item in chosen}
        pairs = [pair for pair in pairs if dataset.objects[pair.query].id in kept]
        skipped[NOT_DRAWN] = len(dataset.objects) - len(chosen)
    if settings.oks is not None:
        scoring.check_oks(settings.oks, [dataset.objects[pair.query] for pair in pairs])
    if not pairs:
        raise InputError("There is no object to measure on; check the data file and its categories.")
    asked = {key: _asked(dataset.categories[key], settings) for key in {item.category_id for item in dataset.objects}}
    questions = [_question(dataset, pair, protocol, asked) for pair in pairs]
    unique = list({question.key: question for question in questions}.values())
    objects = [dataset.objects[row] for row in sorted({row for pair in pairs for row in (pair.query, *pair.examples)})]
    patterns = [f"{Path(name).stem}{end}" for name in (PREDICTIONS, UNTRAINED) for end in (".jsonl", ".*.jsonl")]
    claim(out, settings, objects, asked, [*patterns, RESULTS], SETTINGS)

    def answers(of: Any, name: str, title: str) -> list[Answered]:
        return spread(ask_all(of, unique, protocol, out / name, _options(settings), workers, bar, title))

    def spread(found: Sequence[Answered]) -> list[Answered]:
        """The answers to the unique questions -> one for every pair."""
        by_key = {question.key: answer for question, answer in zip(unique, found, strict=True)}
        return [by_key[question.key] for question in questions]

    bar = progress or (lambda items, title: items)
    mine = answers(model, PREDICTIONS, "model")
    theirs = {"untrained": answers(model.untrained(), UNTRAINED, "untrained model")} if untrained else {}
    if workers.rank:
        return None
    for baseline in baselines:
        title = baseline.name.replace("_", " ")
        theirs[baseline.name] = spread([ask(baseline, question, protocol, {}) for question in bar(unique, title)])
    labels = label_objects(dataset, dataset.objects)
    measure = naming.figures if protocol.names else _figures
    figures, rows, shown = measure(dataset, pairs, labels, mine, theirs, settings, known_names)
    results = {
        **figures,
        "baselines_unmeasured": dict(unmeasured or {}),
        "objects": len({pair.query for pair in pairs}),
        "pairs": len(pairs),
        "skipped": {**dataset.skipped, **skipped},
        "missing": list(dataset.missing),
    }
    results = write_results(out / RESULTS, results, settings, command)
    write(out / PER_CATEGORY, _table(["category", *next(iter(results["per_category"].values()))], _rows(results)))
    write(out / PER_OBJECT, _table(list(rows[0]), [list(row.values()) for row in rows]))
    write_report(out, results, *shown)
    return results


def _check(model: Any, settings: Settings, untrained: bool) -> Protocol:
    protocol = Protocol.parse(settings.protocol)
    check_describe(settings.descriptions)
    if settings.strategy is not None:
        Strategy.parse(settings.strategy)
    prompts = getattr(model, "prompts", ("text",))
    if protocol.prompt not in prompts:
        raise InputError(
            f"The protocol {settings.protocol!r} needs a model that answers to {protocol.prompt!r}, but this one "
            f"answers to {', '.join(prompts)}."
        )
    if untrained and not hasattr(model, "untrained"):
        raise InputError("This model cannot be measured untrained, as it has no untrained(); leave the option out.")
    if settings.oks is not None and (protocol.drawn or protocol.names):
        raise InputError(f"OKS is for the protocol text, but got {settings.protocol!r}; leave it out.")
    return protocol


def _asked(category: Category, settings: Settings) -> Category:
    """The category as it is asked; InputError where points cannot be told apart without their descriptions."""
    return without_descriptions(category) if settings.descriptions == "removed" else category


def _question(dataset: Dataset, pair: Pair, protocol: Protocol, asked: dict[int, Category]) -> Question:
    item = dataset.objects[pair.query]
    shown = tuple(dataset.objects[row] for row in pair.examples) if protocol.shown else ()
    return Question(item, shown, asked[item.category_id])


def _options(settings: Settings) -> dict[str, Any]:
    """What `predict` is called with besides. An option that is off is not named: few models have all of them."""
    options: dict[str, Any] = {}
    if settings.strategy is not None:
        options["strategy"] = settings.strategy
        if Strategy.parse(settings.strategy).draws:
            options["seed"] = settings.seed
    if settings.descriptions != "detailed":
        options["describe"] = settings.descriptions
    if settings.cumulative:
        options["cumulative"] = True
    return options


# --- points --------------------------------------------------------------------------------------------------------


def _figures(
    dataset: Dataset,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    mine: Sequence[Answered],
    theirs: dict[str, list[Answered]],
    settings: Settings,
    known_names: Collection[str] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]], tuple[list[Shown], list[Shown]]]:
    """The results, a row for each pair, and the best and worst pictures."""
    objects = dataset.objects
    scored = Scored.of(dataset, pairs, labels, settings.official)
    points, sure = [answer.xy for answer in mine], [answer.confidence for answer in mine]
    scores = scored.score(points)
    overall = scoring.means(scores, scored.labels)
    if overall is None:
        raise InputError("No object has a labelled point to measure on; check the data file.")
    baselines, curves = {}, {}
    for name, answers in theirs.items():
        of = [answer.xy for answer in answers]
        found = scoring.means(scored.score(of), scored.labels)
        baselines[name] = {key: found[key] for key in ("category_mean", "object_mean")}
        curves[name] = scoring.curve(scored, of)
    protocol = Protocol.parse(settings.protocol)
    queries = [objects[pair.query] for pair in pairs]
    names = None
    if known_names is not None and not protocol.shown:
        names = scoring.split(scores, scored.labels, scoring.name_parts(queries, known_names))
    figures = {
        **overall,
        "interval": scoring.interval(scores, scored.labels, scored.queries, settings.seed),
        "baselines": baselines,
        "curve": {"thresholds": scoring.CURVE, "model": scoring.curve(scored, points), "baselines": curves},
        "per_category": scoring.per_category(scores, scored.labels, scored.queries),
        "groups": scoring.split(scores, scored.labels, scored.groups) if protocol.drawn else None,
        "names": names,
        "calibration": scoring.calibration(scored, points, sure),
        "oks": None if settings.oks is None else scoring.oks(settings.oks, queries, points, sure),
        "semantics": None,
    }
    rows = []
    for number, pair in enumerate(pairs):
        known = sure[number][np.isfinite(sure[number])]
        pck = scores.pck[number].tolist()
        rows.append(
            {
                "pair": number,
                "id": queries[number].id,
                "examples": " ".join(str(objects[row].id) for row in pair.examples),
                "category": scored.labels[number],
                "group": scored.groups[number] if pair.examples else "",
                "image": queries[number].image.name,
                "points": int(scores.points[number]),
                "unanswered": int(scores.unanswered[number]),
                **dict(zip(metrics.KEYS, [*pck, float(np.mean(pck))], strict=True)),
                "auc": float(scores.auc[number]),
                "nme": float(scores.nme[number]),
                "epe": float(scores.epe[number]),
                "confidence": float(known.mean()) if len(known) else np.nan,
            }
        )
    worst, best = choose([row["pck@0.2"] for row in rows], scored.labels, SHOWN)

    def shown(places: Sequence[int]) -> list[Shown]:
        found = []
        for i in places:
            used = scored.mask[i, : len(points[i])]
            item = replace(queries[i], points=np.where(used[:, None], queries[i].points, np.nan))
            note = f"examples {rows[i]['examples']}" if rows[i]["examples"] else ""
            found.append(Shown(item, points[i], rows[i]["pck@0.2"], note))
        return found

    return figures, rows, (shown(best), shown(worst))


# --- files ---------------------------------------------------------------------------------------------------------


def _rows(results: dict[str, Any]) -> list[list[Any]]:
    return [[label, *figures.values()] for label, figures in results["per_category"].items()]


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV; an empty cell where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if value is None or value != value else value for value in row])
    return text.getvalue()
