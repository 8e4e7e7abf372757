"""Near-duplicate texts: MinHash over short stretches of text (Broder, 1997), candidates by banding.

White space counts as one blank and, but for short texts, every number as the same, so that two runs of one template
with other dates and numbers are near-duplicates. Stretches are thinned by content: of each text those with the lowest
hashes are compared, so that the same passage is thinned in the same way wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resample.formats.seen import temporary_database

_STRETCH = 24
"""Bytes hashed together: about four words."""
_KEPT = 1024
"""Stretches of a text that are compared: those with the lowest hashes."""
_SHORT = 500
"""Bytes of a text in which a number may be all that matters."""
_PERMUTATIONS = 128
_ROWS = 4
"""Values per band. Of pairs that are 0.8 alike, 32 bands of 4 miss one in ten million; of 0.3, a quarter meet."""
_SEED = 1
_MOST = 64
"""Texts that one is compared with: thousands of candidates must not take time squared."""

_NUMBER = re.compile(rb"[0-9]+")
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class Similar:
    """The texts so far, as signatures and bands in a temporary database."""

    def __init__(self, threshold: float) -> None:
        """`threshold` is the Jaccard similarity of their stretches from which two texts are near-duplicates."""
        from datasketch import MinHash

        one = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)  # drawing permutations takes time: all sketches share them
        self._sketch = partial(MinHash, hashfunc=int, permutations=one.permutations, scheme=one.scheme)
        self._threshold = threshold
        self._db = temporary_database("CREATE TABLE signatures (number INTEGER PRIMARY KEY, key TEXT, signature BLOB)")
        self._db.execute("CREATE TABLE bands (band INTEGER, hash INTEGER, number INTEGER)")
        self._db.execute("CREATE INDEX bands_by_hash ON bands (hash, band)")

    def put(self, key: str, texts: Iterable[str]) -> str | None:
        """Remember what a conversation says; the key of the earliest near-duplicate before it, or None.

        What says nothing is like nothing.
        """
        features = _features(texts)
        if not len(features):
            return None
        sketch = self._sketch()
        sketch.update_batch(features.tolist())
        signature: NDArray[np.uint64] = sketch.hashvalues
        bands = _bands(signature)
        found = self._earlier(signature, bands)
        row = self._db.execute(
            "INSERT INTO signatures (key, signature) VALUES (?, ?)", (key, signature.astype("<u4").tobytes())
        ).lastrowid
        self._db.executemany("INSERT INTO bands VALUES (?, ?, ?)", [(band, hash, row) for band, hash in bands])
        return found

    def close(self) -> None:
        """Forget them all."""
        self._db.close()

    def _earlier(self, signature: NDArray[np.uint64], bands: list[tuple[int, int]]) -> str | None:
        candidates: set[int] = set()
        for band, hash in bands:
            rows = self._db.execute("SELECT number FROM bands WHERE (hash, band) = (?, ?) LIMIT ?", (hash, band, _MOST))
            candidates.update(number for (number,) in rows)
        for number in sorted(candidates)[:_MOST]:
            key, other = self._db.execute(
                "SELECT key, signature FROM signatures WHERE number = ?", (number,)
            ).fetchone()
            if float(np.mean(np.frombuffer(other, "<u4") == signature)) >= self._threshold:
                return str(key)
        return None


def _features(texts: Iterable[str]) -> NDArray[Any]:
    """The hashes, of 32 bits, that stand for these texts."""
    text = "\n".join(texts).encode("utf-8", "surrogatepass")
    plain = b" ".join(text.split())
    if len(plain) >= _SHORT:
        plain = _NUMBER.sub(b"0", plain)
    if not plain:
        return np.empty(0, np.uint32)
    padded = plain.ljust(_STRETCH)
    count = len(padded) - _STRETCH + 1
    words = np.lib.stride_tricks.as_strided(np.frombuffer(padded, np.uint8), shape=(len(padded) - 7, 8), strides=(1, 1))
    whole = np.ascontiguousarray(words).view("<u8").ravel()
    mixed = np.zeros(count, np.uint64)
    for offset in range(0, _STRETCH, 8):  # 64-bit arithmetic that wraps is meant
        mixed = (mixed ^ whole[offset : offset + count]) * _ODD
        mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    return _lowest((mixed ^ (mixed >> np.uint64(32))).astype(np.uint32))


def _lowest(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The lowest different ones. Sorting them all would take most of the time: a share of them is sorted first."""
    limit = (_KEPT * 2**32) // len(hashes) * 2
    while limit < 2**32:
        found = np.unique(hashes[hashes < limit])
        if len(found) >= _KEPT:
            return found[:_KEPT]
        limit *= 4
    return np.unique(hashes)[:_KEPT]


def _bands(signature: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Each band with the hash of its values, as SQLite takes it."""
    mixed = np.zeros(_PERMUTATIONS // _ROWS, np.uint64)
    for row in range(_ROWS):
        mixed = (mixed ^ signature[row::_ROWS]) * _ODD
        mixed = mixed ^ (mixed >> np.uint64(31))
    return list(enumerate(mixed.view(np.int64).tolist()))
