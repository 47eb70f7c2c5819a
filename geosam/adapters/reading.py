"""What all models that read words share: a vocabulary, which lies beside the weights or in the cache."""

from pathlib import Path
from typing import Any

from geosam.adapters.family import Family, Opened
from geosam.adapters.sources import vocabulary_folder
from geosam.adapters.vocabulary import MERGES, PACKED, PAIRS, WHOLE, Vocabulary, read_vocabulary
from geosam.errors import WeightsError

COMMON = "openai/clip-vit-base-patch32"
"""The repository whose vocabulary CLIP and all of its kin share."""


class TextFamily(Family):
    """A family with a text tower.

    Parameters
    ----------
    model
        The library's model, on its device.
    vocabulary
        What its text tower reads.
    opened
        Its name, key and numbers.
    """

    extra = "text"

    def __init__(self, model: Any, vocabulary: Vocabulary, opened: Opened) -> None:
        super().__init__(model, name=opened.name, key=opened.key, dtype=opened.dtype, norm=opened.norm)
        self.reader = vocabulary

    @classmethod
    def of(cls, model: Any, opened: Opened) -> Any:
        """See `Family.of`."""
        return cls(model, cls.vocabulary_of(model, opened.path), opened)

    @classmethod
    def vocabulary_of(cls, model: Any, path: Path) -> Vocabulary:
        """The vocabulary beside the weights at ``path``, or the common one from the cache.

        Raises
        ------
        WeightsError
            If there is none, or it has other tokens than the text tower.
        """
        size = model.config.text_config.vocab_size
        for folder in (path if path.is_dir() else path.parent, vocabulary_folder(COMMON, cls.vocabulary)):
            if folder is not None and (found := read_vocabulary(folder, cls.vocabulary)) is not None:
                if len(found) != size:
                    given = f"a vocabulary of {len(found)} tokens in {str(folder)!r}"
                    raise WeightsError(given, expected=f"the {size} of {str(path)!r}", hint="put its own beside it")
                return found
        raise WeightsError(
            f"no vocabulary lies beside {str(path)!r}",
            expected=f"{WHOLE}, {PAIRS} with {MERGES}, or {PACKED}",
            hint=f"copy it there, or `hf download {COMMON} {WHOLE}`",
        )
