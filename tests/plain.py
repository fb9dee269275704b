"""The slow plain way to an answer: one `generate` over the whole sequence, nothing shared; and answers as text."""

import torch
from transformers import LogitsProcessor


class _Template(LogitsProcessor):
    """Allows at each step what the codec's template allows, given the digits so far."""

    def __init__(self, codec, start):
        self.codec, self.start = codec, start

    def __call__(self, input_ids, scores):
        done = input_ids[0, self.start :].tolist()
        template = self.codec.template()
        allowed = template[len(done)]
        number = 1 + len(self.codec.point) + len(self.codec.digits)
        begin = len(self.codec.opening)
        if len(done) >= begin + number + len(self.codec.comma):
            begin += number + len(self.codec.comma)
        if begin < len(done) < begin + number and done[begin] == self.codec.leads[1] and len(allowed) > 1:
            allowed = allowed[:1]  # after "1." only zeros
        mask = torch.full_like(scores, float("-inf"))
        mask[:, list(allowed)] = 0
        return scores + mask


def write_answer(x: float, y: float, spaced: bool = False) -> str:
    """A point, in fractions of the crop, as a model is to write it."""
    return f"[{x:.3f},{' ' if spaced else ''}{y:.3f}]"


def slow(language, codec, prefix, question):
    """The reference: everything from scratch for one question."""
    ids = torch.tensor([question])
    embeddings = torch.cat([prefix, language.get_input_embeddings()(ids)], dim=1)
    steps = len(codec.template())
    written = language.generate(
        inputs_embeds=embeddings,
        attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
        max_new_tokens=steps,
        min_new_tokens=steps,
        do_sample=False,
        logits_processor=[_Template(codec, 0)],
        pad_token_id=0,
    )
    return [round(value * 1000) for value in codec.decode(written[0].tolist())]
