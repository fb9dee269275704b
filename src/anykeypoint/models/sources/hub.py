"""Pretrained networks from a folder or the Hugging Face hub, with errors that say what to do.

Weights are read only from safetensors, and code in a repository is never run. transformers is imported when it is first
needed.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError, first_few

COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")  # tables that old files hold and networks compute
_HALVES = {"BF16": torch.bfloat16, "F16": torch.float16}


def load_config(source: str) -> Any:
    """The transformers config of a hub id or folder; InputError with one sentence where it cannot be had."""
    from transformers import AutoConfig

    with _one_sentence(source), _quiet():
        return AutoConfig.from_pretrained(_checked(source), trust_remote_code=False)


def read_config(source: str) -> dict[str, Any]:
    """The config.json of a hub id or folder as it is, also of a model type that transformers does not have."""
    from transformers import PretrainedConfig

    with _one_sentence(source), _quiet():
        return PretrainedConfig.get_config_dict(_checked(source))[0]


def load_tokenizer(source: str) -> Any:
    """The tokenizer of a hub id or folder; InputError with one sentence where it cannot be had."""
    from transformers import AutoTokenizer

    with _one_sentence(source), _quiet():  # transformers warns of a CapeLLM checkpoint's config.json, which it ignores
        return AutoTokenizer.from_pretrained(_checked(source), trust_remote_code=False)


def load_image_processor(source: str) -> Any:
    """transformers' image processor of a hub id or folder; with Pillow, which gives the same numbers everywhere."""
    from transformers import AutoImageProcessor

    with _one_sentence(source), _quiet():
        return AutoImageProcessor.from_pretrained(_checked(source), trust_remote_code=False, backend="pil")


def load_processor(source: str) -> Any:
    """The processor of an image-text model, of a hub id or folder; pictures as in `load_image_processor`."""
    from transformers import AutoProcessor

    with _one_sentence(source), _quiet():
        return AutoProcessor.from_pretrained(_checked(source), trust_remote_code=False, backend="pil")


def load_model(model_class: Any, source: str, dtype: torch.dtype | str, **options: Any) -> Any:
    """A network of transformers with the weights of a hub id or folder.

    model_class: its class.
    source: the hub id or folder.
    dtype: precision of the weights; "auto" is that of the files.
    options: fields of its config that differ from config.json.

    Weights that the class has no place for (a text encoder, a classifier) are left out. Raises InputError where the
    network cannot be had, and where the files lack one of its weights, which transformers would fill with random
    numbers.
    """
    with _one_sentence(source), _quiet():
        model, report = model_class.from_pretrained(
            _checked(source), use_safetensors=True, output_loading_info=True, dtype=dtype, **options
        )
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"The weights of {source} lack {first_few(missing, 4)}, which {type(model).__name__} needs; use a "
            "checkpoint with them."
        )
    return model


def load_state(model_class: Any, config: Any, state: dict[str, Any], dtype: torch.dtype, source: str) -> Any:
    """A network of transformers with tensors that are there already, in eval mode.

    model_class: its class.
    config: its transformers config.
    state: all of its tensors under its own names.
    dtype: precision of the weights.
    source: where the tensors come from, for messages.
    """
    with _one_sentence(source), _quiet():
        return model_class.from_pretrained(None, config=config, state_dict=state, dtype=dtype).eval()


def weight_files(source: str) -> list[Path]:
    """The safetensors files of a hub id or folder, sorted; InputError where it has none or cannot be had."""
    from huggingface_hub import snapshot_download

    folder = Path(_checked(source))
    if not folder.is_dir():
        with _one_sentence(source):
            folder = Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors"]))
    if files := sorted(folder.glob("*.safetensors")):
        return files
    raise InputError(f"{source} has no safetensors weights; convert them to model.safetensors and give that folder.")


def stored_half(source: str) -> torch.dtype | None:
    """The half precision that all weights of a hub id or folder are stored in; None where there is no such one.

    Reads the heads of the files that `load_model` reads, and no weight.
    """
    kinds: set[str] = set()
    for file in _model_files(source):
        with open_tensors(file) as tensors:
            names = [name for name in tensors.keys() if not name.endswith(COMPUTED)]  # noqa: SIM118 - no mapping
            kinds |= {tensors.get_slice(name).get_dtype() for name in names}
    floating = {kind for kind in kinds if kind.startswith(("BF", "F"))}
    return _HALVES.get(floating.pop()) if len(floating) == 1 else None


def _model_files(source: str) -> list[Path]:
    """The safetensors files that transformers reads of a hub id or folder; none where it has none of the usual name."""
    from huggingface_hub import snapshot_download

    whole, index = "model.safetensors", "model.safetensors.index.json"
    folder = Path(_checked(source))
    on_hub = not folder.is_dir()
    with _one_sentence(source):
        if on_hub:
            folder = Path(snapshot_download(source, allow_patterns=[whole, index]))
        if (folder / whole).is_file() or not (folder / index).is_file():
            return [file for file in [folder / whole] if file.is_file()]
        names = sorted(set(json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()))
        if on_hub:
            folder = Path(snapshot_download(source, allow_patterns=names))
    return [folder / name for name in names]


def open_tensors(file: Path) -> Any:
    """The reader of a safetensors file, as a context; InputError where it cannot be read."""
    from safetensors import safe_open

    with _one_sentence(str(file)):
        return safe_open(file, framework="pt")


def _checked(source: str) -> str:
    """The source; InputError where it looks like a path but is no folder, so that no hub is asked for it."""
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    if looks_like_path and not Path(source).is_dir():
        raise InputError(f"There is no folder {source}; give a folder with config.json and safetensors, or a hub id.")
    return source


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back transformers' progress bars, its loading report and its warnings of changes to come.

    What matters in the report becomes an error of `load_model`.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _one_sentence(source: str) -> Iterator[None]:
    """Turn the errors of transformers and the hub's client into an InputError of one sentence."""
    from huggingface_hub.errors import HFValidationError
    from safetensors import SafetensorError

    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError, HFValidationError) as error:
        raise InputError(explain(error, source)) from error


def explain(error: BaseException, source: str) -> str:
    """One sentence for a failure to load `source`: what was wrong and what to do.

    error: what was raised, with its causes.
    source: the hub id or folder.
    """
    from huggingface_hub import errors

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__

    def is_any(*kinds: type) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    text = " ".join(str(link) for link in chain)
    folder = Path(source).is_dir()
    if is_any(errors.GatedRepoError):
        return (
            f"The repository {source} is gated; accept its licence on the hub, log in with `hf auth login` and try "
            "again, or give a folder."
        )
    if is_any(errors.RepositoryNotFoundError, errors.HFValidationError):
        return f"There is no public repository {source} on the hub; check the name, or give a folder."
    if "trust_remote_code" in text:
        return f"{source} brings code of its own, which is never run; choose a model that transformers itself has."
    if not folder and (
        is_any(errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError)
        or "couldn't connect" in text
        or "offline" in text
    ):
        return f"The hub cannot be reached and {source} is not in the local cache; connect once, or give a folder."
    if "safetensors" in text and isinstance(error, OSError):
        return f"{source} has no safetensors weights; convert them to model.safetensors and give that folder."
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    return f"{source} cannot be loaded ({reason}); give a folder or hub id with config.json and safetensors."
