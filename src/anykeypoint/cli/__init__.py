"""The command line: `main` runs it. `app` has the table of verbs; each verb is a module of its own."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments`, by default those of the process, and end the process with an exit code."""
    from .app import main as run

    run(arguments)
