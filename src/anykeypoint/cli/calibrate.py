"""`anykeypoint calibrate`: fit the temperatures of a model on labels, and write a copy of its folder that has them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from . import console, options
from .left_out import print_left_out


def run(
    model: options.ModelArgument,
    data: options.Data,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="For a copy of the model's folder; a new one.")
    ],
    images: options.Images = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Fit this prompt alone: text, example or both; by default all it takes."),
    ] = None,
    presence: Annotated[
        bool,
        typer.Option(
            "--presence",
            help="Also fit how likely a point is there, on hidden and absent points and on those of other kinds of "
            "objects; takes two to three times as long.",
        ),
    ] = False,
    max_per_category: options.MaxPerCategory = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of objects and examples.")] = 0,
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> int:
    """Fit how sure a model is to labelled objects that it was not trained on, and write a copy of it that keeps it.

    No point moves. What is fitted is a temperature for each kind of prompt; the calibration error is that of evaluate.
    """
    from ..evaluation.asked_phrases import evaluated_phrases
    from ..evaluation.presence_fitting import fit_presence, with_presence
    from ..evaluation.temperatures import MODEL_TYPES, fit_temperatures, with_temperatures, write_calibrated
    from ..forms.registry import read
    from ..io import check_new_folder
    from ..models.folders import check_type
    from ..models.loading import find
    from .choice import load_model

    folder = find(model)
    check_type(folder, MODEL_TYPES)
    check_new_folder(out)
    if not out.parent.is_dir():
        raise InputError(f"Cannot write {out}: there is no folder {out.parent}; make it first.")
    phrases = evaluated_phrases(model, None)
    dataset = read(data, images, allow_missing=allow_missing, phrases=phrases, strict=strict)
    print_left_out(dataset)
    loaded = load_model(model, device, dtype)
    prompts, chosen = None if prompt is None else [prompt], {"max_per_category": max_per_category, "seed": seed}
    # The presence comes first, as labels that have too little for it are refused before the model is asked.
    curves = fit_presence(loaded, dataset, prompts, **chosen, progress=console.track) if presence else []
    fitted = fit_temperatures(loaded, dataset, prompts, **chosen, progress=console.track)
    parts: dict[str, Any] = {"temperature": with_temperatures(loaded.config.temperature, fitted)}
    if curves:
        parts["presence"] = with_presence(loaded.config.presence, curves)
    write_calibrated(folder, out, **parts)
    print(f"{'prompt':<9}{'temperature':>12}{'ECE before':>12}{'after':>8}{'points':>8}{'objects':>9}")
    for one in fitted:
        figures = f"{one.temperature:>12.3f}{one.before:>12.3f}{one.after:>8.3f}{one.points:>8}{one.objects:>9}"
        print(f"{one.prompt:<9}{figures}{'  at the end of what is tried' if one.at_an_end else ''}")
    if curves:
        print(
            f"{'prompt':<9}{'AUROC':>8}  called present, percent of points: visible, hidden or absent, of other kinds"
        )
    for one in curves:
        counts = zip(one.present, (one.visible, one.unseen, one.foreign), strict=True)
        shares = ", ".join("none" if share is None else f"{100 * share:.1f} of {count}" for share, count in counts)
        print(f"{one.prompt:<9}{one.auroc:>8.3f}  {shares}")
    print(f"Written to {out}")
    return 0
