"""`python -m anykeypoint` is the command line."""

from .cli import main

main()
