"""The stand-in's Responses API: by the openai client, and held against its chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from builders import ROOT
from openai import BadRequestError, OpenAI

from resample.models.responses import responses_body
from resample.models.wire import parse_reply
from resample.prepare.prefix import wire_message
from resample.standin.responses import chat_request
from resample.standin.server import Server, start
from resample.standin.settings import StandInSettings
from resample.types import ChatRequest, Role, Shared

SEALED = ["reasoning.encrypted_content"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start(StandInSettings(rates={"evaluation_awareness": 1.0})) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def tool(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "strict": False, "parameters": None, **schema["function"]}


def test_the_openai_client_plays_a_turn(client: OpenAI, player: Any) -> None:
    given: list[Any] = [{"role": "user", "content": "Please look into the failing build."}]
    for _ in range(10):
        made = client.responses.create(
            model="default", instructions="You are an agent.", input=given, tools=[tool(player.shell)], include=SEALED
        )
        assert made.status == "completed" and made.usage is not None
        assert 0 < made.usage.output_tokens_details.reasoning_tokens <= made.usage.output_tokens
        kinds = [item.type for item in made.output]
        assert kinds[0] == "reasoning"
        calls = [item for item in made.output if item.type == "function_call"]
        if not calls:
            assert kinds[-1] == "message" and made.output_text
            return
        given += made.output
        given += [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
    raise AssertionError("the turn does not end")


@pytest.mark.parametrize(("summary", "shown"), [(None, False), ("auto", True)])
@pytest.mark.parametrize(("include", "sealed"), [([], False), (SEALED, True)])
def test_reasoning_is_shown_and_sealed_where_that_is_asked_for(
    client: OpenAI, summary: Any, shown: bool, include: Any, sealed: bool
) -> None:
    reasoning: Any = {"summary": summary} if summary else None
    thought: Any = client.responses.create(model="x", input="Hello", reasoning=reasoning, include=include).output[0]
    assert (bool(thought.summary), bool(thought.encrypted_content)) == (shown, sealed)


def test_a_prompt_is_answered_anew_each_time(client: OpenAI) -> None:
    said = {client.responses.create(model="x", input="Tell me more.").output_text for _ in range(20)}
    assert len(said) > 1


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
USER = {"role": "user", "content": "Hello"}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": 3}, "input must be a text or a list of items"),
    ({"input": [USER, {"type": "dream"}]}, "1 items that are not known"),
    ({"input": [USER, THOUGHT]}, "'rs_1' not found"),
    ({"input": [USER, THOUGHT | {"encrypted_content": "forged"}]}, "could not be verified"),
    ({"input": "Hello", "stream": True}, "does not stream"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "answers no tool call"),
]


@pytest.mark.parametrize(("body", "says"), BAD)
def test_what_a_provider_would_reject_is_rejected(client: OpenAI, body: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequestError, match=says):
        client.post("/responses", body={"model": "x", **body}, cast_to=object)


def bundled() -> list[Any]:
    files = sorted((ROOT / "transcripts").glob("*.jsonl"))
    return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_a_conversation_survives_the_way_there_and_back() -> None:
    """The stand-in is given the very messages it would be given in chat, so that it plays the same model."""
    compared = 0
    for transcript in bundled():
        messages = list(map(wire_message, transcript["messages"]))
        request = ChatRequest(Role.CANDIDATE, Shared(tuple(messages)), tools=Shared(tuple(transcript.get("tools", ()))))
        asked = chat_request(orjson.loads(responses_body("x", request, {})))
        if any(a["role"] == b["role"] == "assistant" for a, b in pairwise(messages)):
            continue  # in a row they are one reply there
        assert asked["messages"] == [
            {key: value for key, value in message.items() if key != "name"} for message in messages
        ]
        compared += 1
    assert compared > 10


def test_a_schema_is_understood(client: OpenAI) -> None:
    schema = {"name": "ready", "schema": {"type": "object"}}
    request = ChatRequest(Role.JUDGE, Shared((USER,)), schema=schema)
    body = orjson.loads(responses_body("x", request, {}))
    assert chat_request(body)["response_format"]["json_schema"]["name"] == "ready"
    answered = client.post("/responses", body=body, cast_to=object)
    assert parse_reply(orjson.dumps(answered)).message["content"]
