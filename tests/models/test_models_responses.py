"""The Responses API: chat messages as input items, replies as chat completions, and reasoning there and back."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from scripted_provider import Answer, Asked, Provider, error

from resample.models import openai_sdk
from resample.models.failures import Failure
from resample.models.openai_sdk import OpenAITransport
from resample.models.responses import ITEMS, responses_body
from resample.models.wire import parse_reply
from resample.types import ChatRequest, Fault, Message, Reply, Role, Shared, Usage, UserError

KEY = "s3cret-Key-0123456789-wxyz"


def item(kind: str, **values: Any) -> dict[str, Any]:
    return {"type": kind, **values}


def said(text: str, **values: Any) -> dict[str, Any]:
    part = item("output_text", text=text, annotations=[])
    return item("message", id="msg_1", status="completed", role="assistant", content=[part], **values)


THOUGHT = item(
    "reasoning",
    id="rs_1",
    summary=[item("summary_text", text="First."), item("summary_text", text="Second.")],
    encrypted_content="gAAAA-sealed",
    status=None,
)
CALL = item("function_call", id="fc_1", call_id="c1", name="ls", arguments='{"a": 1,} \t', status="completed")
PATCH = item("custom_tool_call", id="ctc_1", call_id="c2", name="patch", input="*** Begin")


def response(*output: dict[str, Any], **values: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 110,
    }
    plain = {"id": "resp_1", "object": "response", "status": "completed", "error": None, "incomplete_details": None}
    return {**plain, "model": "gpt-x-2026", "output": list(output), "usage": usage, **values}


def read(*output: dict[str, Any], **values: Any) -> Reply:
    return parse_reply(orjson.dumps(response(*output, **values)))


def body(request: ChatRequest, **params: Any) -> dict[str, Any]:
    sent: dict[str, Any] = orjson.loads(responses_body("gpt-x", request, params))
    return sent


def asked(*messages: Message, tail: tuple[Message, ...] = (), **values: Any) -> ChatRequest:
    return ChatRequest(Role.CANDIDATE, Shared(messages), tail, **values)


USER: Message = {"role": "user", "content": "grüß Gott"}
FUNCTION = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
FILE = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}}

INPUTS: dict[str, tuple[list[Message], list[dict[str, Any]]]] = {
    "roles": (
        [{"role": role, "content": role, "name": "n"} for role in ("system", "developer", "user", "assistant")],
        [{"role": role, "content": role} for role in ("system", "developer", "user", "assistant")],
    ),
    "parallel calls and a text": (
        [
            {"role": "assistant", "content": "I look.", "tool_calls": [FUNCTION, CUSTOM]},
            {"role": "tool", "tool_call_id": "c1", "content": "x.txt"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "done"}]},
        ],
        [
            {"role": "assistant", "content": "I look."},
            item("function_call", call_id="c1", name="ls", arguments="{}"),
            item("custom_tool_call", call_id="c2", name="patch", input="*** Begin"),
            item("function_call_output", call_id="c1", output="x.txt"),
            item("custom_tool_call_output", call_id="c2", output=[item("input_text", text="done")]),
        ],
    ),
    "calls alone": (
        [{"role": "assistant", "content": None, "tool_calls": [FUNCTION]}],
        [item("function_call", call_id="c1", name="ls", arguments="{}")],
    ),
    "nothing at all": ([{"role": "assistant", "content": None}], [{"role": "assistant", "content": ""}]),
    "a refusal": (
        [{"role": "assistant", "content": None, "refusal": "I cannot"}],
        [{"role": "assistant", "content": "I cannot"}],
    ),
    "parts": (
        [
            {"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE, FILE]},
            {"role": "assistant", "content": [{"type": "text", "text": "seen"}]},
        ],
        [
            {
                "role": "user",
                "content": [
                    item("input_text", text="see"),
                    item("input_image", image_url="data:image/png;base64,AA", detail="low"),
                    item("input_file", **FILE["file"]),
                ],
            },
            {"role": "assistant", "content": [item("output_text", text="seen")]},
        ],
    ),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("where", ["prefix", "tail", "both"])
def test_messages_are_input_items_wherever_they_stand(name: str, where: str) -> None:
    messages, items = INPUTS[name]
    if where == "prefix":
        assert body(asked(*messages))["input"] == items
    elif where == "tail":
        assert body(asked(tail=tuple(messages)))["input"] == items
    else:  # an output after the cut may answer a call before it
        assert body(asked(messages[0], tail=tuple(messages[1:])))["input"] == items


def test_a_request_is_kept_nowhere_and_asks_for_its_reasoning() -> None:
    sent = body(asked(USER, seed=3))
    assert sent == {
        "model": "gpt-x",
        "input": [USER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert body(asked(USER), include=None, store=None, top_p=1) == {"model": "gpt-x", "input": [USER], "top_p": 1}


def test_tools_are_flat_and_as_strict_as_in_chat() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    tools = (
        {"type": "function", "function": {"name": "ls", "description": "d", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "rm", "strict": True}},
        {"type": "custom", "custom": {"name": "patch", "format": grammar}},
    )
    assert body(asked(USER, tools=Shared(tools)))["tools"] == [
        item("function", name="ls", description="d", parameters={"type": "object"}, strict=False),
        item("function", name="rm", parameters=None, strict=True),
        item("custom", name="patch", format={"type": "grammar", "syntax": "lark", "definition": "start: X"}),
    ]


def test_a_schema_stands_beside_what_params_say_of_the_text() -> None:
    schema = {"name": "verdict", "strict": True, "schema": {"type": "object"}}
    sent = body(asked(USER, schema=schema), text={"verbosity": "low"})
    assert sent["text"] == {"format": {"type": "json_schema", **schema}, "verbosity": "low"}


def test_a_prefix_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from resample.models import responses

    seen: list[Message] = []
    monkeypatch.setattr(responses, "_items", lambda message, custom: seen.append(message) or iter((message,)))
    request = asked(USER, USER, tools=Shared(()))
    for _ in range(3):
        responses_body("gpt-x", request, {})
    assert seen == [USER, USER]
    assert request.prefix.items == (USER, USER)


# -- replies --------------------------------------------------------------------------------------------------------


def test_a_reply_is_what_it_would_be_in_chat() -> None:
    reply = read(THOUGHT, said("I look."), CALL, PATCH)
    message = dict(reply.message)
    assert [kept["type"] for kept in message.pop(ITEMS) if "type" in kept] == [
        *("reasoning", "function_call", "custom_tool_call")
    ]
    assert message == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1,} \t'}},
            CUSTOM,
        ],
        "reasoning_content": "First.\n\nSecond.",
    }
    assert (reply.finish_reason, reply.model, reply.fingerprint) == ("tool_calls", "gpt-x-2026", None)
    assert reply.usage == Usage(100, 60, 10, 4)


def test_items_of_a_reply_go_back_in_order_and_without_names_nobody_knows() -> None:
    second = THOUGHT | {"id": "rs_2", "encrypted_content": "gAAAA-more"}
    reply = read(THOUGHT, said("I look.", phase="commentary"), second, CALL)
    output = {"role": "tool", "tool_call_id": "c1", "content": "x.txt"}
    sent = body(asked(USER, tail=(reply.message, output)))
    thought = {key: value for key, value in THOUGHT.items() if key != "status"}
    assert sent["input"] == [
        USER,
        thought,
        {"role": "assistant", "content": "I look.", "phase": "commentary"},
        thought | {"id": "rs_2", "encrypted_content": "gAAAA-more"},
        item("function_call", call_id="c1", name="ls", arguments='{"a": 1,} \t'),
        item("function_call_output", call_id="c1", output="x.txt"),
    ]


def test_an_output_of_a_custom_tool_of_a_reply_is_known_as_such() -> None:
    output = {"role": "tool", "tool_call_id": "c2", "content": "done"}
    sent = body(asked(USER, tail=(read(THOUGHT, PATCH).message, output)))
    assert sent["input"][-1] == item("custom_tool_call_output", call_id="c2", output="done")


NOT_KEPT: dict[str, list[dict[str, Any]]] = {
    "no reasoning": [said("hi"), CALL],
    "reasoning of which only a summary came": [THOUGHT | {"encrypted_content": None}, CALL],
    "calls whose ids are not their own": [THOUGHT, CALL, CALL],
    "calls without ids": [THOUGHT, CALL | {"call_id": ""}],
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_items_that_say_no_more_than_the_message_are_not_kept(name: str) -> None:
    reply = read(*NOT_KEPT[name])
    assert ITEMS not in reply.message
    ids = [call["id"] for call in reply.message["tool_calls"]]
    assert all(ids) and len(set(ids)) == len(ids)


def test_open_reasoning_is_kept_and_shown() -> None:
    thought = item("reasoning", id="rs_1", summary=[], content=[item("reasoning_text", text="I think.")])
    reply = read(thought, CALL)
    assert reply.message["reasoning_content"] == "I think."
    assert reply.message[ITEMS][0] == thought


ENDINGS: dict[str, tuple[dict[str, Any], str]] = {
    "text": (response(said("hi")), "stop"),
    "calls": (response(CALL), "tool_calls"),
    "length": (response(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
    "filter": (
        response(said("h"), status="incomplete", incomplete_details={"reason": "content_filter"}),
        "content_filter",
    ),
    "unknown": (response(said("h"), status="incomplete"), "length"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_endings(name: str) -> None:
    data, finish_reason = ENDINGS[name]
    assert parse_reply(orjson.dumps(data)).finish_reason == finish_reason


def test_a_refusal_is_one() -> None:
    refused = item("message", role="assistant", content=[item("refusal", refusal="I cannot")])
    assert read(refused).message["refusal"] == "I cannot"


@pytest.mark.parametrize("output", [None, [], [None, 3, {}], [{"type": "message"}], [{"type": "function_call"}]])
def test_odd_output_is_read(output: Any) -> None:
    message = parse_reply(orjson.dumps(response() | {"output": output})).message
    assert message["role"] == "assistant" and message["content"] in (None, "")


def test_usage_that_is_not_reported_is_marked() -> None:
    assert read(said("hi"), usage=None).usage == Usage(estimated=True)


# -- over HTTP ------------------------------------------------------------------------------------------------------


def send(*answers: Answer, request: ChatRequest | None = None, **options: Any) -> tuple[Reply | Failure, Asked]:
    async def play() -> tuple[Reply | Failure, Asked]:
        async with Provider(answers) as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url, api="responses", **options)
            try:
                result: Reply | Failure = await transport.send(request or asked(USER, seed=3))
            except Failure as failure:
                result = failure
            await transport.close()
            return result, provider.asked[0]

    return asyncio.run(play())


def test_bytes_go_out_and_come_back_unchanged() -> None:
    raw = orjson.dumps(response(THOUGHT, said("hi")))
    reply, sent = send(Answer(raw), api_key=KEY)
    assert isinstance(reply, Reply) and reply.raw == raw
    assert parse_reply(reply.raw) == reply  # as a resumed run reads it
    assert sent.path == "/v1/responses" and sent.headers["Authorization"] == f"Bearer {KEY}"
    assert "seed" not in sent.body and "prompt_cache_key" not in sent.body


FAULTS: dict[str, tuple[Answer, Fault, bool, str]] = {
    "401": (error(401, f"wrong key {KEY}"), Fault.ACCESS, False, "401 wrong key [redacted]"),
    "context": (error(400, "too long", code="context_length_exceeded"), Fault.CONTEXT, False, "too long"),
    "429": (error(429, "slow"), Fault.UNAVAILABLE, True, "slow"),
    "failed": (
        Answer(response(status="failed", error={"code": "server_error", "message": "oops"})),
        Fault.REJECTED,
        True,
        "oops",
    ),
    "filtered prompt": (
        Answer(response(status="failed", error={"code": "invalid_prompt", "message": "no"})),
        Fault.REFUSED,
        False,
        "no",
    ),
    "not done": (Answer(response(status="queued")), Fault.REJECTED, True, "the response is queued"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    answer, fault, retryable, text = FAULTS[name]
    failure, _ = send(answer, api_key=KEY)
    assert isinstance(failure, Failure)
    assert (failure.fault, failure.retryable) == (fault, retryable)
    assert text in str(failure) and KEY not in str(failure)


def test_a_reply_may_not_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sdk, "REPLY_BYTES", 2**10)
    failure, _ = send(Answer(response(said("x" * 2**11))))
    assert isinstance(failure, Failure) and "larger than" in str(failure)


NO_REASONING = error(400, "Encrypted content is not supported with this model.")


def test_a_model_that_does_not_reason_is_asked_without() -> None:
    async def play() -> list[bool]:
        done = Answer(response(said("hi")))
        async with Provider([NO_REASONING, done]) as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url, api="responses")
            replies = [await transport.send(asked(USER)) for _ in range(3)]
            await transport.close()
            assert [reply.message["content"] for reply in replies] == ["hi"] * 3
            return ["include" in sent.body for sent in provider.asked]

    assert asyncio.run(play()) == [True, False, False, False]


def test_who_insists_on_encrypted_reasoning_is_told_that_there_is_none() -> None:
    failure, _ = send(NO_REASONING, params={"include": ["reasoning.encrypted_content"]})
    assert isinstance(failure, Failure) and "Encrypted content is not supported" in str(failure)


@pytest.mark.parametrize("field", ["input", "previous_response_id", "background"])
def test_what_the_engine_decides_is_not_for_params(field: str) -> None:
    with pytest.raises(UserError, match=f"params.{field}"):
        OpenAITransport("gpt-x", base_url="http://h/v1", api="responses", params={field: "x"})
