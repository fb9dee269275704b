"""`python -m anykeypoint.cli`, which `accelerate launch` can start."""

from . import main

main()
