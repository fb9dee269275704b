"""`anykeypoint density`: read labels, load the model, compare its densities with Gaussians, and print the metrics."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from . import console, options
from .left_out import print_faults, print_left_out


def run(
    model: options.ModelArgument,
    data: options.Data,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="For density.json, density.jsonl and examples.png.")
    ],
    images: options.Images = None,
    max_per_category: options.MaxPerCategory = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of objects and examples.")] = 0,
    sigma: Annotated[
        float,
        typer.Option(
            metavar="S",
            help="Sigma of the Gaussian, as a share of the crop; by default 2 cells of a heat map of 64 x 64.",
        ),
    ] = 2 / 64,
    grid: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Compare on N x N cells; by default 100 of a language model, and those of its feature map of a "
            "matcher.",
        ),
    ] = None,
    sampled: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Also draw N points of each keypoint and compare their kernel density, as CapeLLM's Fig. 5 does.",
        ),
    ] = None,
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> int:
    """Compare a model's densities with Gaussians of one width on labelled objects. A stopped run goes on."""
    from ..evaluation.density_comparison import EXAMPLES, RESULTS, DensityComparisonConfig, compare_densities
    from ..forms.registry import fingerprint, read
    from .choice import check_model, digest_of, load_model

    if sampled is not None:
        try:
            check_model(model, ["strategy"])
        except InputError as error:
            raise InputError(
                f"The model {model!r} does not draw points; leave --sampled out, or choose another model."
            ) from error
    dataset = read(data, images, allow_missing=allow_missing, strict=strict)
    print_left_out(dataset)
    config = DensityComparisonConfig(model, fingerprint(data), max_per_category, seed, sigma, grid, sampled, dtype)
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    loaded = load_model(model, device, dtype)
    weights = digest_of(model)
    results = compare_densities(loaded, dataset, out, config, command=command, progress=console.track, weights=weights)
    print_faults(results["outline_faults"])
    print(summary(results))
    print(f"Written to {out / RESULTS} and {out / EXAMPLES}")
    return 0


def summary(results: dict) -> str:
    """The category means as a small table."""
    from ..evaluation.gaussians import METHODS, METRICS, SAMPLED

    drawn = f"{results['settings'].get('sampled')} points drawn"
    names = {
        "model": "model",
        SAMPLED: drawn,
        "gaussian_at_point": "Gaussian, model's point",
        "gaussian_at_truth": "Gaussian, truth",
    }
    means = results["category_mean"]
    lines = [f"{'category mean':<24}" + "".join(f"{metric:>16}" for metric in METRICS)]
    for method in (one for one in (*METHODS, SAMPLED) if one in means):
        cells = [means[method][metric] for metric in METRICS]
        lines.append(f"{names[method]:<24}" + "".join(f"{'-' if v is None else f'{v:.3f}':>16}" for v in cells))
    best = means["gaussian_at_point"]
    if best["best_nll"] is not None:
        lines.append(
            f"a Gaussian at the model's point would reach nll {best['best_nll']:.3f} at best, with sigma "
            f"{best['best_sigma']:.3f} of the crop chosen on these very points"
        )
    cells = " and ".join(str(count) for count in results["cells"])
    lines.append(
        f"{results['objects']} objects ({results['objects_with_outline']} with an outline, for on_object), "
        f"{results['points']} points, {results['categories']} categories; sigma {results['settings']['sigma']:g} of "
        f"the crop, {cells} cells a side"
    )
    if results["points_of_zero_density"]:
        lines.append(f"without nll: {results['points_of_zero_density']} points where the model's density is zero")
    lines += [f"left out: {count} ({reason})" for reason, count in results["left_out"].items()]
    return "\n".join(lines)
