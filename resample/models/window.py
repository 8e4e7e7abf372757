"""How many tokens a model can be given, by the price map that litellm carries."""

from __future__ import annotations

from resample.models.price import map_entry

_KEYS = ("max_input_tokens", "max_tokens")


def window_of(model: str) -> int | None:
    """The context window of a model named `provider/name`; None where none is known, as for the stand-in.

    It is what the provider's own endpoint takes: another server of the same model may take less.
    """
    entry = map_entry(model) or {}
    sizes = [entry[key] for key in _KEYS if isinstance(entry.get(key), int | float)]
    return int(sizes[0]) or None if sizes else None
