"""`anykeypoint predict`: keypoints of objects in pictures, to a table, files or a folder."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..configs.checks import check_share
from ..detection.detector import check_most, split_words
from ..detection.search import Search
from ..drawing.explanations import draw_explanations
from ..drawing.overlay import draw_poses, save_picture
from ..drawing.panels import draw_densities
from ..errors import InputError
from ..example import MarkedPicture, asked_category, read_marked, to_example
from ..forms.poses import write_coco, write_csv, write_json
from ..inference.box_files import read_boxes
from ..inference.files import Result, find_images, predict_files
from ..instructions import check_describe
from ..library.lookup import category as named_category
from ..pose import Pose

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
TABLES = {".json": write_coco, ".csv": write_csv}
SAVE_EVERY = 30.0  # seconds between writings of the tables, so that even a killed run keeps what it had

Say = Callable[[str], None]


def run(
    sources: Sequence[str],
    *,
    category: str | None = None,
    keypoints: str | None = None,
    noun: str | None = None,
    examples: Sequence[str] = (),
    words: bool = True,
    boxes: str | None = None,
    detect: str | None = None,
    detector: str | None = None,
    detect_score: float | None = None,
    detect_most: int | None = None,
    model: str | None = None,
    strategy: str | None = None,
    seed: int = 0,
    cumulative: bool = False,
    density: bool = False,
    grid: int | None = None,
    explain: bool = False,
    descriptions: str = "detailed",
    device: str = "auto",
    outputs: Sequence[str] = (),
) -> int:
    """Predict every picture and write the poses as they come; 1 if some pictures failed, else 0.

    model: None takes a shipped one that can do what is asked.
    Raises InputError, before the model is loaded, if the request cannot be carried out as it stands.
    """
    marked = [read_marked(text) for text in examples]
    asked = choose_category(category, keypoints, noun, marked)
    if strategy is not None:
        from ..decoding import Strategy

        Strategy.parse(strategy)
    if grid is not None and not density:
        raise InputError("--grid says how fine a density is; give it together with --density.")
    if not words and not marked:
        raise InputError("--no-words asks by examples alone; give --example PICTURE:FILE, or leave it out.")
    check_describe(descriptions)
    check_search(detect, detector, detect_score, detect_most, boxes)
    options = {"strategy": strategy, "seed": seed, "cumulative": cumulative, "density": grid or density}
    usual = {"strategy": None, "seed": 0, "cumulative": False, "density": False, "describe": "detailed"}
    options = {key: value for key, value in {**options, "describe": descriptions}.items() if value != usual[key]}
    if marked:
        options["example"] = [to_example(one, asked) for one in marked]
    if not words:
        options["words"] = False
    paths = list(dict.fromkeys(path for source in sources for path in find_images(source)))
    located = None if boxes is None else read_boxes(boxes)
    if located is not None:
        located.assign(paths)  # refuses what does not fit while nothing is lost
    kept = [*paths, *(Path(given) for given in (boxes, category) if given)]
    kept += [path for one in marked for path in (one.picture, one.file)]
    sinks = plan_outputs(outputs, paths, kept, density, explain)

    from .. import load

    where = located if detect is None else load_search(detect, detector, detect_score, detect_most, device)
    loaded = load(model or ("fast" if marked or explain else "default"), device=device)
    check_prompt(loaded, bool(marked))
    if explain and not hasattr(loaded, "explain"):
        raise InputError("This model is no matcher and cannot explain its answers; leave --explain out.")
    results = predict_files(loaded, paths, asked, where, explain, **options)
    failed = 0
    try:
        with _progress(len(paths), quiet=not outputs and sys.stdout.isatty()) as (say, advance):
            for result in results:
                errors = [result.error] if result.error else sinks.take(result)
                for sentence in errors:
                    say(f"error: {sentence}")
                if result.note:
                    say(result.note)
                failed += bool(errors)
                if not outputs and not result.error:
                    print(text_table(result), flush=True)
                advance()
    finally:  # an interruption keeps what came before it
        unsaved = sinks.save()
        for sentence in unsaved:
            print(f"error: {sentence}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(paths)} images failed.", file=sys.stderr)
    return 1 if failed or unsaved else 0


def choose_category(
    name: str | None, keypoints: str | None, noun: str | None, marked: Sequence[MarkedPicture] = ()
) -> Category:
    """The category that --category or --keypoints mean, one of them; without both, all points of the examples."""
    if name is None and keypoints is None and marked:
        return asked_category(marked, noun)
    if (name is None) == (keypoints is None):
        given = "neither" if name is None else "both"
        raise InputError(f"Say what to find with either --category or --keypoints, but got {given}.")
    if keypoints is not None:
        word = noun or "object"
        return Category.from_text(keypoints, name=word, noun=word)
    found = named_category(name)
    return found if noun is None else replace(found, noun=noun)


def check_search(
    words: str | None, detector: str | None, score: float | None, most: int | None, boxes: str | None
) -> None:
    """InputError, before anything is loaded, where --detect and its options do not go together."""
    given = {"--detector": detector, "--detect-score": score, "--detect-most": most}
    for option, value in given.items():
        if words is None and value is not None:
            raise InputError(f"{option} says how objects are looked for; give it together with --detect WORDS.")
    if words is not None and boxes is not None:
        raise InputError("Boxes come either from --detect or from --boxes; leave one of them out.")
    if score is not None:
        check_share(score, "--detect-score")
    if most is not None:
        check_most(most)
    if words is not None:
        split_words(words)


def load_search(words: str, detector: str | None, score: float | None, most: int | None, device: str) -> Search:
    """The detector that --detector names, told what to look for."""
    from .. import detector as load_detector

    loaded = load_detector(device=device) if detector is None else load_detector(detector, device=device)
    return Search(loaded, words, score) if most is None else Search(loaded, words, score, most)


def check_prompt(model: Any, shown: bool) -> None:
    """InputError where a model cannot be asked so, before the first picture is read; it judges the rest itself."""
    prompts = getattr(model, "prompts", ("text",))
    if shown and not {"example", "both"} & set(prompts):
        raise InputError("This model is asked by words alone; leave --example out, or choose another --model.")
    if not shown and "text" not in prompts:
        raise InputError("This model is asked by an example; give one as --example PICTURE:FILE.")


def text_table(result: Result) -> str:
    """The poses of one picture as aligned text: a line per keypoint, "absent" where there is none."""
    lines = []
    for number, pose in enumerate(result.poses, start=1):
        title = str(result.path) if len(result.poses) == 1 else f"{result.path}, object {number}"
        if pose.box is not None and pose.box_score is not None:
            place = ", ".join(f"{value:.1f}" for value in pose.box)
            title += f": {pose.box_word} {pose.box_score:.2f} in [{place}]"
        wide = max(8, *(len(name) for name in pose.names))
        lines += [title, f"  {'keypoint':<{wide}}  {'x':>8}  {'y':>8}  confidence"]
        for name, (x, y), confidence in zip(pose.names, pose.xy.tolist(), pose.confidence.tolist(), strict=True):
            sure = f"{'unknown':>10}" if np.isnan(confidence) else f"{confidence:>10.2f}"
            numbers = f"{'absent':>8}" if np.isnan(x) else f"{x:>8.1f}  {y:>8.1f}  {sure}"
            lines.append(f"  {name:<{wide}}  {numbers}")
    return "\n".join(lines) or f"{result.path}\n  no object"


# --- outputs -------------------------------------------------------------------------------------------------------


@dataclass
class Outputs:
    """Where poses go: pictures as they come, tables at the end and every SAVE_EVERY seconds."""

    pictures: dict[Path, list[Path]] = field(default_factory=dict)  # image -> pictures to draw
    densities: dict[Path, Path] = field(default_factory=dict)  # image -> JSON with all that its poses hold
    panels: dict[Path, Path] = field(default_factory=dict)  # image -> picture with a panel per keypoint
    explained: dict[Path, Path] = field(default_factory=dict)  # image -> picture with a row of stages per keypoint
    tables: list[Path] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)
    finished: int = 0

    def take(self, result: Result) -> list[str]:
        """Write what can be written of a result now; the sentences of what could not."""
        self.finished += 1
        if self.tables:
            self.poses += [replace(pose, density=None) for pose in result.poses]  # tables have no room for it
        errors = []
        for write in self._writers(result):
            try:
                write()
            except InputError as error:
                errors.append(str(error))
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()
        return errors

    def _writers(self, result: Result) -> Iterator[Callable[[], None]]:
        if targets := self.pictures.get(result.path):

            def draw() -> None:
                drawn = draw_poses(result.path, result.poses)
                for target in targets:
                    save_picture(drawn, target)

            yield draw
        if (path := self.densities.get(result.path)) is not None:
            yield lambda: write_json(result.poses, path)
        if (sheet := self.panels.get(result.path)) is not None and any(pose.density for pose in result.poses):
            yield lambda: save_picture(draw_densities(result.path, result.poses), sheet)
        if (stages := self.explained.get(result.path)) is not None and any(p.present.any() for p in result.poses):
            yield lambda: save_picture(draw_explanations(result.path, result.explanations), stages)

    def save(self) -> list[str]:
        """Write the tables, unless no picture went right; the sentences of those that could not be."""
        errors = []
        for path in self.tables if self.finished else ():
            try:
                TABLES[path.suffix.lower()](self.poses, path)
            except InputError as error:
                errors.append(str(error))
        self.saved = time.monotonic()
        return errors


def plan_outputs(
    outputs: Sequence[str], paths: Sequence[Path], kept: Sequence[Path], density: bool, explain: bool = False
) -> Outputs:
    """Decide every file name before anything is computed, and make the folders.

    kept: files that must not be overwritten. Raises InputError for an output of no known kind, without a folder to lie
    in, that would overwrite one of `kept`, or that has no room for what was asked.
    """
    plan = Outputs()
    for text in dict.fromkeys(outputs):
        path, suffix = Path(text), Path(text).suffix.lower()
        if text.endswith(("/", os.sep)) or path.is_dir() or not suffix:
            _make_folder(path)
            for image, stem in zip(paths, unique_stems(paths), strict=True):
                plan.pictures.setdefault(image, []).append(path / f"{stem}.png")
                if density:
                    plan.densities[image] = path / f"{stem}.density.json"
                    plan.panels[image] = path / f"{stem}_densities.png"
                if explain:
                    plan.explained[image] = path / f"{stem}_explained.png"
            plan.tables += [path / "poses.json", path / "poses.csv"]
            continue
        if suffix in PICTURES:
            if len(paths) != 1:
                raise InputError(f"{text} holds one picture, but {len(paths)} images were given; give a folder.")
            plan.pictures.setdefault(paths[0], []).append(path)
        elif suffix in TABLES:
            plan.tables.append(path)
        else:
            known = ", ".join((*PICTURES, *TABLES))
            raise InputError(f"An output must end in {known}, or in / for a folder, but got {text}.")
        if not path.parent.is_dir():
            raise InputError(f"Cannot write {text}: there is no folder {path.parent}; make it first.")
    if density and not plan.pictures:
        raise InputError("--density needs a picture or a folder to be written to; add e.g. -o out/.")
    if explain and not plan.explained:
        raise InputError("--explain needs a folder to be written to; add e.g. -o out/.")
    drawn = [file for files in plan.pictures.values() for file in files]
    for sheets, option in ((plan.panels, "--density"), (plan.explained, "--explain")):
        if twice := {_identity(file) for file in drawn} & {_identity(file) for file in sheets.values()}:
            raise InputError(f"Two outputs would be called {min(twice)}; give that image another name or no {option}.")
    files = [*plan.tables, *plan.densities.values(), *plan.panels.values(), *plan.explained.values(), *drawn]
    inputs = {_identity(path): path for path in kept}
    for file in files:
        if (lost := inputs.get(_identity(file))) is not None:
            raise InputError(f"The output {file} would overwrite the input {lost}; choose another place.")
    return plan


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """A name for each image's outputs: its stem, with the suffix where stems are equal, and a number beyond that."""
    stems = [path.stem.casefold() for path in paths]  # some file systems do not tell A from a
    names = [path.stem if stems.count(stem) == 1 else path.name for path, stem in zip(paths, stems, strict=True)]
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 2
        while names[i].casefold() in taken:
            names[i], number = f"{name}-{number}", number + 1
        taken.add(names[i].casefold())
    return names


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {path}: {error.strerror}; choose another.") from error


def _identity(path: Path) -> str:
    return os.path.realpath(path).casefold()


# --- progress ------------------------------------------------------------------------------------------------------


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[tuple[Say, Callable[[], None]]]:
    """How to say a sentence on stderr and how to count one image: with a bar for several images on a terminal."""
    if total < 2 or quiet or not sys.stderr.isatty():
        yield lambda sentence: print(sentence, file=sys.stderr, flush=True), lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    # stdout is left alone: it may be a pipe.
    with Progress(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task("predict", total=total)
        yield (
            lambda sentence: console.print(sentence, markup=False, highlight=False, soft_wrap=True),
            lambda: bar.advance(task),
        )
