"""Tokens of what is sent: exact where the encoding is at hand, never far too few elsewhere, never fetched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import BASH, USER, acting, output, saying, tool_call

from resample.formats import Located, read
from resample.prepare import tokens
from resample.prepare.prefix import wire_message
from resample.prepare.tokens import (
    PER_CALL,
    PER_MESSAGE,
    PER_PART,
    PER_TOOLS,
    TokenCounter,
    byte_length,
    counter_for,
    fits,
    prompt_tokens,
    rough_count,
)

GPT = counter_for("openai/gpt-4o")
CLAUDE = counter_for("anthropic/claude-sonnet-4-5")
TEXTS = [
    "",
    "hello world",
    "def f(x):\n    return x\n",
    '{"a": [1, 2, 3]}',
    "漢字かな交じり文",
    "🙂",
    "\ud800",
    "<|endoftext|>",
]


class Unreachable:
    """A counter that must not be asked."""

    def count(self, text: str) -> int:
        raise AssertionError("counted")


@pytest.fixture
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """litellm without its encodings."""
    tokens._encoding.cache_clear()
    elsewhere = SimpleNamespace(submodule_search_locations=["nowhere"])
    monkeypatch.setattr(tokens, "find_spec", lambda _: elsewhere)
    yield
    tokens._encoding.cache_clear()


@pytest.mark.parametrize(
    ("model", "encoding", "factor"),
    [
        ("openai/gpt-4o-2024-08-06", "o200k_base", 1.0),
        ("openai/gpt-5-mini", "o200k_base", 1.0),
        ("openai/gpt-oss-120b", "o200k_base", 1.0),
        ("openai/gpt-4", "cl100k_base", 1.0),
        ("azure/gpt-4o", "o200k_base", 1.0),
        ("openrouter/openai/o3", "o200k_base", 1.0),
        ("openai/my-model", "cl100k_base", 1.4),  # any server that speaks OpenAI's way
        ("ollama/gpt-4o", "cl100k_base", 1.4),
        ("gemini/gemini-2.5-pro", "cl100k_base", 1.4),
        ("standin/default", "cl100k_base", 1.4),
        ("", "cl100k_base", 1.4),
        ("anthropic/claude-3-5-sonnet-20241022", "cl100k_base", 1.4),
        ("anthropic/claude-opus-4-20250514", "cl100k_base", 1.4),
        ("vertex_ai/claude-opus-4@20250514", "cl100k_base", 1.4),
        ("openrouter/anthropic/claude-opus-4.6", "cl100k_base", 1.4),
        ("bedrock/anthropic.claude-opus-4-7-v1:0", "cl100k_base", 1.8),
        ("anthropic/claude-sonnet-5", "cl100k_base", 1.8),
        ("anthropic/claude-next", "cl100k_base", 1.8),
    ],
)
def test_which_encoding_counts_for_a_model(model: str, encoding: str, factor: float) -> None:
    counter = counter_for(model)
    assert counter == TokenCounter(encoding, factor)
    assert counter.exact == (factor == 1.0)


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("antidisestablishmentarianism", 6, 6),
        ("お誕生日おめでとう", 8, 9),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_exact_counts(text: str, o200k: int, cl100k: int) -> None:
    assert GPT.count(text) == o200k
    assert counter_for("openai/gpt-4").count(text) == cl100k


def test_all_encodings_of_the_wheel_load() -> None:
    for name in ("o200k_base", "cl100k_base", "p50k_base"):
        assert TokenCounter(name).exact
    for name in ("r50k_base", "o200k_harmony", "no_such"):
        assert not TokenCounter(name).exact


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_has_more_tokens_than_bytes(text: str) -> None:
    for counter in (GPT, CLAUDE, TokenCounter("no_such", 9.0)):
        assert counter.count(text) <= byte_length(text)
    assert GPT.count(text) <= CLAUDE.count(text)


@pytest.mark.usefixtures("nothing_at_hand")
def test_without_encodings_bytes_are_counted_and_nothing_is_exact() -> None:
    assert not counter_for("openai/gpt-4o").exact
    assert counter_for("openai/gpt-4o").count("x" * 3000) == 1000
    assert CLAUDE.count("漢" * 1000) == 1400
    assert CLAUDE.count("a") == 1


def test_a_file_that_is_not_the_encodings_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "litellm_core_utils" / "tokenizers"
    folder.mkdir(parents=True)
    for file in tokens._folder().iterdir():
        if len(file.name) == 40:
            (folder / file.name).write_bytes(b"IQ== 0\nIg== 1\n")
    monkeypatch.setattr(tokens, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    assert tokens._encoding.__wrapped__("o200k_base") is None


def test_counting_opens_no_connection_and_does_not_import_litellm() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from resample.prepare.tokens import TokenCounter, counter_for\n"
        "assert 'tiktoken' not in sys.modules\n"
        "print(counter_for('openai/gpt-4o').count('hello world'), TokenCounter('r50k_base').exact)\n"
        "assert 'litellm' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


@pytest.mark.parametrize("text", ["a", "\n", " ", "\t ", "漢", "é"])
def test_a_million_characters_of_one_kind_are_counted_in_no_time(text: str) -> None:
    long = (text * 1_000_000)[:1_000_000]
    GPT.count("x")
    start = time.perf_counter()
    count = GPT.count(long)
    assert time.perf_counter() - start < 5
    assert 1_000_000 / 128 <= count <= byte_length(long)


def test_pieces_change_a_count_by_next_to_nothing() -> None:
    text = (Path(tokens.__file__).read_text(encoding="utf-8")) * 12
    assert len(text) > 5 * tokens._PIECE
    encoding = tokens._encoding("o200k_base")
    assert encoding is not None
    whole = len(encoding.encode_ordinary(text))
    assert abs(GPT.count(text) - whole) <= 2 * (len(text) // tokens._PIECE + 1)


def test_what_a_prompt_is_made_of() -> None:
    def size(*messages: Any, tools: Any = ()) -> int:
        return prompt_tokens(GPT, messages, tools)

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert size() == 0
    assert size(USER) == PER_MESSAGE + GPT.count(USER["content"])
    assert size({"role": "user", "content": [{"type": "text", "text": USER["content"]}]}) == size(USER)
    assert size({"role": "user", "content": [{"type": "text", "text": ""}, image, image]}) == PER_MESSAGE + 2 * PER_PART
    assert size({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}) == size(saying("No."))
    call = GPT.count('bash {"command": "ls"}') + PER_CALL
    assert size(acting(tool_call("bash", '{"command": "ls"}'))) == PER_MESSAGE + call
    assert size(acting(*[tool_call("bash", '{"command": "ls"}')] * 3, content="Go.")) == size(saying("Go.")) + 3 * call
    assert size(USER, tools=[BASH]) > size(USER) + PER_TOOLS
    assert size(USER, tools=[BASH, BASH]) - size(USER, tools=[BASH]) < PER_TOOLS


def test_it_fits_or_not_at_the_very_token() -> None:
    messages = [USER, acting(tool_call("bash", {"command": "ls -l"})), output("total 0\n" * 50)]
    exact = prompt_tokens(GPT, messages, [BASH])
    assert fits(GPT, messages, [BASH], window=exact)
    assert not fits(GPT, messages, [BASH], window=exact - 1)


def test_what_is_certain_is_not_counted() -> None:
    unreachable: Any = Unreachable()
    messages = [{"role": "user", "content": "words " * 10_000}]
    assert fits(unreachable, messages, window=60_000 + PER_MESSAGE)
    with pytest.raises(AssertionError, match="counted"):
        fits(unreachable, messages, window=60_000 + PER_MESSAGE - 1)


def test_counting_ends_where_the_window_does() -> None:
    asked: list[str] = []
    counter: Any = SimpleNamespace(count=lambda text: asked.append(text) or len(text))
    assert not fits(counter, [USER] * 100, window=200)
    assert len(asked) < 10


@pytest.mark.skipif(find_spec("tokenizers") is None, reason="needs the package tokenizers")
def test_estimates_err_upward_on_published_transcripts(real_transcripts: Path) -> None:
    """Against the one tokenizer of another maker that is at hand: that of Claude 2."""
    from tokenizers import Tokenizer

    claude = Tokenizer.from_file(str(tokens._folder() / "anthropic_tokenizer.json"))
    for folder in ("agentdojo-invariant", "swe-agent", "tau-bench"):
        for item in [item for item in read(real_transcripts / folder) if isinstance(item, Located)][:10]:
            messages = [wire_message(message) for message in item.transcript.messages]
            text = "\n".join(m["content"] for m in messages if isinstance(m["content"], str))[:60_000]
            true = len(claude.encode(text, add_special_tokens=False).ids)
            assert true <= CLAUDE.count(text) <= 1.6 * true, item.transcript.id
            assert true <= rough_count(text) <= 2.5 * true, item.transcript.id
