"""docs/recipes.md from the code: every key of every recipe, with its default and its meaning.

python tools/recipes_page.py            writes the page
python tools/recipes_page.py --check    exits 1 where the page is another
"""

import inspect
import json
import re
import sys
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from written_page import write_or_check

from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.training.adapting.adapt_config import AdaptConfig
from anykeypoint.training.matching.matcher_config import ModalityDropout
from anykeypoint.training.matching.phrase_draws import PhraseDraws
from anykeypoint.training.trainable import FAMILIES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
HEAD = """# Recipes of `train` and `adapt`

A recipe is a YAML file of the keys below, given as `train --recipe FILE`; all keys have defaults, and an unknown one is
refused. A file of `experiments/` has a model and its recipe together: `train --model FILE` takes both, `--recipe FILE`
the recipe alone, and either takes the name of such a file that comes with the package, as in `train --model fast`.
`train --start NAME` without a recipe trains a saved matcher further as `experiments/further.yaml` says, and holds a
fifth of the objects out to say whether the model got better (`--held-out`). This page is written from the code by
`tools/recipes_page.py`.
"""
PARTS = {
    "Augmentation (`augment`)": AugmentConfig,
    "One prompt only (`modality_dropout`)": ModalityDropout,
    "Forms and words of phrases (`phrase_draws`)": PhraseDraws,
}


def meanings(kind: type) -> dict[str, str]:
    """Name of a field -> what the docstring of its class says of it; classes further down win over their bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        text = inspect.cleandoc(base.__doc__ or "")
        for names, meaning in re.findall(r"^([a-z_0-9, ]+): (.*(?:\n {4}.*)*)", text, flags=re.MULTILINE):
            for name in names.split(", "):
                found[name] = " ".join(meaning.split())
    return found


def default(field: Field) -> str:
    """A field's default as YAML has it; what `augment` and the like are is a table of its own."""
    value: Any = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
    if is_dataclass(value):
        given = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) != f.default}
        return ", ".join(f"{name}: {_yaml(one)}" for name, one in given.items()) or "none of its keys"
    return _yaml(value)


def _yaml(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".") if value else "0"  # YAML reads 1e-05 as a text
    text = str(value)
    return text if re.fullmatch(r"[\w.-]+", text) else json.dumps(text, ensure_ascii=False)


def table(kind: type) -> str:
    """The keys of a config class as a table."""
    said = meanings(kind)
    rows = ["| key | default | |", "|---|---|---|"]
    for field in fields(kind):
        meaning = said.get(field.name, "").replace("|", "\\|")
        rows.append(f"| `{field.name}` | {default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for what, family in FAMILIES.items():
        parts.append(f"## {what[0].upper()}{what[1:]}\n\n{table(family.recipe)}")
    parts.append(f"## Adapting (`adapt --recipe`)\n\n{table(AdaptConfig)}")
    for what, kind in PARTS.items():
        parts.append(f"## {what}\n\n{table(kind)}")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    said = "docs/recipes.md is not that of the code; run python tools/recipes_page.py."
    return write_or_check(arguments, PAGE, page(), said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
