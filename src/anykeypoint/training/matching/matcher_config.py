"""Options of a training run of a matcher. How crops are cut and heat maps are drawn is the model's own config."""

from dataclasses import dataclass, field
from typing import ClassVar

from ...configs.checks import check_share, check_whole
from ...configs.strict import Config
from ...errors import InputError
from ..episode_config import EpisodeTrainConfig
from ..run_config import check_choices, check_from_zero, check_shares
from .phrase_draws import PhraseDraws

FEATURES = ("live", "cached")
LAYER_LOSSES = ("sum", "mean")


@dataclass(frozen=True)
class ModalityDropout(Config):
    """Shares of the episodes that have only one of the two prompts; the others have all that the model takes.

    A model that is trained with both shares above 0 also answers to either prompt alone.

    words_only: share of the episodes with text and without an example.
    example_only: share of the episodes with an example and without text.
    """

    called: ClassVar[str] = "The options of modality_dropout"

    words_only: float = 0.0
    example_only: float = 0.0

    def __post_init__(self) -> None:
        for name in ("words_only", "example_only"):
            check_share(getattr(self, name), f"modality_dropout's {name}")
        if self.words_only + self.example_only > 1:
            raise InputError(
                f"The shares of modality_dropout must be 1 together at most, but got {self.words_only} and "
                f"{self.example_only}."
            )


@dataclass(frozen=True)
class MatcherTrainConfig(EpisodeTrainConfig):
    """A training run of a matcher. The defaults are the recipe of GraphCape and CapeX for Swin-V2-T (Small: batch 8).

    support_points_fraction: share of an episode's keypoints that are drawn as queried ones; None queries those that
        all examples show.
    most_keypoints: most keypoints of an episode; larger categories are cut to as many, drawn for each episode. 0 cuts
        none.
    modality_dropout: shares of the episodes that have one prompt only.
    prompts_per_picture: 1 draws one prompt for each query. 2 asks about it twice, and the picture is computed once for
        both: by words alone, then by an example, in half of the cases with words. A query whose category has no other
        object is asked about by words both times. For the head evidence; modality_dropout is then not given.
    describe: share of the episodes whose phrases have descriptions, for a model that reads descriptions.
    phrase_draws: forms and words of the phrases, drawn for each episode; None takes the model's own form.
    contrast: weight of the loss that tells a category's keypoints apart at the place of each, beside the other losses.
        Only the head evidence has it.
    phrases: whose words the keypoints have: "library", "file" (the labels themselves), or a file of phrases; None takes
        the file's where it has phrases for matchers that were published so (capex, flf, dlf), and else the library's.
        See `forms.phrases`. It is what `train` reads the data with.
    heat_weight: weight of the similarity maps' loss beside the points' loss; POMNet has no other loss.
    layer_loss: "sum" adds up the losses of a decoder's layers, as released; "mean" takes their mean, as the fusion
        paper has it (Eq. 7 to 9). Heads without such layers have nothing to choose.
    features: "live" computes the image encoder's features in every step; "cached" computes those of a frozen encoder
        once, for `versions` crops of each object, in the recipe's `precision` (EfficientNet-Lite2 in float32 in any
        case).
    versions: number of augmented crops that an object has in the whole run; 0 crops anew for every episode.
    """

    support_points_fraction: float | None = None
    most_keypoints: int = 0
    modality_dropout: ModalityDropout = field(default_factory=ModalityDropout)
    prompts_per_picture: int = 1
    describe: float = 1.0
    phrase_draws: PhraseDraws | None = None
    contrast: float = 0.0
    phrases: str | None = None
    heat_weight: float = 2.0
    layer_loss: str = "sum"
    features: str = "live"
    versions: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, features=FEATURES, layer_loss=LAYER_LOSSES)
        for name in ("versions", "most_keypoints"):
            check_whole(getattr(self, name), f"The recipe's {name}", least=0)
        if check_whole(self.prompts_per_picture, "The recipe's prompts_per_picture") > 2:
            raise InputError(f"prompts_per_picture must be 1 or 2, but got {self.prompts_per_picture}.")
        if self.prompts_per_picture == 2 and self.modality_dropout != ModalityDropout():
            raise InputError("prompts_per_picture 2 asks by words and by an example; leave modality_dropout out.")
        check_from_zero(self, "heat_weight", "contrast")
        check_shares(self, "describe")
        fraction = self.support_points_fraction
        if fraction is not None and not 0 < fraction <= 1:
            raise InputError(f"support_points_fraction must be above 0 and at most 1, but got {fraction}.")
        if self.features == "cached" and self.versions < 1:
            raise InputError("features 'cached' are of so many crops of each object; say how many with 'versions'.")
