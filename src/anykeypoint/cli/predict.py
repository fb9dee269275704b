"""`anykeypoint predict`: keypoints of objects in pictures, to a table, files or a folder."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs.checks import check_share, check_whole
from ..configs.typed import printable
from ..errors import InputError
from . import console, options

if TYPE_CHECKING:
    from ..category import Category
    from ..detection.search import Search
    from ..example import MarkedPicture


def run(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Pictures, folders of pictures, or patterns like 'a/*.jpg'."),
    ],
    category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A category of the library (see `categories`) or a JSON/YAML file.",
            autocompletion=options.complete_categories,
        ),
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The keypoints in words, parted by ';': 'left ear tip; nose: the tip of the nose'. Commas part them "
            "where there is neither ';' nor ':'.",
        ),
    ] = None,
    noun: Annotated[str | None, typer.Option(metavar="TEXT", help="The word for the object, e.g. 'cat'.")] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PICTURE:FILE",
            help='A picture with its keypoints: FILE is JSON {"nose": [x, y], ...} in pixels, or what predict wrote '
            "(COCO, CSV). May be repeated. Without --category or --keypoints its keypoints are predicted.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also take the pictures in subfolders of folders.")
    ] = False,
    no_words: Annotated[
        bool, typer.Option("--no-words", help="With --example: names and descriptions are not read.")
    ] = False,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|x,y,w,h",
            help="The object's box in pixels, or a file with the boxes of each picture: .json of COCO's form or as "
            '{"a.jpg": [[x, y, w, h], ...], ...}, .csv with the columns image,x,y,w,h or as predict wrote it; '
            "else the whole picture.",
        ),
    ] = None,
    detect: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Detect the objects first, by words parted by ';': 'dog; cat'. Each becomes a pose.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="yolov3-tiny (COCO's words, offline; the default), or a folder or hub id of a GroundingDINO, "
            "OWL-ViT or OWLv2, which take any words.",
        ),
    ] = None,
    detect_score: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="The least score of a detection, 0 to 1; by default 0.25 (YOLO), 0.3 (GroundingDINO), 0.1 (OWL).",
        ),
    ] = None,
    detect_most: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most this many objects in a picture, best scores first; 50 by default."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A shipped model's name (see `weights`), a folder or a hub id; `accurate` by default, or with options "
            "that only language models have, capellm-small or, with --example, kptllm-small.",
            autocompletion=options.complete_models,
        ),
    ] = None,
    strategy: options.Strategy = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the strategies that draw random numbers.")] = 0,
    cumulative: options.Cumulative = False,
    density: Annotated[
        bool, typer.Option("--density", help="Draw and write each keypoint's probability density.")
    ] = False,
    grid: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of cells on a side of a density; by default 100 of a language model, and those of its feature "
            "map of a matcher.",
        ),
    ] = None,
    mirror: options.Mirror = False,
    fine: options.Fine = None,
    presence: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="The presence, 0 to 1, from which a point is present; others keep their place, and are marked as "
            "absent.",
        ),
    ] = 0.5,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also draw how a matcher came to each point: its attention, layer by layer."),
    ] = False,
    descriptions: options.Descriptions = "detailed",
    max_pixels: options.MaxPixels = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    ids_from: Annotated[
        Path | None,
        typer.Option(
            "--ids-from",
            metavar="LABELS.json",
            help="Write the ids of pictures and category, and their names, as these COCO labels have them.",
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to write: .png (one image), .json (COCO), .csv, or a folder for all of them; .dlc.csv is the "
            "table that DeepLabCut writes of a video, whose frames are the pictures of one folder. May be repeated.",
        ),
    ] = None,
) -> int:
    """Predict the keypoints of objects in pictures, from words, examples or both. Without -o a table is printed."""
    from ..example import read_marked, to_example
    from ..forms.label_ids import label_ids
    from ..forms.writing import point_labels
    from ..images.limits import check_max_pixels
    from ..inference.box_files import read_boxes
    from ..inference.files import find_all_images, predict_files
    from ..inference.names import name_pictures
    from .choice import check_model, default_model, load_model, needed_for, own_category
    from .outputs import plan_outputs

    marked = [read_marked(text) for text in example or ()]
    for note in dict.fromkeys(one.note for one in marked if one.note):
        console.note(note)
    own = None if model is None or category or keypoints or marked else own_category(model)
    if own and noun is not None:
        raise InputError(f"--noun names what is asked for, but {model} has its own category; leave --noun out.")
    chosen = own or choose_category(category, keypoints, noun, marked)
    prediction = prediction_options(strategy, seed, cumulative, density, grid, descriptions, mirror, fine, presence)
    if no_words and not marked:
        raise InputError("--no-words predicts from examples alone; give --example PICTURE:FILE, or leave it out.")
    detection = DetectionOptions(detect, detector, detect_score, detect_most)
    detection.check(boxes)
    check_max_pixels(max_pixels)
    needed = [*prediction, *(["explain"] if explain else []), *(["example"] if marked else [])]
    needed = list(dict.fromkeys([*needed, *needed_for(descriptions)]))
    if marked:
        prediction["example"] = [to_example(one, chosen) for one in marked]
    if no_words:
        prediction["words"] = False
    found = find_all_images(images, recursive, output or ())
    paths = found.paths
    placed = None if boxes is None else read_boxes(boxes)
    if placed is not None:
        placed.assign(paths)  # refuses boxes that do not fit the pictures before the model is loaded
    for sentence in (*found.passed_over, *([placed.left_out] if placed and placed.left_out else [])):
        console.note(sentence)
    inputs = [*paths, *(Path(given) for given in (boxes, category, ids_from) if given)]
    inputs += [path for one in marked for path in (one.picture, one.file)]
    ids = None if ids_from is None else label_ids(ids_from, paths, chosen)
    points = chosen.names if own is None else point_labels(own)
    outputs = plan_outputs(output or (), paths, inputs, points, density, explain, name_pictures(images, paths), ids)
    if model is None:
        model = default_model(needed)
    else:
        check_model(model, needed)
    outputs.model = Path(model).name if Path(model).exists() else model  # a folder's place is nobody's business

    where = placed if detect is None else detection.load(device)
    loaded = load_model(model, device, dtype)
    check_prompt(loaded, bool(marked))
    if explain and not hasattr(loaded, "explain"):
        raise InputError("This model is no matcher and cannot explain its answers; leave --explain out.")
    results = predict_files(loaded, paths, chosen, where, explain, max_pixels, **prediction)
    return write_results(chain(found.missing, results), len(paths) + len(found.missing), outputs)


def write_results(results: Any, total: int, outputs: Any) -> int:
    """Write results as they come, or print them where there are no outputs; 1 if something failed, else 0.

    results: an iterator over `inference.files.Result`.
    total: number of pictures.
    outputs: what `outputs.plan_outputs` gives.
    """
    failed = 0
    try:
        shared = outputs.empty and sys.stdout.isatty()
        with console.counting(total, "predict", shared_with_stdout=shared) as (say, advance):
            for result in results:
                errors = [result.error] if result.error else outputs.take(result)
                for sentence in errors:
                    say(f"error: {sentence}")
                if result.note and not console.is_quiet():
                    say(result.note)
                failed += bool(errors)
                if outputs.empty and not result.error:
                    print(text_table(result), flush=True)
                advance()
    finally:  # an interruption keeps what came before it
        unsaved = outputs.save()
        for sentence in unsaved:
            console.error(sentence)
    if failed:
        console.error(f"{failed} of {total} images failed.")
    if not (outputs.empty or unsaved) and failed < total:
        console.note(outputs.summary(total - failed))
    return 1 if failed or unsaved else 0


def prediction_options(
    strategy: str | None,
    seed: int,
    cumulative: bool,
    density: bool,
    grid: int | None,
    descriptions: str,
    mirror: bool,
    fine: bool | None,
    presence: float = 0.5,
) -> dict[str, Any]:
    """The keyword arguments of a model's `predict` that these options mean; those with their default are left out.

    Raises InputError for values that no model takes.
    """
    from ..decoding import Strategy
    from ..instructions import check_describe
    from ..models.arguments import check_density

    check_whole(seed, "A seed", 0)
    if grid is not None:
        check_density(grid)
    if strategy is not None:
        Strategy.parse(strategy)
    if grid is not None and not density:
        raise InputError("--grid says how fine a density is; give it together with --density.")
    check_describe(descriptions)
    check_share(presence, "--presence")
    given = {
        "strategy": strategy,
        "seed": seed,
        "cumulative": cumulative,
        "density": grid or density,
        "describe": descriptions,
        "mirror": mirror,
        "fine": fine,
        "presence": presence,
    }
    default = {
        "strategy": None,
        "seed": 0,
        "cumulative": False,
        "density": False,
        "describe": "detailed",
        "mirror": False,
        "fine": None,
        "presence": 0.5,
    }
    return {name: value for name, value in given.items() if value != default[name]}


def choose_category(
    name: str | None, keypoints: str | None, noun: str | None, marked: "Sequence[MarkedPicture]" = ()
) -> "Category":
    """The category that --category or --keypoints mean, one of them; without both, all keypoints of the examples."""
    from ..category import Category
    from ..example import marked_category
    from ..library.lookup import category

    if name is None and keypoints is None and marked:
        return marked_category(marked, noun)
    if (name is None) == (keypoints is None):
        if name is not None:
            raise InputError("Say what to find with either --category or --keypoints, but got both; leave one out.")
        raise InputError(
            "Say what to find, as --keypoints 'nose; left eye', --category NAME (`categories` lists them) or --example "
            "PICTURE:FILE."
        )
    if keypoints is not None:
        if os.path.isfile(keypoints):
            raise InputError(
                f"--keypoints takes names, but {keypoints} is a file; give a definition as --category {keypoints}, or "
                "write the names."
            )
        word = "object" if noun is None else noun
        return Category.from_text(keypoints, name=word, noun=word)
    chosen = category(name)
    return chosen if noun is None else replace(chosen, noun=noun)


@dataclass(frozen=True)
class DetectionOptions:
    """The options --detect, --detector, --detect-score and --detect-most; None where one is not given."""

    words: str | None
    detector: str | None
    score: float | None
    most: int | None

    def check(self, boxes: str | None) -> None:
        """Raise InputError, before anything is loaded, where the options do not fit together or with `boxes`."""
        from ..configs import typed
        from ..detection.detector import check_most, split_words

        given = {"--detector": self.detector, "--detect-score": self.score, "--detect-most": self.most}
        for option, value in given.items():
            if self.words is None and value is not None:
                raise InputError(f"{option} says how objects are detected; give it together with --detect WORDS.")
        if self.words is not None and boxes is not None:
            raise InputError("Boxes come either from --detect or from --boxes; leave one of them out.")
        if self.score is not None:
            check_share(self.score, "--detect-score")
        if self.most is not None:
            check_most(self.most)
        if self.words is not None:
            split_words(self.words)
            if doubt := typed.split_words(self.words)[1]:
                console.note(f"note: {doubt}")

    def load(self, device: str) -> "Search":
        """Load the detector and give the search for the words."""
        from .. import detector as load_detector
        from ..detection.search import Search

        loaded = load_detector(device=device) if self.detector is None else load_detector(self.detector, device=device)
        most = {} if self.most is None else {"most": self.most}
        return Search(loaded, self.words, self.score, **most)


def check_prompt(model: Any, with_example: bool) -> None:
    """Raise InputError, before the first picture is read, where the model cannot take such a prompt."""
    prompts = getattr(model, "prompts", ("text",))
    if not {"text", "example", "both"} & set(prompts):
        raise InputError("This model names given points and predicts none; use identify, or choose another --model.")
    if with_example and not {"example", "both"} & set(prompts):
        raise InputError("This model predicts from words alone; leave --example out, or choose another --model.")
    if not with_example and "text" not in prompts:
        raise InputError("This model predicts from an example; give one as --example PICTURE:FILE.")


def text_table(result: Any) -> str:
    """The poses of an `inference.files.Result` as aligned text, a line for each keypoint."""
    import numpy as np

    path = printable(str(result.path))
    lines = []
    for number, pose in enumerate(result.poses, start=1):
        title = path if len(result.poses) == 1 else f"{path}, object {number}"
        if pose.box is not None and pose.box_score is not None:
            place = ", ".join(f"{value:.1f}" for value in pose.box)
            title += f": {pose.box_word} {pose.box_score:.2f} in [{place}]"
        wide = console.columns_of(pose.names, 8)
        said = np.isfinite(pose.presence).any()
        head = f"  {'keypoint':<{wide}}  {'x':>8}  {'y':>8}  confidence"
        lines += [title, f"{head}  presence" if said else head]
        points = (pose.names, pose.xy.tolist(), pose.confidence, pose.presence, pose.present.tolist())
        for name, (x, y), confidence, presence, present in zip(*points, strict=True):
            sure = f"{'unknown':>10}" if np.isnan(confidence) else f"{confidence:>10.2f}"
            numbers = f"{'absent':>8}" if np.isnan(x) else f"{x:>8.1f}  {y:>8.1f}  {sure}"
            if said and not np.isnan(x):
                numbers += f"  {presence:>8.2f}{'' if present else '  absent'}"
            lines.append(f"  {console.padded(name, wide)}  {numbers}")
    return "\n".join(lines) or f"{path}\n  no object"
