"""Dense item vectors from an encoder that an app brings along, and one that is a folder.

The folder has ``vocabulary.txt``, a word a line in UTF-8, and ``vectors.npy``, a row a word; a text
is the mean of its words. It is what static embeddings (word2vec, GloVe, fastText, distilled sentence
encoders) come down to, so an app can bring one without a machine learning library on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.content import item_texts
from privet.models.words import fold, words
from privet.privacy.errors import InputError

_BLOCK = 512


class Encoder(Protocol):
    """Texts to vectors; anything that an app can run on the device."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector a text, shape ``(len(texts), dimension)``, finite; zeros for no meaning."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Dense item vectors from an encoder.

    Attributes:
        encoder: Turns queries into vectors of the same space.
        vectors: Shape ``(n_items, dimension)``, float32, rows of norm 1 or 0.
    """

    encoder: Encoder
    vectors: NDArray[np.float32]

    @classmethod
    def build(cls, catalogue: Catalogue, encoder: Encoder) -> "Encoded":
        """Encode what the catalogue says of each item.

        Raises:
            InputError: The encoder gives another shape, or values that are not finite.
        """
        items = range(len(catalogue))
        texts = [" ".join(text for text, _ in item_texts(catalogue, item)) for item in items]
        return cls(encoder=encoder, vectors=_unit(encoder, texts))

    def cosines(self, text: str) -> NDArray[np.float32]:
        """Cosine of every item with a text, shape ``(n_items,)``."""
        return np.asarray(self.vectors @ _unit(self.encoder, [text])[0])

    def cosines_with(self, item: int) -> NDArray[np.float32]:
        """Cosine of every item with one of them, shape ``(n_items,)``."""
        return np.asarray(self.vectors @ self.vectors[item])

    def similarities(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Cosines among some items, shape ``(m, m)``."""
        return np.asarray(self.vectors[items] @ self.vectors[items].T)

    def mixture(
        self, items: NDArray[np.integer], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Every item's weighted sum of its cosines with some, shape ``(n_items,)``."""
        taste = weights @ self.vectors[items].astype(np.float64)
        out = np.zeros(len(self.vectors))
        for start in range(0, len(out), _BLOCK):  # float64 copies that stay in the cache
            block = slice(start, start + _BLOCK)
            out[block] = self.vectors[block].astype(np.float64) @ taste
        return out

    def cosines_between(self, item: int, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """Cosines of one item with some, shape ``(m,)``."""
        return np.asarray(
            self.vectors[items].astype(np.float64) @ self.vectors[item].astype(np.float64)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class WordVectors:
    """Word vectors, averaged.

    Attributes:
        rows: Row of each folded word.
        vectors: Shape ``(words, dimension)``, floating point.
    """

    rows: dict[str, int]
    vectors: NDArray[np.floating]

    @classmethod
    def open(cls, folder: Path) -> "WordVectors":
        """Open a folder; vectors stay on the disk until they are needed.

        Of words that differ in case or accents alone, the first counts.

        Raises:
            InputError: A file is missing or damaged, or the two do not fit together.
        """
        try:
            lines = (folder / "vocabulary.txt").read_text("utf-8").split("\n")
            vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"Expected vocabulary.txt in UTF-8 and vectors.npy in {folder}: "
                f"{type(error).__name__}."
            ) from error
        names = lines[:-1] if lines[-1] == "" else lines
        if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
            raise InputError("Expected vectors.npy to hold a matrix of floating-point numbers.")
        if len(names) != len(vectors):
            raise InputError(f"Found {len(names)} words and {len(vectors)} vectors in {folder}.")
        rows: dict[str, int] = {}
        for row, name in enumerate(names):
            rows.setdefault(fold(name.strip()), row)
        return cls(rows=rows, vectors=vectors)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean of the known words' vectors, scaled to norm 1 each; zeros if none is known."""
        out = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
        for place, text in enumerate(texts):
            rows = [self.rows[word] for word in words(text) if word in self.rows]
            if rows:
                found = np.asarray(self.vectors[rows], np.float32)
                norms = np.linalg.norm(found, axis=1, keepdims=True)
                out[place] = (found / np.where(norms > 0, norms, 1)).mean(axis=0)
        return out


def _unit(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """What an encoder gives, scaled to norm 1 and checked."""
    vectors = np.asarray(encoder.encode(texts), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise InputError(
            f"Expected the encoder to give a vector for each of {len(texts)} texts, found shape "
            f"{vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise InputError("Expected finite vectors of the encoder, found some that are not.")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)
