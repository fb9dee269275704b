"""`anykeypoint evaluate`: measure a model on labels and print the main metrics; or compare two reports."""

import os
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from . import console, options
from .evaluate_summary import summary
from .left_out import print_left_out

if TYPE_CHECKING:
    from ..evaluation.prediction_files import Workers
    from ..forms.dataset import Dataset
    from ..models.seen_names import SeenNames


def run(
    model: options.OptionalModelArgument = None,
    data: options.OptionalData = None,
    images: options.Images = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="For the report: results.json, report.html and the rest."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="text, text-pairs, text-pairs-all, N-shot, both, both-N; listed, text-listed or both-listed (pairs of "
            "the data's own); megakpt, text-megakpt or both-megakpt (1,000 episodes); identify (in free words, no "
            "matchers) or identify-names (among the category's names).",
        ),
    ] = "text",
    episodes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draw N episodes of 15 queries of each category, as MP-100's sampler does (200); by default every "
            "object is a query once.",
        ),
    ] = None,
    official: Annotated[
        bool, typer.Option("--official", help="Keep and score as MP-100's released code does, its oddities included.")
    ] = False,
    oks: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="COCO's ten statistics too, with the sigmas of a data set (coco, carfusion, ...) or of a .json file.",
        ),
    ] = None,
    single: Annotated[
        bool,
        typer.Option(
            "--single",
            help="Only pictures with one labelled object, such as the single-person pictures of COCO's validation set.",
        ),
    ] = False,
    points: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which points count: labelled, all of them; visible (v = 2) or hidden ones (v = 1)."
        ),
    ] = "labelled",
    sides: Annotated[
        bool,
        typer.Option(
            "--sides",
            help="Also ask about every picture mirrored, and say how often the answers agree; takes as long again.",
        ),
    ] = False,
    mirror: options.Mirror = False,
    fine: options.Fine = None,
    attention: Annotated[
        bool,
        typer.Option(
            "--attention",
            help="Also say how much of the attention of a matcher's decoder lies near the labels; takes as long again.",
        ),
    ] = False,
    foreign: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Also ask about the points of another kind of object, of N objects of each category at most, and say "
            "how often these are called present; 0 asks none.",
        ),
    ] = 5,
    max_per_category: options.MaxPerCategory = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Seed of the choice of objects and examples, of intervals, and of strategies that draw.",
        ),
    ] = 0,
    descriptions: options.Descriptions = "detailed",
    names: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Names of the keypoints: own, as the data have them; simplified; synonyms; typos (one in each name); "
            "german, french or spanish; or a YAML or JSON file of names.",
        ),
    ] = "own",
    box_shift: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Give the model each box moved by this share of its longer side, in a direction that is drawn.",
        ),
    ] = 0.0,
    box_scale: Annotated[
        float, typer.Option(metavar="FACTOR", help="Give the model each box with its sides times this factor.")
    ] = 1.0,
    strategy: options.Strategy = None,
    cumulative: options.Cumulative = False,
    phrases: options.Phrases = None,
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How DLF makes one answer of its two matchers': mean, text, image or confidence; the model's own by "
            "default.",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Side in pixels that crops are resized to; the model's own by default."),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            metavar="FORM:FILE",
            help="Training data: results are split by whether a keypoint's name occurs in them. By default the names "
            "that the model's folder lists, if it does.",
        ),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Measure the untrained model too; takes as long again.")
    ] = False,
    baselines: Annotated[bool, typer.Option(help="Measure simple baselines on the same objects.")] = True,
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B", help="Instead: put the reports in two folders side by side; -o names a page to write."
        ),
    ] = None,
) -> int:
    """Measure a model on labelled objects, with baselines on the same ones. A stopped run goes on where it was.

    `accelerate launch -m anykeypoint.cli evaluate ...` shares the work among processes.
    """
    if compare is not None:
        return run_comparison(*compare, out, seed, alone=model is None and data is None)
    _check_given({"MODEL": model, "--data": data, "--output": out})

    from ..evaluation.baselines.registry import baselines as baselines_of
    from ..evaluation.evaluation_config import EvaluationConfig
    from ..evaluation.protocols import EvaluationProtocol
    from ..evaluation.run import check_labels, describe_output, evaluate
    from ..forms.phrases import FILE
    from ..forms.registry import fingerprint
    from .choice import check_model, digest_of, needed_for

    asks = EvaluationProtocol.parse(protocol)
    naming = ["identify", *([] if asks.lists_names else ["own_words"])] if asks.identifies else []
    changed = {"strategy": strategy, "cumulative": cumulative, "mirror": mirror, "fine": fine is not None}
    check_model(model, [*(name for name, value in changed.items() if value), *needed_for(descriptions), *naming])
    reading = {"allow_missing": allow_missing, "official": official, "strict": strict}
    asked, dataset = _labels(model, phrases, data, images, **reading)
    chosen = {"single": single, "max_per_category": max_per_category, "seed": seed}
    looks = {"attention": attention, "foreign": foreign}
    shown = {"sides": sides, "mirror": mirror, "fine": fine, "box_shift": box_shift, "box_scale": box_scale}
    config = EvaluationConfig(
        model=model,
        data=fingerprint(data),
        protocol=protocol,
        episodes=episodes,
        official=official,
        oks=oks,
        strategy=strategy,
        descriptions=descriptions,
        names=names,
        cumulative=cumulative,
        phrases=asked or FILE,
        answer=answer,
        image_size=image_size,
        points=points,
        dtype=dtype,
        **chosen,
        **shown,
        **looks,
    )
    check_labels(dataset, config)
    workers = _workers()
    loaded = _load(model, _device(device, workers), dtype, image_size, answer)
    measured, unmeasured = baselines_of(asks.prompt) if baselines and workers.rank == 0 else ([], {})
    results = evaluate(
        *(loaded, dataset, out, config),
        baselines=measured,
        unmeasured=unmeasured,
        known_names=_known_names(data, trained_on, getattr(loaded, "seen_names", None)),
        untrained=untrained,
        command=shlex.join(["anykeypoint", *sys.argv[1:]]),
        progress=console.track,
        workers=workers,
        weights=digest_of(model),
    )
    if results is not None:
        print(summary(results), describe_output(out), sep="\n")
    return 0


def _check_given(arguments: dict[str, Any]) -> None:
    """InputError for the first of these arguments, by name, that is None."""
    for name, value in arguments.items():
        if value is None:
            raise InputError(f"evaluate needs {name}; see `anykeypoint evaluate --help`.")


def _labels(
    model: str, phrases: str | None, data: str, images: Path | None, **reading: bool
) -> "tuple[str | None, Dataset]":
    """Whose words the model is asked with, and the labels in these words; says what of them is left out."""
    from ..evaluation.asked_phrases import evaluated_phrases
    from ..forms.registry import read

    asked = evaluated_phrases(model, phrases)
    dataset = read(data, images, phrases=asked, **reading)
    print_left_out(dataset)
    return asked, dataset


def _load(model: str, device: str, dtype: str, image_size: int | None, answer: str | None) -> Any:
    """The model to measure. Raises InputError where `answer` is given for a model with one way to answer."""
    from ..models.arguments import let_answer
    from .choice import load_model

    loaded = load_model(model, device, dtype, image_size=image_size)
    let_answer(loaded, answer, model)
    return loaded


def run_comparison(first: Path, second: Path, out: Path | None, seed: int, alone: bool = True) -> int:
    """Print two reports side by side, and write a page of it where `out` is given.

    alone: whether no model and no data were given, which have no part in it.
    """
    from ..evaluation.compare import compare, table, write_comparison

    if not alone:
        raise InputError("--compare takes two folders with reports and no model or data; leave these out.")
    result = compare(first, second, seed=seed, progress=console.track)
    print(table(result))
    if out is not None:
        write_comparison(out, result)
        print(f"Written to {out}")
    return 0


def _known_names(data: str, trained_on: str | None, seen: "SeenNames | None") -> Collection[str] | None:
    """The names of keypoints in the training data; None where it is not known which data these are.

    seen: the names that the model's folder lists; what is given as `trained_on` comes before them.
    """
    from ..forms.registry import parse, read_categories

    if trained_on is None and seen is not None:
        return seen.names
    form, _, path = parse(data)
    if trained_on is None and form != "field":
        return None
    known = read_categories(trained_on or f"field/train:{path}")
    return {name for category in known for name in category.names}


def _workers() -> "Workers":
    """This process among those of `accelerate launch`; they meet through gloo on the CPU, wherever the model runs."""
    from ..evaluation.prediction_files import Workers

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Workers()
    from datetime import timedelta

    from accelerate import PartialState

    # The first process may have minutes of work left when the others are done, or hours on a slow disk.
    state = PartialState(cpu=True, timeout=timedelta(days=7))
    return Workers(state.process_index, state.num_processes, state.wait_for_everyone)


def _device(device: str, workers: "Workers") -> str:
    """The device of this process: of several processes on "auto" each takes a GPU of its own."""
    import torch

    if workers.count == 1 or device != "auto" or not torch.cuda.is_available():
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', workers.rank)) % torch.cuda.device_count()}"
