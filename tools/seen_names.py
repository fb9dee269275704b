"""Write the names that a model was trained on into its folder, where training has not done it.

    python tools/seen_names.py MODEL_FOLDER FORM:FILE [FORM:FILE ...]

The data are those of the training, as `anykeypoint train --data` takes them; `evaluate` then splits its points by names
seen in training without `--trained-on`.
"""

import sys
from pathlib import Path

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read_categories
from anykeypoint.models.folders import model_type
from anykeypoint.models.seen_names import SEEN_NAMES, SeenNames


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__)
        return 2
    folder, *specs = arguments
    if model_type(Path(folder)) is None:
        raise InputError(f"{folder} is not a model folder; give one with config.json.")
    seen = SeenNames.of([category for spec in specs for category in read_categories(spec)])
    seen.write(Path(folder))
    print(f"{Path(folder) / SEEN_NAMES}: {len(seen.names)} names of {len(seen.nouns)} kinds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
