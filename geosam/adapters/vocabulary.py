"""Words as the numbers that text towers take, from the vocabulary that lies beside their weights.

Three kinds are read, all with the library `tokenizers`, which `transformers` brings; nothing is downloaded here:

- ``tokenizer.json``: a whole tokenizer, as Hugging Face's folders mostly hold one;
- ``vocab.json`` with ``merges.txt``, or ``bpe_simple_vocab_16e6.txt.gz``: the byte-pair encoding of CLIP (Sennrich et
  al. 2016, https://arxiv.org/abs/1508.07909; Radford et al. 2021, https://arxiv.org/abs/2103.00020);
- ``vocab.txt``: the word pieces of BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), in lower case.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from geosam.errors import WeightsError

WHOLE, PAIRS, MERGES, PACKED, PIECES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "bpe_simple_vocab_16e6.txt.gz",
    "vocab.txt",
)
"""Names of the files."""

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
"""The first and the last token of CLIP's texts."""

UNKNOWN = "[UNK]"
"""What BERT reads of a sign that it has no pieces for."""

PACKED_MERGES = 49152 - 256 - 2
"""Lines of the packed file that count, after its head; the vocabulary is theirs, all bytes and the two ends."""

WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
"""What CLIP takes for a word: letters, one digit, signs, the endings of English."""

END_OF_WORD = "</w>"
"""What the last piece of a word ends with."""


@dataclass(frozen=True)
class Tokens:
    """A text as tokens.

    Attributes
    ----------
    ids
        Of each token, with those that begin and end a text.
    spans
        From which character to which each stands for; those that stand for none are empty.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer.

    Parameters
    ----------
    tokenizer
        One of the library `tokenizers`.
    unknown
        The token of what the vocabulary has no pieces for; None if it has pieces for everything.
    """

    tokenizer: Any
    unknown: int | None = None

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def __call__(self, text: str) -> Tokens:
        """Read one text."""
        found = self.tokenizer.encode(text)
        return Tokens(list(found.ids), list(found.offsets))

    def rows(
        self, texts: Sequence[str], length: int, *, pad: int | None = None
    ) -> tuple[Int64[np.ndarray, "n t"], Int64[np.ndarray, "n t"]]:
        """Read texts as rows of one length: tokens, and 1 where there is one.

        A text that is longer loses its last words and keeps its end; short ones are filled up with ``pad``, by
        default their own end.
        """
        ids = np.zeros((len(texts), length), np.int64)
        there = np.zeros((len(texts), length), np.int64)
        for row, text in enumerate(texts):
            found = self(text).ids
            kept = found if len(found) <= length else [*found[: length - 1], found[-1]]
            ids[row] = found[-1] if pad is None else pad
            ids[row, : len(kept)], there[row, : len(kept)] = kept, 1
        return ids, there


def read_vocabulary(folder: Path, files: Sequence[str]) -> Vocabulary | None:
    """Read the vocabulary of a folder; None if it has none of the files.

    Parameters
    ----------
    folder
        Where it may lie.
    files
        Those of this module's file names that a family has.

    Raises
    ------
    WeightsError
        If it is damaged.
    """
    there = {name for name in files if (folder / name).is_file()}
    try:
        if WHOLE in there:
            tokenizer = _whole(folder / WHOLE)
            return Vocabulary(tokenizer, tokenizer.token_to_id(UNKNOWN))
        if {PAIRS, MERGES} <= there:
            pairs = json.loads((folder / PAIRS).read_text(encoding="utf-8"))
            return Vocabulary(_byte_pairs(pairs, _merges((folder / MERGES).read_text(encoding="utf-8"))))
        if PACKED in there:
            merges = _merges(gzip.decompress((folder / PACKED).read_bytes()).decode("utf-8"))[:PACKED_MERGES]
            return Vocabulary(_byte_pairs(packed_pairs(merges), merges))
        if PIECES in there:
            tokenizer = _word_pieces(folder / PIECES)
            return Vocabulary(tokenizer, tokenizer.token_to_id(UNKNOWN))
    except Exception as error:  # the library has its own errors for what is damaged
        raise WeightsError(
            f"the vocabulary in {str(folder)!r} cannot be read ({type(error).__name__}: {str(error)[:80]})",
            expected=" or ".join(sorted(there)),
            hint="download it again",
        ) from error
    return None


def _whole(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _word_pieces(path: Path) -> Any:
    from tokenizers import BertWordPieceTokenizer

    return BertWordPieceTokenizer(str(path), lowercase=True)


def _byte_pairs(pairs: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """CLIP's tokenizer: lower case, words, bytes, and then the merges in their order."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    rules = models.BPE(vocab=pairs, merges=merges, end_of_word_suffix=END_OF_WORD, unk_token=END)
    tokenizer = Tokenizer(rules)
    space = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), space, normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ends = [(END, pairs[END]), (BEGIN, pairs[BEGIN])]
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=False, add_prefix_space=False)
    return tokenizer


def _merges(text: str) -> list[tuple[str, str]]:
    """Pairs of pieces, the first merged first; the file's first line is no merge."""
    return [(one, other) for one, other in (line.split() for line in text.splitlines()[1:] if line.strip())]


def packed_pairs(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The vocabulary that merges stand for: all bytes, all bytes that end a word, what each merge gives, the two ends.

    Bytes that print stand for themselves; the others have the letters from Ā on.

    Examples
    --------
    >>> found = packed_pairs([("c", "a"), ("ca", "r</w>")])
    >>> found["!"], found["!</w>"], found["car</w>"], len(found)
    (0, 256, 513, 516)
    """
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(each) for each in prints] + [chr(0x100 + n) for n in range(256 - len(prints))]
    pieces = [*letters, *(each + END_OF_WORD for each in letters), *map("".join, merges), BEGIN, END]
    return {piece: number for number, piece in enumerate(pieces)}
