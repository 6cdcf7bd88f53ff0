"""Hashed TF-IDF vectors as bytes, so that an app builds them once and not at every start.

The bytes are not checked against whoever might have changed them: read only what a digest that was
kept in a safe place confirms.
"""

from io import BytesIO

import numpy as np

from privet.models.content import Hashing, TfIdf
from privet.privacy.errors import IntegrityError

_ARRAYS = (
    *("idf", "indptr", "columns", "values", "starts", "postings", "posted", "owners"),
    *("shared_marks", "shared_sizes", "shared_items"),
)


def to_bytes(vectors: TfIdf) -> bytes:
    """All arrays, uncompressed; what they were hashed by is for the caller to know."""
    shared = list(vectors.shared.values())
    arrays = {name: getattr(vectors, name) for name in _ARRAYS if not name.startswith("shared")}
    arrays["shared_marks"] = np.array(list(vectors.shared), np.uint64)
    arrays["shared_sizes"] = np.array([len(items) for items in shared], np.int64)
    arrays["shared_items"] = np.concatenate([np.zeros(0, np.int32), *shared])
    out = BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def from_bytes(data: bytes, hashing: Hashing) -> TfIdf:
    """Read what `to_bytes` wrote.

    Args:
        data: The bytes, unchanged since.
        hashing: By which the vectors were made.

    Raises:
        IntegrityError: The bytes are none of these.
    """
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _ARRAYS}
    except Exception as error:
        raise IntegrityError("Expected vectors of a catalogue, found other bytes.") from error
    marks, sizes = arrays.pop("shared_marks"), arrays.pop("shared_sizes")
    parts = np.split(arrays.pop("shared_items"), np.cumsum(sizes)[:-1])
    shared = dict(zip(marks.tolist(), parts, strict=False))
    return TfIdf(hashing=hashing, shared=shared, **arrays)
