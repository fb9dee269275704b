"""Tables of a made-up paper whose rows are tiny models on drawn data, for whole runs in seconds."""

from pathlib import Path

import tiny
import yaml

from anykeypoint.data.synthetic import write_dataset

LORA = {"r": 2, "alpha": 4}


def write_toy(folder: Path) -> Path:
    """Write data, base weights and the file of tables; gives the latter."""
    write_dataset(folder / "data", 6, seed=4, per_category=3, size=64)
    vision, language = tiny.bases(folder)
    towers = {
        "vision": {"name": "dinov2-l", "source": str(vision), "image_size": 42, "tuning": "lora", "lora": LORA},
        "language": {"name": "vicuna-7b", "source": str(language), "tuning": "lora", "lora": LORA},
    }
    base = {
        "model": towers,
        "recipe": {"item": "object", "epochs": 2, "accumulate": 2, "precision": "fp32"},
        "train": "mp100:nowhere{split}.json",
        "test": "mp100:nowhere{split}.json",
        "splits": [1],
    }
    labels = {"train": "coco:annotations.json", "test": "coco:annotations.json", "images": "images"}
    field = {**labels, "splits": ["field"], "items": 6}
    strategies = {
        "title": "strategies",
        "place": "Table 1",
        "metrics": ["pck@0.2", "mpck"],
        "rows": [
            {"row": "greedy search", "paper": {"pck@0.2": 96.98, "mpck": 91.98}},
            {"row": "mode", "ask": {"strategy": "mode"}, "paper": {"pck@0.2": 97.07, "mpck": 92.0}},
            {"row": "theirs", "published": "their page", "paper": {"mpck": 90}},
            {"row": "large", "field": None, "why": "It needs 80 GB."},
        ],
    }
    guided = {"title": "guidance", "place": "Table 2", "metrics": ["mpck"], "rows": [{"row": "guided"}]}
    guided["recipe"] = {"guide": {"layers": [1], "weight": 0.5}}
    tables = {"table-1": strategies, "table-2": guided}
    content = {"paper": "A toy", "prefix": "toy", "base": base, "field": field, "tables": tables}
    (folder / "toy.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "toy.yaml"
