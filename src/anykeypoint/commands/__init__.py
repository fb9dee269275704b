"""The verbs of the command line, one module each: `run(...)` does the work and returns the exit code.

0 all went right, 1 some of the work failed (each failure named on stderr). An InputError out of `run` means that
nothing could start; `cli.main` prints its sentence and exits with 2.
"""
