"""Every random draw of a run derives from its seed and from what the draw is for, so that order never matters."""

from __future__ import annotations

import hashlib


def derive(seed: int, *parts: object) -> int:
    """A 31-bit seed (the widest that every provider takes) for the draw that `parts` names."""
    text = "\0".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big") >> 1
