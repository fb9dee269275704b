"""`anykeypoint train`: a model's description, a recipe and labelled data in; a model folder out."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from . import console, options

if TYPE_CHECKING:
    from ..training.trainable import Family
    from .validation import HeldOut


def run(
    data: options.Data,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The run's folder; a stopped run goes on from it.")
    ],
    images: options.Images = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Describes a new model, of any kind; by default the paper's CapeLLM. A file, or the name of one that "
            "comes with the package, such as fast or capex.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train this saved model further instead; with --model, what the new model starts from: a CapeLLM "
            "or KptLLM from a CapeLLM, FLF and DLF from a CapeX or GraphCape.",
            autocompletion=options.complete_models,
        ),
    ] = None,
    phrases: options.Phrases = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="YAML", help="How to train, see docs/recipes.md; the paper's by default.")
    ] = None,
    allow_missing: options.AllowMissing = False,
    allow_unpaired: Annotated[
        bool,
        typer.Option(
            "--allow-unpaired",
            help="Train with flips although some names have a side and no partner on the other one; a category with "
            "such a name is then never mirrored.",
        ),
    ] = False,
    held_out: Annotated[
        float | None,
        typer.Option(
            "--held-out",
            metavar="SHARE",
            help="Share of the objects, in whole groups, that are not trained on and that say whether the model gets "
            "better; by default 0.2 where a saved model is trained further, else 0.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the features of a recipe with features: cached in this folder, where trainings with the same "
            "crops and image encoder share them; by default in the run's.",
        ),
    ] = None,
    strict: options.Strict = False,
) -> int:
    """Train a CapeLLM, a KptLLM, a matcher, a few-shot baseline or an image-text model.

    A stopped run goes on where it was.

    `accelerate launch -m anykeypoint.cli train ...` uses all GPUs.
    """
    from ..configs.yaml_files import from_mapping, load_yaml
    from ..forms.left_out import check_left
    from ..forms.registry import read
    from ..io import check_folder
    from ..models.folders import model_type
    from ..models.loading import find
    from ..training import trainable
    from ..training.claims import check_unclaimed, claimed
    from ..training.flips import flip_lines
    from . import validation

    check_folder(out)
    check_unclaimed(out)
    described, own_recipe = {}, {}
    if model is not None:
        described, own_recipe = trainable.parts(load_yaml(trainable.find_yaml(model)), str(model))
    given_recipe = own_recipe if recipe is None else trainable.recipe_of(load_yaml(trainable.find_yaml(recipe)))
    if model is not None or start is None:
        family = trainable.family_of(described, str(model))
        new = family.described(described, str(model))
        if start is not None and (family.starts_from is None or not family.starts_from(model_type(find(start)))):
            raise InputError(
                "Give either --model for a new model or --start for a saved one, not both; only a CapeLLM and a "
                "KptLLM can start from another model, a CapeLLM, and FLF and DLF from a CapeX or a GraphCape."
            )
    else:
        family, new = trainable.SAVED.get(model_type(find(start)), trainable.CAPELLM), None
        if recipe is None and (given_recipe := trainable.further(find(start))):
            console.note("no --recipe: training as experiments/further.yaml says")
    config = from_mapping(family.recipe, given_recipe, str(recipe or model))
    if phrases is not None:
        config = trainable.with_phrases(config, phrases)
    shared = trainable.shared_features(family, config, features)
    origin = None if start is None else find(start)
    words = trainable.wanted_phrases(config, new, origin)
    dataset = read(data, images, allow_missing=allow_missing, phrases=words, strict=strict)
    check_left(dataset, data, "to train on", console.note)
    if allow_unpaired:
        config = replace(config, allow_unpaired=True)
    share = held_out if held_out is not None else validation.SHARE if start is not None and new is None else 0.0
    held = validation.hold_out(dataset, share, config.seed)
    flip_lines((item.category for item in held.data.objects), config)  # refused before a model is built
    with claimed(out):
        built = trainable.model_for(family, new, origin, config)
        _train(family, built, held, config, out, shared)
    return 0


def _train(family: "Family", built: Any, held: "HeldOut", config: Any, out: Path, shared: dict[str, Path]) -> None:
    """Train a model on what is not held out, and say what became of it."""
    from ..training.progress import crop_counts
    from . import validation

    # Asked of the environment: accelerate's PartialState, built before the trainer's Accelerator, would make each
    # process take itself for the only one where ACCELERATE_USE_CPU is set.
    main = int(os.environ.get("RANK", "0")) == 0
    before = validation.measured(built, held) if main else {}
    family.train(built, held.data, config, out, quiet=console.is_quiet(), **shared)
    if main:
        after = validation.measured(validation.as_saved(built, config, out), held) if held.objects else {}
        if after:
            validation.write(out, before, after, len(held.objects))
        validation.say(out, before, after, len(held.objects))
        trained, skipped = crop_counts(out)
        print(f"{skipped} of {trained + skipped} {family.skipped}.")
        print(f"Written to {out / 'model'}; the log of all steps is {out / 'log.jsonl'}")
