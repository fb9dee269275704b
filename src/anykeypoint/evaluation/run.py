"""Measure a model on a data set: predictions to disk as they come, then results with baselines on the same pairs.

The folder of a run holds settings.json (the config, which says whose run it is), predictions.jsonl (one line for each
query, so that a killed run goes on), results.json, per_category.csv, per_object.csv, oks_matches.jsonl where OKS is
measured, and report.html, written last.
"""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..configs.checks import check_choice, check_whole
from ..data.pairs import Pair
from ..decoding.strategies import Strategy
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject, without_descriptions
from ..forms.phrases import whose_words
from ..instructions import check_describe
from . import scoring
from .asked_names import OWN, asked_in, check_names, renamed
from .attention import check_attention, measure_attention
from .changed_boxes import changed_box, check_boxes
from .evaluation_config import EvaluationConfig
from .left_right import MirroredPictures
from .metrics import KEYS
from .naming import measure_names
from .oks_matches import FILE as MATCHES
from .other_kinds import foreign_queries
from .points import check_points, measure_points
from .prediction_files import Workers, predict_all
from .presence_figures import measure_presence
from .protocols import EvaluationProtocol, draw_pairs
from .queries import EvaluatedModel, Prediction, Query, predict_query
from .report import PAGE, write_report
from .run_folder import Progress, claim, no_progress, write_results, write_text
from .selection import NOT_DRAWN, alone_in_picture, category_labels, select, with_box

PREDICTIONS, UNTRAINED, MIRRORED = "predictions.jsonl", "untrained.jsonl", "mirrored.jsonl"
OTHER_KINDS = "other_kinds.jsonl"
SETTINGS, RESULTS = "settings.json", "results.json"
PER_CATEGORY, PER_OBJECT = "per_category.csv", "per_object.csv"
HEADLINE = KEYS  # metrics that the command line prints: PCK at every threshold of the papers, and its mean


def evaluate(
    model: EvaluatedModel,
    dataset: Dataset,
    out: str | Path,
    config: EvaluationConfig | None = None,
    *,
    baselines: Sequence[Any] = (),
    unmeasured: dict[str, str] | None = None,
    known_names: Collection[str] | None = None,
    untrained: bool = False,
    command: str = "",
    progress: Progress | None = None,
    workers: Workers | None = None,
    weights: str = "",
) -> dict | None:
    """Predict all queries of a protocol, write the run's folder `out` and return the results.

    model: predicts in the labelled box of each object.
    dataset: the labelled objects.
    config: the protocol and all else that decides the results; its defaults where None.
    baselines: models with a `name`, see `baselines.registry`.
    unmeasured: name of each baseline that could not be had -> the reason.
    known_names: keypoint names of the training data; results by text are split by them.
    untrained: also measure `model.untrained()`.
    command: the command line, for the report.
    progress: shows a bar for every step that may take long.
    workers: this process among several; all but the first return None.
    weights: digest of the model's files; a folder of predictions by others is refused. "" where it is not known.
    Metrics are in percent, NME as a fraction of the box's longer side, EPE in pixels: means over pairs and over
    categories, of the model and of every baseline on the same pairs.
    Raises InputError for a config or folder that cannot be used, and for predictions whose shape does not fit.
    """
    out, config, workers = Path(out), config or EvaluationConfig(), workers or Workers()
    progress = progress or no_progress
    protocol = _check(model, config, untrained)
    dataset, pairs, skipped = chosen_pairs(dataset, config, protocol)
    queries = queries_of(dataset, pairs, config, protocol)
    distinct = list({query.key: query for query in queries}.values())
    _claim(out, dataset, pairs, config, weights)

    def per_pair(of_distinct: Sequence[Prediction]) -> list[Prediction]:
        by_key = {query.key: prediction for query, prediction in zip(distinct, of_distinct, strict=True)}
        return [by_key[query.key] for query in queries]

    def answers(by: EvaluatedModel, asked: Sequence[Query], file: str, title: str) -> list[Prediction]:
        return predict_all(by, asked, protocol, out / file, _predict_options(config), workers, progress, title)

    def predicted(by: EvaluatedModel, file: str, title: str) -> list[Prediction]:
        return per_pair(answers(by, distinct, file, title))

    predictions = predicted(model, PREDICTIONS, "model")
    others_asked = _foreign(dataset, queries, predictions, config, protocol)
    foreign = answers(model, others_asked, OTHER_KINDS, "other kinds") if others_asked else []
    mirrored = predicted(MirroredPictures(model), MIRRORED, "mirrored pictures") if config.sides else None
    others = {"untrained": predicted(model.untrained(), UNTRAINED, "untrained model")} if untrained else {}
    if workers.rank:
        return None
    for baseline in baselines:
        others[baseline.name] = per_pair(_predict_baseline(baseline, distinct, protocol, progress))
    labels = category_labels(dataset, dataset.objects)
    measure = measure_names if protocol.identifies else partial(measure_points, mirrored=mirrored)
    measured = measure(dataset, pairs, labels, predictions, others, config, known_names, progress)
    counts = {
        "baselines_unmeasured": dict(unmeasured or {}),
        "objects": len({pair.query for pair in pairs}),
        "pairs": len(pairs),
        "skipped": {**dataset.skipped, **skipped},
        "missing": list(dataset.missing),
        "faults": list(dataset.faults),
        "words": _words(dataset, pairs, labels, config, protocol),
        "renamed": _renamed(dataset, config),
        "variant": dict(getattr(model, "variant", {})),
        "attention": measure_attention(
            *(model, distinct, dataset.objects, labels, protocol, _predict_options(config), progress)
        )
        if config.attention
        else None,
        "presence": measure_presence(
            [query.item for query in queries],
            [labels[pair.query] for pair in pairs],
            predictions,
            list(zip(others_asked, foreign, strict=True)),
        ),
    }
    return _write(out, measured, counts, config, command, progress)


def _foreign(
    dataset: Dataset,
    queries: Sequence[Query],
    predictions: Sequence[Prediction],
    config: EvaluationConfig,
    protocol: EvaluationProtocol,
) -> list[Query]:
    """The questions about other kinds of objects; none for a model that says no presence."""
    if not config.foreign or all(prediction.presence is None for prediction in predictions):
        return []
    return foreign_queries(queries, _categories(dataset, config), protocol, config.foreign, config.seed)


def _predict_baseline(
    baseline: Any, queries: Sequence[Query], protocol: EvaluationProtocol, progress: Progress
) -> list[Prediction]:
    """The predictions of a baseline, in the order of the queries.

    A baseline answers point by point, and some know a category by its order of points: it is asked for all of them,
    whatever the examples hide.
    """
    whole = [replace(query, hidden_by=()) for query in queries]
    title = baseline.name.replace("_", " ")
    return [predict_query(baseline, query, protocol, {}) for query in progress(whole, title)]


def describe_output(out: str | Path) -> str:
    """One sentence that says what an evaluation wrote where."""
    others = f"{RESULTS}, {PER_CATEGORY}, {PER_OBJECT} and {PREDICTIONS}"
    return f"Written to {out}: {PAGE} (the whole report, for a browser), {others}."


# --- before the model predicts ---------------------------------------------------------------------------------------


def _check(model: EvaluatedModel, config: EvaluationConfig, untrained: bool) -> EvaluationProtocol:
    """The protocol of a config; InputError for a config that the model or the protocol does not allow."""
    protocol = EvaluationProtocol.parse(config.protocol)
    check_describe(config.descriptions)
    check_whole(config.foreign, "The number of objects that are asked about another kind", 0)
    check_names(config, protocol)
    check_boxes(config)
    check_points(config, protocol)
    if config.attention:
        check_attention(model, protocol)
    if config.strategy is not None:
        Strategy.parse(config.strategy)
    prompts = getattr(model, "prompts", ("text",))
    if protocol.prompt not in prompts:
        raise InputError(
            f"The protocol {config.protocol!r} needs a model that answers to {protocol.prompt!r}, but this one "
            f"answers to {', '.join(prompts)}."
        )
    if protocol.identifies and not protocol.lists_names and not getattr(model, "own_words", True):
        raise InputError(
            f"The protocol {config.protocol!r} needs a model with words of its own for a point, but this one chooses "
            "among a category's names; take identify-names."
        )
    if untrained and not hasattr(model, "untrained"):
        raise InputError("A model of this kind cannot be measured untrained; leave the option out.")
    if protocol.identifies and (options := _predict_options(config)):
        option = next(iter(options)).replace("describe", "descriptions")
        raise InputError(f"The protocol {config.protocol!r} names places: {option} changes nothing; leave it out.")
    if config.sides and protocol.identifies:
        raise InputError(f"Mirrored pictures are for points, but got the protocol {config.protocol!r}; leave them out.")
    if config.sides and config.mirror:
        raise InputError("The mean with the mirrored picture is the same for both; leave mirror out, or sides.")
    if config.fine and not protocol.examples:
        raise InputError(f"A second look compares with an example, but got {config.protocol!r}; leave it out.")
    if config.oks is not None and (protocol.drawn or protocol.pairing or protocol.identifies):
        raise InputError(f"OKS is for the protocol text, but got {config.protocol!r}; leave it out.")
    return protocol


def check_labels(dataset: Dataset, config: EvaluationConfig) -> None:
    """InputError where a config has nothing to measure on these labels; needs no model, so that none is loaded first.

    dataset: the labelled objects.
    config: the protocol and the part of the objects that it takes.
    """
    chosen_pairs(dataset, config, EvaluationProtocol.parse(config.protocol))


def chosen_pairs(
    dataset: Dataset, config: EvaluationConfig, protocol: EvaluationProtocol
) -> tuple[Dataset, list[Pair], dict[str, int]]:
    """The objects that may be measured, the pairs to score, and the number of objects left out for each reason."""
    check_choice(config.points, "The points that count", scoring.VISIBILITY)
    check_whole(config.seed, "A seed", 0)
    dataset = with_box(dataset)
    if config.single:
        dataset = alone_in_picture(dataset)
    if not dataset.objects:
        raise InputError("There is no object to measure on; check the data file and its categories.")
    pairs, skipped = draw_pairs(dataset, protocol, config.episodes, config.seed)
    chosen = select(dataset.objects, config.max_per_category, config.seed)
    if len(chosen) < len(dataset.objects):
        if config.episodes is not None:
            raise InputError("Episodes take all objects of a category; leave out the maximum per category.")
        kept = {item.id for item in chosen}
        pairs = [pair for pair in pairs if dataset.objects[pair.query].id in kept]
        skipped[NOT_DRAWN] = len(dataset.objects) - len(chosen)
    if not pairs:
        raise InputError(
            f"There is no object to measure on by {config.protocol!r}: it needs {protocol.drawn + 1} objects of a "
            "category, and no category has as many; add objects, or take the protocol text."
        )
    if config.oks is not None:
        scoring.check_oks(config.oks, [dataset.objects[pair.query] for pair in pairs])
    scored = scoring.scored_points(dataset, pairs, config.points)
    if config.points != "labelled":
        pairs, without = _counting(pairs, scored, config.points)
        skipped |= without
    elif not scored.any() and not config.official:
        raise InputError(
            f"There is no point to measure on by {config.protocol!r}: no object and its examples share a labelled "
            "point; label more points, or take the protocol text."
            if protocol.drawn
            else "There is no point to measure on, as no object has a labelled one; check the data file."
        )
    return dataset, pairs, skipped


def _counting(pairs: list[Pair], scored: np.ndarray, points: str) -> tuple[list[Pair], dict[str, int]]:
    """The pairs with a point that counts, and the number of the others; InputError where there is none."""
    kept = [pair for pair, row in zip(pairs, scored, strict=True) if row.any()]
    if not kept:
        raise InputError(
            f"There is no {points} point to measure on: no label has v = {scoring.VISIBILITY[points][0]}; leave out "
            "which points count."
        )
    return kept, {f"no {points} point": len(pairs) - len(kept)} if len(kept) < len(pairs) else {}


def _used_categories(dataset: Dataset) -> dict[int, Category]:
    """Category id -> the category as the data have it, of those that have objects."""
    used = {item.category_id for item in dataset.objects}
    return {key: dataset.categories[key] for key in used}


def _categories(dataset: Dataset, config: EvaluationConfig) -> dict[int, Category]:
    """Category id -> the category as the model gets it.

    Raises InputError where points of a category have one name and differ only in the descriptions that are removed, and
    for names that a category cannot have.
    """
    categories = asked_in(_used_categories(dataset), config)
    if config.descriptions == "removed":
        return {key: without_descriptions(category) for key, category in categories.items()}
    return categories


def queries_of(
    dataset: Dataset, pairs: Sequence[Pair], config: EvaluationConfig, protocol: EvaluationProtocol
) -> list[Query]:
    """The query of each pair, without the examples where the model does not get them.

    Examples that hide the same points of an object are one query, so that no question is asked twice.
    """
    categories = _categories(dataset, config)
    queries: list[Query] = []
    hiding: dict[tuple[int, bytes], tuple[LabelledObject, ...]] = {}  # of each object and labelled points the first
    for pair in pairs:
        item = dataset.objects[pair.query]
        drawn = tuple(dataset.objects[row] for row in pair.examples)
        examples = drawn if protocol.examples else ()
        hidden_by: tuple[LabelledObject, ...] = ()
        if protocol.hides:
            labelled = np.all([one.visibility > 0 for one in drawn], axis=0)
            if not labelled.all():
                hidden_by = hiding.setdefault((item.id, labelled.tobytes()), drawn)
        given = replace(item, box=changed_box(item.box, config, item.id))
        queries.append(Query(given, examples, categories[item.category_id], hidden_by))
    return queries


def _words(
    dataset: Dataset,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    config: EvaluationConfig,
    protocol: EvaluationProtocol,
) -> dict[str, str] | None:
    """Label of each category -> whose words the model read for its points; None where it read none."""
    if not protocol.uses_text and not protocol.lists_names:
        return None
    rows = sorted({pair.query for pair in pairs})
    return {labels[row]: whose_words(dataset.objects[row].category, config.phrases) for row in rows}


def _renamed(dataset: Dataset, config: EvaluationConfig) -> dict[str, int] | None:
    """How many points are asked for in other words than the data's; None where no other words were chosen."""
    if config.names == OWN:
        return None
    used = _used_categories(dataset)
    return renamed(used, asked_in(used, config))


def _claim(out: Path, dataset: Dataset, pairs: Sequence[Pair], config: EvaluationConfig, weights: str) -> None:
    """Make the folder that of this run; InputError for one of another run."""
    used = sorted({row for pair in pairs for row in (pair.query, *pair.examples)})
    objects: list[LabelledObject] = [dataset.objects[row] for row in used]
    predictions = [
        f"{Path(name).stem}{end}"
        for name in (PREDICTIONS, UNTRAINED, MIRRORED, OTHER_KINDS)
        for end in (".jsonl", ".*.jsonl")
    ]
    claim(out, config, objects, _categories(dataset, config), [*predictions, RESULTS], SETTINGS, weights)


def _predict_options(config: EvaluationConfig) -> dict[str, Any]:
    """Further arguments of `predict`. One that is not set is not passed: few models have all of them."""
    options: dict[str, Any] = {}
    if config.strategy is not None:
        options["strategy"] = config.strategy
        if Strategy.parse(config.strategy).draws:
            options["seed"] = config.seed
    if config.descriptions != "detailed":
        options["describe"] = config.descriptions
    if config.cumulative:
        options["cumulative"] = True
    if config.mirror:
        options["mirror"] = True
    if config.fine is not None:
        options["fine"] = config.fine
    return options


# --- files -----------------------------------------------------------------------------------------------------------


def _write(
    out: Path,
    measured: scoring.Measurement,
    counts: Mapping[str, Any],
    config: EvaluationConfig,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Write the results, tables and report; returns the results as written."""
    if measured.matches:
        write_text(out / MATCHES, "".join(json.dumps(line) + "\n" for line in measured.matches))
    results = write_results(out / RESULTS, {**measured.results, **counts}, config, command)
    per_category = [[label, *metrics.values()] for label, metrics in results["per_category"].items()]
    header = ["category", *next(iter(results["per_category"].values()))]
    write_text(out / PER_CATEGORY, _csv(header, per_category))
    write_text(out / PER_OBJECT, _csv(list(measured.rows[0]), [list(row.values()) for row in measured.rows]))
    write_report(out, results, measured.best, measured.worst, progress)
    return results


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A CSV table, with an empty cell where a value is None or NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if value is None or value != value else value for value in row])
    return text.getvalue()
