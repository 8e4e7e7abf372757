"""Random draws that depend on nothing but their arguments."""

from __future__ import annotations

import hashlib
import math
import random
from functools import lru_cache
from typing import Any

import orjson


def number(*parts: object) -> int:
    """64 bits drawn from a hash of the parts; the same parts give the same number, anywhere."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return int.from_bytes(state.digest(), "big")


def uniform(*parts: object) -> float:
    """A number in [0, 1) drawn from a hash of the parts."""
    return (number(*parts) >> 11) / 2**53


def generator(*parts: object) -> random.Random:
    """A generator seeded by a hash of the parts."""
    return random.Random(number(*parts))


def digest(content: Any) -> bytes:
    """A hash of JSON content; the order of an object's keys does not matter."""
    wire = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(wire, digest_size=16).digest()


@lru_cache(maxsize=100_000)  # every step of every sample of a prefix asks again
def chance(mean: float, correlation: float, *parts: object) -> float:
    """A probability from the Beta distribution of this mean, drawn from a hash of the parts.

    Bernoulli draws that share one such probability have intra-class correlation `correlation` (beta-binomial:
    a = m (1 - c) / c, b = (1 - m) (1 - c) / c). At 0 it is the mean itself, at 1 it is 0 or 1.
    """
    if correlation == 0 or mean in (0.0, 1.0):
        return mean
    if correlation == 1:
        return float(uniform(*parts) < mean)
    source, scale = generator(*parts), (1 - correlation) / correlation
    odds = _log_gamma(source, mean * scale) - _log_gamma(source, (1 - mean) * scale)
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def _log_gamma(source: random.Random, shape: float) -> float:
    # Gamma(a) = Gamma(a + 1) U^(1/a), in logarithms since rare categories make shapes whose draws underflow.
    return math.log(source.gammavariate(shape + 1, 1)) + math.log(1 - source.random()) / shape
