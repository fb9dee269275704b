"""Where the labels, the pictures and the published weights of a reproduction are on this machine."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..forms.registry import fingerprint, label_files, parse
from ..models.sources.packages import fetched


@dataclass(frozen=True)
class Places:
    """The folders that a reproduction reads.

    data: the folder that the paths in the files of tables are relative to.
    models: a folder with published weights, a folder for each network by the last part of its hub id or the name of
        its package; None for the hub's cache and the packages alone.
    """

    data: Path
    models: Path | None = None

    def labels(self, spec: str) -> str:
        """FORM:FILE of a table's file, with the file in the data folder."""
        before, colon, file = spec.partition(":")
        return f"{before}:{self.data / file}" if colon else spec

    def images(self, folder: str) -> Path | None:
        """The folder of pictures; None where the labels say it themselves."""
        return self.data / folder if folder else None

    def missing_files(self, spec: str) -> list[Path]:
        """The label files of a table's specification that are not there."""
        located = self.labels(spec)
        path = parse(located)[2]
        if not path.exists():
            return [path]
        return [file for file in label_files(located) if not file.exists()]

    def check_labels(self, spec: str, before: str | None, holds: str) -> None:
        """InputError where the labels of a specification are here and are not those that something was done on.

        before: their fingerprint then; None where nothing was done. holds: subject of the sentence, as "out/a holds a
        training".
        """
        if before is not None and not self.missing_files(spec) and before != fingerprint(self.labels(spec)):
            raise InputError(
                f"{holds} on other labels than {self.labels(spec)} has now; give another output folder or remove it."
            )

    def network(self, name: str) -> Path | None:
        """The folder of a network in `models`; None where there is none. name: its hub id, or its package's name."""
        folder = None if self.models is None else self.models / name.rpartition("/")[2]
        return folder if folder is not None and folder.is_dir() else None

    def is_here(self, source: str) -> bool:
        """Whether the weights of a hub id, folder or file can be read without a network."""
        return self.network(source) is not None or Path(source).exists() or _in_hub_cache(source)

    def has_package(self, name: str) -> bool:
        """Whether packaged weights can be read without a network."""
        return fetched(name)


def _in_hub_cache(source: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(source, "config.json"), str)
    except HFValidationError:
        return False
