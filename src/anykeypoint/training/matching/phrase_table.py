"""The vectors of all phrases of a run, encoded once in batches and kept in the run's folder.

Letters: P phrases, D channels of a phrase.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ...io import write_bytes
from ...models.matching.phrasing import Phrase
from ...models.towers.text import TextEncoder

ABOUT, VECTORS = "about.json", "vectors.npy"


class PhraseTable:
    """Phrases, each text once, and their vectors P D."""

    def __init__(self, phrases: Sequence[Phrase], vectors: Tensor) -> None:
        self.phrases = phrases
        self.rows = {phrase.text: row for row, phrase in enumerate(phrases)}
        self.vectors = vectors

    def vectors_of(self, phrases: Sequence[Phrase]) -> Tensor:
        """The vectors of some of the phrases."""
        return self.vectors[[self.rows[phrase.text] for phrase in phrases]]


def phrase_table(
    encoder: TextEncoder, phrases: Sequence[Phrase], folder: Path, accelerator: Accelerator, quiet: bool = False
) -> PhraseTable:
    """The table of these phrases: what `folder` holds, where that is of the same list and encoder, else encoded now.

    phrases: each text once, in the same order whenever the run is resumed.
    accelerator: the processes of the run; the main one encodes.
    quiet: nothing is said on stderr.
    """
    texts = [phrase.text for phrase in phrases]
    listed = hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    about = {"phrases": len(texts), "texts": listed, "encoder": encoder.config.to_dict()}
    path = folder / ABOUT
    if accelerator.is_main_process and not (path.exists() and json.loads(path.read_text()) == about):
        if not quiet:
            print(f"encoding {len(texts)} phrases, once for this run", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        np.save(folder / VECTORS, encoder.phrases_in_batches(texts).numpy())
        write_bytes(path, json.dumps(about, indent=1).encode())
    accelerator.wait_for_everyone()
    return PhraseTable(phrases, torch.from_numpy(np.load(folder / VECTORS)).to(accelerator.device))
