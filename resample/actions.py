"""How an agent writes its actions: native tool calls, or text that a named parser reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from resample import text_actions
from resample.types import TOOLS, Message, ToolCall, UserError

_TEXT = "text:"
_LEGACY_ID = "function_call"
"""Stands for the id that calls of the older form `function_call` do not have."""
_DEEP = 200


class ActionStyle(Protocol):
    """One way to write actions and to get their outputs."""

    def calls(self, message: Message) -> list[ToolCall]:
        """The calls an assistant message makes, in order. Reads leniently: no message makes it raise."""
        ...

    def answers(self, messages: Sequence[Message], index: int) -> list[Message | None]:
        """For each call of the message at `index`, the message that carries its output; None where there is none."""
        ...

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        """Does this message carry outputs, rather than the words of somebody?"""
        ...

    def ends_turn(self, call: ToolCall) -> bool:
        """Is this a call that ends the turn whatever it gives, by the agent's own conventions?"""
        ...

    def as_shown(self, messages: Sequence[Message]) -> ActionStyle:
        """The same style, with outputs carried in the form that these messages show."""
        ...

    def output(self, call: ToolCall, content: str) -> Message:
        """The message that carries the output of a call back to the agent."""
        ...


def begins_turn(style: ActionStyle, messages: Sequence[Message], index: int) -> bool:
    """Does a turn begin with this message? A user's does, unless it only carries outputs."""
    return messages[index].get("role") == "user" and not style.is_output(messages, index)


class Marked:
    """A style in a log that marks messages in the user's role as the harness's own, such as an error of form.

    They are no words of a user, and begin no turn. Messages are counted from the transcript's beginning.
    """

    def __init__(self, style: ActionStyle, harness: frozenset[int]) -> None:
        self._style = style
        self._harness = harness

    def calls(self, message: Message) -> list[ToolCall]:
        """As the style reads them."""
        return self._style.calls(message)

    def answers(self, messages: Sequence[Message], index: int) -> list[Message | None]:
        """As the style pairs them."""
        return self._style.answers(messages, index)

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        """Also what the log marks."""
        return index in self._harness or self._style.is_output(messages, index)

    def ends_turn(self, call: ToolCall) -> bool:
        """By the style's conventions."""
        return self._style.ends_turn(call)

    def as_shown(self, messages: Sequence[Message]) -> ActionStyle:
        """The style as these messages show it: the marks are of the log, not of what is played."""
        return self._style.as_shown(messages)

    def output(self, call: ToolCall, content: str) -> Message:
        """As the style writes it."""
        return self._style.output(call, content)


class NativeCalls:
    """OpenAI tool calls: function, custom, and the older `function_call`."""

    def calls(self, message: Message) -> list[ToolCall]:
        """The calls of `tool_calls`, or else that of `function_call`."""
        listed = message.get("tool_calls")
        calls = [_call(call) for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []
        older = message.get("function_call")
        if not calls and isinstance(older, dict):
            return [_function(_LEGACY_ID, older)]
        return calls

    def answers(self, messages: Sequence[Message], index: int) -> list[Message | None]:
        """By id, up to the next assistant message: logs use ids again."""
        answers: dict[str, Message] = {}
        for message in messages[index + 1 :]:
            if message.get("role") == "assistant":
                break
            if message.get("role") == "tool":
                answers[message.get("tool_call_id", "")] = message
        return [answers.get(call.id) for call in self.calls(messages[index])]

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        """Tool messages, and user messages that only carry tool results (as parts, in Anthropic's way)."""
        message = messages[index]
        return message.get("role") in ("tool", "function") or (
            message.get("role") == "user" and _only_tool_results(message.get("content"))
        )

    def ends_turn(self, call: ToolCall) -> bool:
        """Never: which tools do is in `metadata.terminal_tools`."""
        return False

    def as_shown(self, messages: Sequence[Message]) -> ActionStyle:
        """Outputs have one form only."""
        return self

    def output(self, call: ToolCall, content: str) -> Message:
        """A tool message; a function message for a call of the older form."""
        if call.id == _LEGACY_ID:
            return {"role": "function", "name": call.name, "content": content}
        return {"role": "tool", "tool_call_id": call.id, "content": content}


STYLES: dict[str, ActionStyle] = {
    TOOLS: NativeCalls(),
    **{_TEXT + name: text_actions.TextCalls(parser) for name, parser in text_actions.PARSERS.items()},
}
"""By name: `tools`, and `text:<parser>` for each parser there is."""


def style(name: str) -> ActionStyle:
    """The action style of that name. Raises UserError, with the names there are, for any other."""
    if name in STYLES:
        return STYLES[name]
    parsers = [known.removeprefix(_TEXT) for known in STYLES if known.startswith(_TEXT)]
    if name.startswith(_TEXT):
        known = ", ".join(parsers) or "none"
        raise UserError(f"metadata.actions={name}: no such parser of text actions (known: {known})")
    raise UserError(f"metadata.actions={name}: must be one of {', '.join(STYLES)}")


def style_in(name: str, harness: Iterable[int] | None) -> ActionStyle:
    """The style of that name in a log with these marks of the harness. Raises UserError as `style` does."""
    marks = frozenset(harness or ())
    return Marked(style(name), marks) if marks else style(name)


def _call(call: dict[str, Any]) -> ToolCall:
    id = _text(call.get("id"))
    custom = call.get("custom")
    if isinstance(custom, dict):
        # A custom tool takes free text, which is no malformed object: it counts as the one argument.
        text = _text(custom.get("input"))
        return ToolCall(id, _text(custom.get("name")), text, {"input": text})
    function = call.get("function")
    return _function(id, function if isinstance(function, dict) else {})


def _function(id: str, function: dict[str, Any]) -> ToolCall:
    arguments = function.get("arguments")
    if isinstance(arguments, dict):  # some servers do not wrap the arguments in a string
        try:
            arguments = orjson.dumps(arguments).decode()
        except TypeError:
            arguments = "(nested too deep to be written)"
    text = _text(arguments)
    return ToolCall(id, _text(function.get("name")), text, _parsed(text))


def _parsed(arguments: str) -> dict[str, Any] | None:
    """The arguments as an object. An empty text is an empty object: some models write none at all so."""
    if not arguments.strip():
        return {}
    try:
        value = orjson.loads(arguments)
        if arguments.count("[") + arguments.count("{") > _DEEP:
            orjson.dumps(value)  # raises where it is nested deeper than can be written again
    except (orjson.JSONDecodeError, TypeError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _only_tool_results(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)
    )
