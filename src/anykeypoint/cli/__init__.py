"""The command line. `main` runs it; each verb has a module of its own, imported when it is called."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments` (by default the program's own) and exit."""
    from .app import main as run

    run(arguments)
