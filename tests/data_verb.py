"""`anykeypoint data` as people call it, for tests."""

import pytest

from anykeypoint import cli


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", *(str(argument) for argument in arguments)])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err
