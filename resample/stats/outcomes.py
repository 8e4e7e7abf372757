"""What every estimate starts from: which rollouts were flagged, and the prefixes and clusters they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Outcomes summed over each prefix's rollouts. All arrays have shape (prefixes,), ordered by code."""

    code: IntArray
    cluster: IntArray
    weight: FloatArray
    flagged: IntArray
    """Flagged rollouts; at most `known`."""
    known: IntArray
    """Rollouts of known outcome; at most `k`."""
    k: int

    def keep(self, mask: BoolArray) -> Prefixes:
        """The prefixes where `mask` (prefixes,) holds."""
        return Prefixes(
            self.code[mask],
            self.cluster[mask],
            self.weight[mask],
            self.flagged[mask],
            self.known[mask],
            self.k,
        )

    def answered(self) -> Prefixes:
        """The prefixes of which at least one rollout is known: those an estimate rests on."""
        return self.keep(self.known > 0)

    def filled(self, flagged: bool) -> Prefixes:
        """With every missing rollout, up to `k` a prefix, counted as flagged or as clean."""
        missing = self.k - self.known
        return Prefixes(
            self.code,
            self.cluster,
            self.weight,
            self.flagged + missing if flagged else self.flagged,
            np.full_like(self.known, self.k),
            self.k,
        )


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcomes of one arm for one question ("was `overreach` found?"), one entry per rollout.

    All arrays have shape (rollouts,); sequences are converted. A planned rollout that has no entry is missing, as is
    an entry that is not known; so a prefix of which nothing came back needs one entry with `known` false, to be seen
    by the worst-case bounds. No entries at all is allowed.

    Raises ValueError where lengths differ, `flagged` or `known` is not 0 or 1, a weight is not finite and positive, a
    prefix lies in two clusters or has two weights, or a prefix has more than `k` entries.
    """

    flagged: BoolArray
    """Was it found? Not read where `known` is false."""
    known: BoolArray
    """False: missing, which is never "no"."""
    prefix: IntArray
    """Any integer codes."""
    cluster: IntArray
    """Any integer codes: the prefixes of one cluster (user, task) are not independent of each other."""
    weight: FloatArray
    """The prefix's sampling weight. The scale does not matter."""
    k: int
    """Planned samples per prefix."""

    def __post_init__(self) -> None:
        known = _binary("known", self.known)
        flagged = np.asarray(self.flagged)
        if flagged.shape == known.shape:
            flagged = np.where(known, flagged, 0)
        columns: dict[str, NDArray[Any]] = {
            "flagged": _binary("flagged", flagged),
            "known": known,
            "prefix": _codes("prefix", self.prefix),
            "cluster": _codes("cluster", self.cluster),
            "weight": np.asarray(self.weight, dtype=np.float64),
        }
        shapes = {name: column.shape for name, column in columns.items()}
        if len(set(shapes.values())) != 1 or len(known.shape) != 1:
            raise ValueError(f"outcomes: one entry per rollout is needed in every array, not {shapes}")
        if not (np.isfinite(columns["weight"]) & (columns["weight"] > 0)).all():
            raise ValueError("outcomes: every weight must be finite and above 0")
        if self.k < 1:
            raise ValueError(f"outcomes: k must be at least 1, not {self.k}")
        for name, column in columns.items():
            object.__setattr__(self, name, column)
        _ = self.prefixes

    @cached_property
    def prefixes(self) -> Prefixes:
        """The same outcomes summed over each prefix's rollouts."""
        code, first, inverse = np.unique(self.prefix, return_index=True, return_inverse=True)
        cluster, weight = self.cluster[first], self.weight[first]
        if (bad := self.cluster != cluster[inverse]).any():
            raise ValueError(f"outcomes: prefix {self.prefix[bad][0]} lies in more than one cluster")
        if (bad := self.weight != weight[inverse]).any():
            raise ValueError(f"outcomes: prefix {self.prefix[bad][0]} has more than one weight")
        entries = np.bincount(inverse, minlength=code.size)
        if (many := entries > self.k).any():
            raise ValueError(f"outcomes: prefix {code[many][0]} has more than k = {self.k} rollouts")
        flagged = np.bincount(inverse[self.flagged], minlength=code.size)
        known = np.bincount(inverse[self.known], minlength=code.size)
        return Prefixes(code, cluster, weight, flagged, known, self.k)


def _binary(name: str, values: ArrayLike) -> BoolArray:
    array = np.asarray(values)
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"outcomes: {name} must be true or false (1 or 0) in every entry")
    return array.astype(np.bool_)


def _codes(name: str, values: ArrayLike) -> IntArray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"outcomes: {name} must be integer codes, not {array.dtype}")
    return array.astype(np.int64)
