"""Write the statistics of the baselines that go by name from a COCO-keypoints file.

Usage: python tools/mean_positions.py ANNOTATIONS.json [OUT.json]
"""

import json
import sys
import tempfile
from pathlib import Path

from anykeypoint.evaluation.baselines import name_statistics
from anykeypoint.evaluation.baselines.base import CROP_SCALE
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset

OUT = Path(name_statistics.__file__).with_name("mean_positions.json")


def labels(annotations: Path) -> Dataset:
    """The labels alone: read with stand-ins for the pictures, which the statistics do not need."""
    with tempfile.TemporaryDirectory() as folder:
        for entry in json.loads(annotations.read_text(encoding="utf-8"))["images"]:
            path = Path(folder, entry["file_name"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return read_coco(annotations, folder)


def main() -> None:
    annotations = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else OUT
    objects = labels(annotations).objects
    positions, counts = name_statistics.mean_positions(objects), name_statistics.name_counts(objects)
    rows = ",\n".join(f"  {json.dumps(name)}: [{x:.3f}, {y:.3f}]" for name, (x, y) in positions.items())
    numbers = ",\n".join(f"  {json.dumps(name)}: {count}" for name, count in counts.items())
    about = f"mean keypoint positions in the square of {CROP_SCALE} boxes and how many were labelled, by name"
    out.write_text(
        f'{{"about": {json.dumps(about)}, "positions": {{\n{rows}\n}}, "counts": {{\n{numbers}\n}}}}\n',
        encoding="utf-8",
    )
    print(f"{len(positions)} names written to {out}")


if __name__ == "__main__":
    main()
