"""What a model's tokens cost, by the price map that litellm carries."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from resample.types import Usage

_PRICE_MAP = "model_prices_and_context_window_backup.json"


class Price(NamedTuple):
    """USD per token."""

    prompt: float
    cached: float
    """For prompt tokens that came from the provider's cache."""
    completion: float


FREE = Price(0.0, 0.0, 0.0)
"""For what runs here: the stand-in, and recorded turns."""


def price_of(model: str) -> Price | None:
    """The price of a model named `provider/name`; None where none is known.

    A price of 0 in the map stands for an unknown one or a trial as often as for a gift, and counts as none.
    """
    entry = map_entry(model)
    return _price(entry) if entry is not None else None


def cost(usage: Usage, price: Price | None) -> float | None:
    """USD of a call's tokens; None without a price."""
    if price is None:
        return None
    fresh = usage.prompt_tokens - usage.cached_tokens
    prompt = fresh * price.prompt + usage.cached_tokens * price.cached
    return prompt + usage.completion_tokens * price.completion


@cache
def map_entry(model: str) -> dict[str, Any] | None:
    """What the price map has of a model named `provider/name`; None where it has nothing."""
    provider, _, name = model.partition("/")
    entries = _price_map()
    entry = entries.get(model)
    if entry is None and name:
        entry = entries.get(name)
        # The same name may be another provider's model, with other terms.
        if entry is not None and not _is_of(provider, str(entry.get("litellm_provider", ""))):
            entry = None
    return entry


def _is_of(provider: str, owner: str) -> bool:
    """Whether a map entry belongs to a provider, or to a family of its (`vertex_ai-language-models`)."""
    return owner == provider or owner.startswith((f"{provider}-", f"{provider}_"))


def _price(entry: dict[str, Any]) -> Price | None:
    prompt, completion = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if prompt is None or completion is None or not (prompt or completion):
        return None
    cached = entry.get("cache_read_input_token_cost")
    return Price(float(prompt), float(prompt if cached is None else cached), float(completion))


def _price_map() -> dict[str, dict[str, Any]]:
    # Found by path: importing litellm costs seconds, and prices need none of it.
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / _PRICE_MAP
        if path.is_file():
            prices: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
            return prices
    return {}
