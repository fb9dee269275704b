"""What the tools that write a page of docs/ from the code end with: write it, or say that it is out of date."""

from pathlib import Path


def write_or_check(arguments: list[str], path: Path, text: str, said: str) -> int:
    """Write a page; with the one argument "--check" only see whether it is this text. Gives the exit code.

    said: a sentence for a page that is not.
    """
    if arguments != ["--check"]:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(said)
    return 1
