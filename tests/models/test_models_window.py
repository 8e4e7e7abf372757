"""Windows, as litellm's price map has them."""

from __future__ import annotations

import pytest

from resample.models.window import window_of


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("openai/gpt-4o-mini", 128_000),
        ("gpt-4o-mini", 128_000),
        ("anthropic/claude-sonnet-4-5", 200_000),
        ("vertex_ai/gemini-2.5-pro", 1_048_576),
        ("xai/grok-4-fast-reasoning", 2_000_000),  # 2000000.0 in the map
        ("openrouter/gryphe/mythomax-l2-13b", 8192),  # no max_input_tokens
        ("hosted_vllm/gpt-4o-mini", None),  # somebody's own server, whatever the model's name
        ("standin/default", None),
        ("standin/gpt-4o", None),
        ("recorded", None),
        ("openai/no-such-model", None),
        ("openai/sample_spec", None),
        ("sample_spec", None),  # words where numbers would stand
        ("", None),
    ],
)
def test_windows(model: str, window: int | None) -> None:
    assert window_of(model) == window
