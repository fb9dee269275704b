"""Models: what all have in common, their families, towers and sources of weights."""

import sys

from ..errors import InputError

if sys.flags.optimize >= 2:  # transformers makes classes from docstrings, and fails where there are none
    raise InputError(
        "Models cannot be loaded under python -OO (PYTHONOPTIMIZE=2), which drops the docstrings that transformers "
        "reads; take -O or none."
    )
