"""`anykeypoint simulate-labelling`: the labelling loop played on labelled data; a report of what a person corrects."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..models.shipped import DEFAULT
from . import console, options
from .left_out import print_left_out

PROMPTS = {"words": ("words",), "example": ("example", "examples"), "both": ("words", "example", "examples")}


def run(
    data: options.Data,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the report; a new one.")],
    images: options.Images = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A model's name, a folder or a hub id.", autocompletion=options.complete_models
        ),
    ] = DEFAULT,
    prompt: Annotated[
        str, typer.Option(metavar="NAME", help="How the model is asked: words alone, example alone, or both.")
    ] = "both",
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Also train on what was corrected so far; takes longer.")
    ] = False,
    corrected: Annotated[
        int, typer.Option(metavar="N", help="Measure what stays untouched after so many corrected pictures.")
    ] = 10,
    every: Annotated[
        int, typer.Option(metavar="N", help="Answer the rest anew after so many corrected pictures.")
    ] = 10,
    budget: Annotated[
        float, typer.Option(metavar="S", help="Seconds of machine time for each kind of object and way.")
    ] = 600.0,
    least: Annotated[
        int, typer.Option("--min-per-category", metavar="N", help="Leave out categories with fewer objects.")
    ] = 2,
    max_per_category: options.MaxPerCategory = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of objects, and of --adapt.")] = 0,
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    device: options.Device = "auto",
) -> int:
    """Play the labelling loop on labelled data, and report what a person has to correct.

    One picture is labelled, the model answers the rest, the most unsure answers are corrected, and the rest is answered
    anew. Written are results.json and report.md: for words, one example, growing examples and plain copying.
    """
    from ..configs.checks import check_whole
    from ..evaluation.asked_phrases import evaluated_phrases
    from ..evaluation.selection import select, with_box
    from ..forms.registry import read
    from ..io import check_new_folder
    from ..labelling.comparison import compare_ways
    from ..labelling.simulate import SimulationConfig
    from ..labelling.simulation_report import markdown, results_of, write_results
    from .choice import load_model

    config = SimulationConfig(corrected, every, budget=budget, seed=seed)
    check_whole(least, "--min-per-category", least=2)
    if prompt not in PROMPTS:
        raise InputError(f"--prompt must be words, example or both, but got {prompt!r}; give one of these.")
    names = (*PROMPTS[prompt], *(("adapted",) if adapt else ()), "copying")
    words = None if prompt == "both" else prompt == "words"
    check_new_folder(out)
    phrases = evaluated_phrases(model, None)
    dataset = with_box(read(data, images, allow_missing=allow_missing, phrases=phrases, strict=strict))
    print_left_out(dataset)
    objects = select(dataset.objects, max_per_category, seed)
    loaded = load_model(model, device)
    _check_model(model, loaded, names)
    with console.counting(len(objects) * len(names), "label") as (_, advance):
        compared = compare_ways(loaded, dataset, objects, names, config, least, words, advance=advance)
    for sentence in compared.faults:
        console.error(sentence)
    if not compared.kinds:
        raise InputError(f"No category has {least} or more objects that can be read; give other data.")
    settings = {"model": model, "data": data, "prompt": prompt, "min_per_category": least}
    results = results_of(
        compared.kinds, compared.counts, config, {**settings, "max_per_category": max_per_category}, compared.left_out
    )
    write_results(out, results)
    print(markdown(results), end="")
    print(f"Written to {out}")
    return 1 if compared.faults else 0


def _check_model(name: str, model: object, names: tuple[str, ...]) -> None:
    """InputError for a model that cannot be asked in one of the ways."""
    from ..models.matching.model import MatchingModel

    prompts = getattr(model, "prompts", ("text",))
    if "words" in names and "text" not in prompts:
        raise InputError(f"{name} reads no words; give --prompt example.")
    if "example" in names and "example" not in prompts:
        raise InputError(f"{name} takes no examples; give --prompt words.")
    if "adapted" in names and not isinstance(model, MatchingModel):
        raise InputError(f"--adapt trains beside a matcher, such as {DEFAULT}, but {name} is none; leave --adapt out.")
