"""A model's own reasoning goes back to it in later steps, in the form its provider takes, and nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted_provider import Answer, Asked, Provider, completion
from test_models_prompt_cache import ANSWER, CALL

from resample.judging.render import View, agent_blocks, fence
from resample.models import openai_sdk
from resample.models.litellm_sdk import LiteLLMTransport, reasoning_left_out
from resample.models.openai_sdk import OpenAITransport
from resample.models.responses import ITEMS
from resample.models.wire import parse_reply
from resample.types import ChatRequest, Message, Reply, Role, Shared

PREFIX = Shared(({"role": "user", "content": "Look."},))
OUTPUT: Message = {"role": "tool", "tool_call_id": "c1", "content": "x.txt"}
DETAILS = [{"type": "reasoning.encrypted", "data": "c2VhbGVk"}]
BLOCKS = [{"type": "thinking", "thinking": "Which files?", "signature": "c2lnbmVk"}]
THINKING = completion(
    None, tool_calls=[CALL], reasoning_content="Which files?", reasoning_details=DETAILS, thinking_blocks=BLOCKS
)


def two_steps(first: Any, make: Any) -> tuple[Reply, Asked]:
    """The reply of a first step, and what is asked in the second."""

    async def play() -> tuple[Reply, Asked]:
        async with Provider([Answer(first)]) as provider:
            transport = make(provider)
            reply = await transport.send(ChatRequest(Role.CANDIDATE, PREFIX))
            await transport.send(ChatRequest(Role.CANDIDATE, PREFIX, (reply.message, OUTPUT), step=1))
            await transport.close()
            return reply, provider.asked[1]

    return asyncio.run(play())


def claude(provider: Provider) -> LiteLLMTransport:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    return LiteLLMTransport("anthropic/claude-sonnet-4-5", base_url=provider.url.removesuffix("/v1"), params=thinking)


def test_signed_thinking_goes_back_to_claude_as_it_came() -> None:
    reply, asked = two_steps(ANSWER, claude)
    assert reply.message["reasoning_content"] == "Which files?"
    assert reply.message["thinking_blocks"] == ANSWER["content"][:2]
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens) == (100, 60)
    assert parse_reply(reply.raw) == reply, "a resumed run reads it so"
    _, agent, _ = asked.body["messages"]
    assert agent["content"] == ANSWER["content"]
    assert asked.body["thinking"]["type"] == "enabled"
    assert "reasoning_content" not in agent


def test_a_server_of_the_users_own_gets_back_what_it_gave() -> None:
    reply, asked = two_steps(THINKING, lambda provider: OpenAITransport("x", base_url=provider.url))
    given = THINKING["choices"][0]["message"]
    assert asked.body["messages"][1] == reply.message == given


def test_openai_gets_no_reasoning_back_in_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sdk, "is_openai", lambda address: True)
    _, asked = two_steps(THINKING, lambda provider: OpenAITransport("x", base_url=provider.url))
    assert asked.body["messages"][1] == {"role": "assistant", "content": None, "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("provider", "model", "sent"),
    [
        ("anthropic", "anthropic/claude-x", {"thinking_blocks"}),
        ("bedrock", "bedrock/anthropic.claude-x", {"thinking_blocks"}),
        ("vertex_ai", "vertex_ai/claude-x", {"thinking_blocks"}),
        ("vertex_ai", "vertex_ai/gemini-x", {"thinking_blocks", "reasoning_content", "reasoning_details"}),
        ("deepseek", "deepseek/x", {"thinking_blocks", "reasoning_content", "reasoning_details"}),
        ("bedrock", "bedrock/nova-x", set()),
        ("groq", "groq/x", set()),
        ("azure", "azure/gpt-x", set()),
    ],
)
def test_what_other_providers_get_back(provider: str, model: str, sent: set[str]) -> None:
    all_of_it = {"thinking_blocks", "reasoning_content", "reasoning_details", ITEMS}
    assert all_of_it - reasoning_left_out(provider, model) == sent


@pytest.mark.parametrize("view", list(View))
def test_a_judge_is_shown_no_sealed_reasoning(view: View) -> None:
    sealed = [{"type": "reasoning", "encrypted_content": "c2VhbGVk"}]
    message = {"role": "assistant", "content": "I look.", "tool_calls": [CALL], ITEMS: sealed}
    message |= {"reasoning_content": "Hm.", "thinking_blocks": BLOCKS, "reasoning_details": DETAILS}
    shown = fence(0, agent_blocks("step 1", message, view))
    assert "c2VhbGVk" not in shown and "c2lnbmVk" not in shown
