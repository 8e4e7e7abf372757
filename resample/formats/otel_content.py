"""What a span says of a model's call, in any of the dialects that instrumentations write.

Each dialect is a pass of its own that gives messages as objects with `role` and `parts` (the current convention) or
`content` and `tool_calls` (the older ones); `otel_messages` makes OpenAI messages of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from resample.formats.assemble import listed, text_or
from resample.formats.otel_attributes import (
    Attributes,
    Content,
    Item,
    in_order,
    looks_like_json,
    meets_a_limit,
    numbered,
    parsed,
    prompt_under,
    says_truncated,
)
from resample.formats.otel_spans import CHOICE, DETAILS, MESSAGE_EVENTS, Span

_MODEL_OPERATIONS = frozenset({"chat", "generate_content", "text_completion"})
_OTHER_OPERATIONS = frozenset(
    {"embeddings", "retrieval", "create_agent", "invoke_workflow", "plan", "load_skill", "search_memory"}
)
_AGENT, _TOOL = "agent", "tool"
_PREFIXES = ("gen_ai.", "llm.")


def kind_of(span: Span) -> str:
    """`model`, `agent`, `tool`, or an empty text for any other span."""
    attributes = span.attributes
    operation = text_or(attributes.get("gen_ai.operation.name"))
    kind = text_or(attributes.get("openinference.span.kind")) or text_or(attributes.get("traceloop.span.kind"))
    if (
        operation in _MODEL_OPERATIONS
        or kind.upper() == "LLM"
        or attributes.get("llm.request.type") in ("chat", "completion")
    ):
        return "model"
    if operation == "invoke_agent" or kind.lower() == _AGENT:
        return _AGENT
    if operation == "execute_tool" or kind.lower() == _TOOL:
        return _TOOL
    is_other = operation in _OTHER_OPERATIONS or operation.endswith("_memory") or kind
    return "model" if not is_other and _has_content(span) else ""


def _has_content(span: Span) -> bool:
    found = content_of_span(span)
    return bool(found.prompt or found.reply)


def content_of_span(span: Span) -> Content:
    """The first dialect that has anything to say."""
    if not any(key.startswith(_PREFIXES) for key in span.attributes) and not span.events:
        return Content()
    for dialect in _DIALECTS:
        content = dialect(span)
        if content.prompt or content.reply:
            # The current dialect has a whole conversation in an attribute: it is there, or it is not.
            content.broken |= span.cut and dialect is not current
            content.truncated |= content.broken or says_truncated(content) or meets_a_limit(content)
            content.tools = tools_of(span, content)
            if content.ends_early:
                content.reply = []
            return content
    return Content()


# -- dialects --------------------------------------------------------------------------------------------------------


def current(span: Span) -> Content:
    """`gen_ai.input.messages` and `gen_ai.output.messages`, on the span or on an event of it."""
    content = Content()
    details = [event["attributes"] for event in span.events if event["name"] == DETAILS]
    system: Any = None
    for attributes in (span.attributes, *details):
        system = parsed(attributes.get("gen_ai.system_instructions"), content) or system
        prompt = prompt_in(attributes.get("gen_ai.input.messages"), content)
        reply = parsed(attributes.get("gen_ai.output.messages"), content)
        if prompt or reply:
            content.prompt = with_instructions(_instructions(system), prompt)
            content.reply = _told(reply, "assistant")
            break
    return content


def with_instructions(system: list[Item], prompt: list[Item]) -> list[Item]:
    """Some instrumentations tell the system prompt twice: by itself, and as the first message."""
    twice = bool(system and prompt) and prompt[0].get("role") in ("system", "developer")
    return prompt if twice and _saying(system[0]) == _saying(prompt[0]) else [*system, *prompt]


def _saying(item: Item) -> list[Any]:
    said = item.get("parts", item.get("content"))
    return [said] if isinstance(said, str) else [part.get("content", part.get("text")) for part in listed(said)]


def prompt_in(value: Any, content: Content) -> list[Item]:
    """The messages of a prompt in one attribute, as far as they are whole: its end may be cut off."""
    was_broken, content.broken = content.broken, False
    prompt = _told(parsed(value, content), "user")
    if content.broken:
        prompt = prompt[:-1]  # the cut went through it, or stands right after it: nothing tells
        content.ends_early = True
    content.broken |= was_broken
    return prompt


def _instructions(system: Any) -> list[Item]:
    """The system prompt stands by itself: a text, or parts."""
    if isinstance(system, str):
        return [{"role": "system", "content": system}] if system else []
    parts = listed(system)
    if any("role" in part for part in parts):
        return parts
    return [{"role": "system", "parts": parts}] if parts else []


def span_events(span: Span) -> Content:
    """One event for each message of the prompt, and `gen_ai.choice` for the reply; or one for each of the two."""
    content = Content()
    for event in (*span.events, *_events_in_an_attribute(span, content)):
        attributes = event["attributes"]
        body = parsed(attributes.get("gen_ai.event.content"), content)
        body = body if isinstance(body, dict) else _unjson(attributes, content)
        if event["name"] in MESSAGE_EVENTS:
            content.prompt.append({**body, "role": MESSAGE_EVENTS[event["name"]]})
        elif event["name"] == CHOICE:
            message = body.get("message")
            message = message if isinstance(message, dict) else {"content": message}
            content.reply.append({**body, **{k: v for k, v in message.items() if v is not None}, "role": "assistant"})
        elif event["name"] == "gen_ai.content.prompt":
            content.prompt += prompt_in(attributes.get("gen_ai.prompt"), content)
        elif event["name"] == "gen_ai.content.completion":
            content.reply += _told(parsed(attributes.get("gen_ai.completion"), content), "assistant")
    return content


def _events_in_an_attribute(span: Span, content: Content) -> Iterator[Item]:
    """Logfire keeps the events of a span in an attribute of it, as JSON."""
    was_broken, content.broken = content.broken, False
    told = listed(parsed(span.attributes.get("events"), content))
    if content.broken:
        told = told[:-1]
    content.broken |= was_broken
    for event in told:
        if isinstance(event.get("event.name"), str):
            yield {"name": event["event.name"], "attributes": event}


def _unjson(attributes: Attributes, content: Content) -> Item:
    """An event's attributes hold lists and objects as JSON; the text of a message may look like it, and stays."""
    structured = ("tool_calls", "message")
    return {key: parsed(value, content) if key in structured else value for key, value in attributes.items()}


def whole_texts(span: Span) -> Content:
    """`gen_ai.prompt` and `gen_ai.completion`, each with all messages as JSON, or one text."""
    content = Content()
    content.prompt = prompt_in(span.attributes.get("gen_ai.prompt"), content)
    content.reply = _told(parsed(span.attributes.get("gen_ai.completion"), content), "assistant")
    return content


def _told(value: Any, role: str) -> list[Item]:
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if isinstance(value, str):
        return [{"role": role, "content": value}] if value and not looks_like_json(value) else []
    return [{"role": role, **item} for item in listed(value)]


def indexed(span: Span) -> Content:
    """`gen_ai.prompt.0.role`, `gen_ai.completion.0.content` and so on (OpenLLMetry); before that, `llm.prompts.0...`.

    Content that is a list stands there as JSON.
    """
    content = Content()
    for prompt, completion in (("gen_ai.prompt.", "gen_ai.completion."), ("llm.prompts.", "llm.completions.")):
        content.prompt = [_indexed_message(item, "user", content) for item in prompt_under(prompt, span, content)]
        content.reply = [_indexed_message(item, "assistant", content) for item in numbered(span.attributes, completion)]
        if content.prompt or content.reply:
            break
    return content


def _indexed_message(item: Item, role: str, content: Content) -> Item:
    said = item.get("content")
    if isinstance(said, str) and said.startswith("[{"):
        parts = parsed(said, content)
        if isinstance(parts, list) and all(isinstance(part, dict) and "type" in part for part in parts):
            said = parts
    return {"role": role, **item, "content": said, "tool_calls": in_order(item.get("tool_calls"))}


def open_inference(span: Span) -> Content:
    """`llm.input_messages.0.message.role` and so on (OpenInference)."""
    content = Content(choices=False)
    content.prompt = [_open_inference_message(item) for item in prompt_under("llm.input_messages.", span, content)]
    content.reply = [
        {**_open_inference_message(item), "role": "assistant"}
        for item in numbered(span.attributes, "llm.output_messages.")
    ]
    return content


def _open_inference_message(item: Item) -> Item:
    message = item.get("message")
    message = message if isinstance(message, dict) else {}
    calls = [call.get("tool_call") for call in in_order(message.get("tool_calls"))]
    parts = [part.get("message_content") for part in in_order(message.get("contents"))]
    made: Item = {**message, "tool_calls": listed(calls)}
    if listed(parts):
        made["content"] = [_open_inference_part(part) for part in listed(parts)]
    return made


def _open_inference_part(part: Item) -> Item:
    image = part.get("image")
    if isinstance(image, dict):
        inner = image.get("image")
        return {"type": "image_url", "image_url": {"url": (inner if isinstance(inner, dict) else image).get("url")}}
    return part


_DIALECTS: tuple[Callable[[Span], Content], ...] = (current, open_inference, indexed, span_events, whole_texts)


# -- tools -----------------------------------------------------------------------------------------------------------


def tools_of(span: Span, content: Content) -> list[Any]:
    """The tools a model was given, in each dialect's form."""
    for attributes in (span.attributes, *(event["attributes"] for event in span.events)):
        if tools := listed(parsed(attributes.get("gen_ai.tool.definitions"), content)):
            return tools
    if functions := numbered(span.attributes, "llm.request.functions."):
        return [_with_json(tool, ("parameters", "input_schema"), content) for tool in functions]
    if found := listed([tool.get("tool") for tool in numbered(span.attributes, "llm.tools.")]):
        return [_open_inference_tool(tool, content) for tool in found]
    parameters = parsed(span.attributes.get("llm.invocation_parameters"), content)
    return listed(parameters.get("tools")) if isinstance(parameters, dict) else []


def _with_json(tool: Item, keys: tuple[str, ...], content: Content) -> Item:
    return {key: parsed(value, content) if key in keys else value for key, value in tool.items()}


def _open_inference_tool(tool: Item, content: Content) -> Any:
    """The schema is the whole definition, or that of the parameters only."""
    schema = parsed(tool.get("json_schema"), content)
    if (
        not isinstance(schema, dict)
        or not isinstance(tool.get("name"), str)
        or "function" in schema
        or "name" in schema
    ):
        return schema
    return {"name": tool["name"], "description": tool.get("description"), "parameters": schema}
