"""How far points move when a model computes in half precision: the shift from float32, by model, dtype and prompt.

    python benchmarks/half_precision.py --data coco:field2_val.json --images images/ --model fast kptllm-small

Objects: --objects labelled ones, the kinds of the data in turn, each asked by words, by an example (another object of
its kind) and by both, as far as the model takes them; and the pictures of `examples/`. A shift is a share of the longer
side of the object's box, in percent. Models with a strategy read by it (`mode` for the shipped ones).
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import anykeypoint as ak
from anykeypoint.cli import console
from anykeypoint.data.pairs import by_category, one_each
from anykeypoint.example import marked_category, read_marked, to_example
from anykeypoint.forms.dataset import Dataset
from anykeypoint.forms.registry import read
from anykeypoint.models.loading import DTYPES

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BELOW = 1.0  # percent of the box's longer side
PROMPTS = ("text", "example", "both")


@dataclass(frozen=True)
class Question:
    """One object and what it can be asked with. box: None is the whole picture. example: None for words alone."""

    picture: Path
    category: ak.Category
    box: tuple | None = None
    example: Any = None


def shipped_questions() -> list[Question]:
    """The pictures of `examples/`: two by words, two by an example that is there too."""
    found = [
        Question(EXAMPLES / "cat.jpg", ak.category("animal_face")),
        Question(EXAMPLES / "astronaut.jpg", ak.category("human_body")),
    ]
    for kind in ("horse", "paper"):
        marked = read_marked(f"{EXAMPLES / f'{kind}_1.jpg'}:{EXAMPLES / f'{kind}_1.json'}")
        category = marked_category([marked], None)
        found.append(Question(EXAMPLES / f"{kind}_2.jpg", category, None, to_example(marked, category)))
    return found


def labelled_questions(data: Dataset, count: int) -> list[Question]:
    """The first objects of each category in turn, `count` in all, each with an example of the protocol 1-shot."""
    pairs = {pair.query: pair for pair in one_each(data, 1, seed=0)}
    queues = [[row for row in rows if row in pairs] for rows in by_category(data).values()]
    order = [rows[turn] for turn in range(max(map(len, queues))) for rows in queues if turn < len(rows)]
    found = []
    for row in order[:count]:
        item, shown = data.objects[row], data.objects[pairs[row].examples[0]]
        example = ak.Example(shown.image, shown.points, shown.box, item.category)
        found.append(Question(item.image, item.category, item.box, example))
    return found


def answers(model: Any, questions: Iterable[Question]) -> dict[str, list[np.ndarray]]:
    """Prompt -> the points of each question in shares of the box's longer side, NaN where absent."""
    found: dict[str, list[np.ndarray]] = {}
    for question in questions:
        view = model.encode(question.picture, question.box)
        for prompt in PROMPTS:
            if prompt not in getattr(model, "prompts", ("text",)) or (prompt != "text" and question.example is None):
                continue
            options = {} if prompt == "text" else {"example": question.example, "words": prompt == "both"}
            pose = view.predict(question.category, **options)
            found.setdefault(prompt, []).append(pose.xy / max(pose.box[2:]))
    return found


def figures(exact: Mapping[str, list[np.ndarray]], half: Mapping[str, list[np.ndarray]]) -> dict[str, dict[str, float]]:
    """Prompt, and "all" -> number of points and their shifts in percent: median, quantiles, and share below BELOW."""
    shifts = {
        prompt: np.concatenate([np.linalg.norm(a - b, axis=1) for a, b in zip(points, half[prompt], strict=True)])
        for prompt, points in exact.items()
    }
    shifts["all"] = np.concatenate(list(shifts.values()))
    table = {}
    for prompt, values in shifts.items():
        values = 100 * values[~np.isnan(values)]
        table[prompt] = {
            "points": len(values),
            "median": float(np.median(values)),
            "95 %": float(np.quantile(values, 0.95)),
            "99 %": float(np.quantile(values, 0.99)),
            "below 1 %": float(100 * (values < BELOW).mean()),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["fast", "capellm-small", "kptllm-small"])
    parser.add_argument("--dtype", nargs="+", default=[name for name in DTYPES if name != "float32"], choices=DTYPES)
    parser.add_argument("--data", help="FORM:FILE of labelled objects; without it the shipped pictures alone")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    questions = shipped_questions()
    if options.data:
        questions += labelled_questions(read(options.data, options.images), options.objects)
    table: dict[str, Any] = {}
    for name in options.model:
        exact = answers(ak.load(name, options.device), console.track(questions, f"{name} float32"))
        for dtype in options.dtype:
            model = ak.load(name, options.device, dtype)
            table[f"{name} {dtype}"] = figures(exact, answers(model, console.track(questions, f"{name} {dtype}")))
            for prompt, row in table[f"{name} {dtype}"].items():
                cells = " ".join(f"{value:9.3f}" if key != "points" else f"{value:6}" for key, value in row.items())
                print(f"{name:14} {dtype:9} {prompt:8} {cells}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
