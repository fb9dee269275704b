"""`anykeypoint density`: read the data, load the model, compare its densities with Gaussians, and say the figures."""

import shlex
import sys
from pathlib import Path

from ..evaluation.gaussians import EXAMPLES, FIGURES, METHODS, RESULTS, Settings, compare
from ..forms.registry import fingerprint, read
from .evaluate import bar


def run(
    model: str,
    data: str,
    images: Path | None,
    out: Path,
    *,
    max_per_category: int | None,
    seed: int,
    sigma: float,
    grid: int | None,
    allow_missing: bool,
    device: str,
) -> int:
    """Compare a model's densities with Gaussians on labelled objects; a stopped run goes on where it was."""
    from .. import load

    dataset = read(data, images, allow_missing=allow_missing)
    settings = Settings(model, fingerprint(data), max_per_category, seed, sigma, grid)
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    results = compare(load(model, device=device), dataset, out, settings, command=command, progress=bar)
    print(summary(results))
    print(f"Written to {out / RESULTS} and {out / EXAMPLES}")
    return 0


def summary(results: dict) -> str:
    """The category means as a small table."""
    names = {"model": "model", "gaussian_at_point": "Gaussian, model's point", "gaussian_at_truth": "Gaussian, truth"}
    means = results["category_mean"]
    lines = [f"{'category mean':<24}" + "".join(f"{figure:>16}" for figure in FIGURES)]
    for method in METHODS:
        cells = [means[method][figure] for figure in FIGURES]
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
