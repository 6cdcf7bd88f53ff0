"""What the catalogue says of its items, ready for search and ranking; made when first needed.

Vectors of 20,000 items with descriptions take two seconds to make, so they are kept in a file beside
the store. The catalogue is public and the file holds nothing else, not even identifiers, so it is
not sealed; but its digest is, in the store. Whoever changes the file changes no list: it is then
made again.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from privet.client.ranking.categories import Categories
from privet.client.ranking.search import Search
from privet.client.vault.event import Entry, EntryKind
from privet.client.vault.vault import Vault
from privet.models.catalogue import Catalogue
from privet.models.content import Hashing, ItemVectors, TfIdf
from privet.models.content_file import from_bytes, to_bytes
from privet.privacy.canonical import Json, sha256
from privet.privacy.errors import PrivetError

SETTING = "client features"
"""Name of the store's entry with the digest of the file."""


class Features:
    """A catalogue's features.

    Args:
        catalogue: The items.
        hashing: How texts become vectors.
        file: Where vectors are kept; None to keep none.
        vault: Keeps the digest of the file.
        vectors: Vectors of an encoder that the app brings, to rank by instead of words.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        hashing: Hashing,
        file: Path | None,
        vault: Vault,
        vectors: ItemVectors | None = None,
    ) -> None:
        """Make nothing yet."""
        self.catalogue = catalogue
        self._hashing = hashing
        self._file = file
        self._vault = vault
        self._vectors = vectors

    @cached_property
    def categories(self) -> Categories:
        """Shares of categories."""
        return Categories.of(self.catalogue)

    @cached_property
    def words(self) -> TfIdf:
        """Vectors of words, from the file or made anew and kept."""
        return self._kept() or self._made()

    @property
    def vectors(self) -> ItemVectors:
        """What items are compared by."""
        return self._vectors or self.words

    @cached_property
    def search(self) -> Search:
        """The catalogue, ready for queries."""
        return Search.build(self.catalogue, self.words, vectors=self._vectors)

    def forget(self) -> None:
        """Remove the file; what is in memory stays."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            _partial(self._file).unlink(missing_ok=True)

    @cached_property
    def _name(self) -> str:
        """Of what was hashed, and how."""
        return sha256([self.catalogue.hash, asdict(self._hashing)])

    def _kept(self) -> TfIdf | None:
        """The vectors in the file, if it is there and the store confirms it."""
        if self._file is None:
            return None
        entry = self._vault.entries(EntryKind.SETTING).get(SETTING)
        try:
            data = self._file.read_bytes()
            if entry != {"of": self._name, "sha256": hashlib.sha256(data).hexdigest()}:
                return None
            return from_bytes(data, self._hashing)
        except (OSError, PrivetError, UnicodeError):
            return None

    def _made(self) -> TfIdf:
        made = TfIdf.build(self.catalogue, self._hashing)
        if self._file is not None:
            # A disk that is full, or a store that another process holds: it is made again later.
            with suppress(OSError, PrivetError, UnicodeError):
                data = to_bytes(made)
                digest: Json = {"of": self._name, "sha256": hashlib.sha256(data).hexdigest()}
                _write(self._file, data)
                self._vault.put(Entry(kind=EntryKind.SETTING, name=SETTING, value=digest))
        return made


def _write(file: Path, data: bytes) -> None:
    """Replace a file as a whole; for its owner only."""
    partial = _partial(file)
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
    partial.replace(file)


def _partial(file: Path) -> Path:
    return file.with_name(file.name + ".partial")
