"""Whose words a model is asked with in an evaluation."""

from ..errors import InputError
from ..forms.phrases import FILE, LIBRARY
from ..models.folders import model_type
from ..models.loading import find
from ..models.matching.matcher_folder import MODEL_TYPE, read_config


def evaluated_phrases(name: str, phrases: str | None) -> str | None:
    """Whose words `forms.registry.read` is to read the data of an evaluation with.

    name: of the model.
    phrases: what was asked for; None takes those that the model was trained in, and the library's where that is not
        known. Of a model of the files' phrases, a file without phrases is asked about in the library's words (None).
    Raises InputError for phrases of a model that reads none.
    """
    try:
        folder = find(name)
    except InputError:
        return phrases or LIBRARY  # loading the model says what is wrong with its name
    config = read_config(folder) if model_type(folder) == MODEL_TYPE else None
    if phrases is not None:
        if phrases != LIBRARY and (config is None or not config.takes_text):
            raise InputError(f"The model {name!r} reads no phrases of keypoints; leave --phrases out, or take library.")
        return phrases
    trained = LIBRARY if config is None or config.phrases is None else config.phrases
    return None if trained == FILE else trained
