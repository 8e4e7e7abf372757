"""Actions that an agent writes as text, and the outputs it gets back in messages of the user's role.

A parser reads the calls out of an assistant's text. The form in which outputs are carried back is learned from the
transcript itself: a candidate has to see them as the agent that was recorded saw them.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple, NoReturn

import orjson

from resample.types import Message, ToolCall

COMMAND = "bash"
"""The name of the one tool of agents that write shell commands."""


class Written(NamedTuple):
    """A call as it was written."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parser:
    """How one kind of agent writes."""

    read: Callable[[str], list[Written]]
    """The calls in a text, in order; none where there is no call, or none that can be read."""
    ends: Callable[[Written], bool] = lambda _: False
    """Does this call end the turn?"""
    before: str = ""
    after: str = ""
    """What stands around an output where the transcript shows none yet; `{name}` is the tool's."""
    tail: re.Pattern[str] | None = None
    """The lines that tell the agent's state after every output, such as its working directory: the latest ones hold."""


@dataclass(frozen=True, slots=True)
class TextCalls:
    """An ActionStyle for one parser."""

    parser: Parser
    wrapping: Wrapping | None = None

    def calls(self, message: Message) -> list[ToolCall]:
        """The calls in the text of an assistant message."""
        return [
            ToolCall(f"text_{number}", call.name, orjson.dumps(call.arguments).decode(), call.arguments)
            for number, call in enumerate(_read(self.parser, message))
        ]

    def answers(self, messages: Sequence[Message], index: int) -> list[Message | None]:
        """The messages that follow, one for each call in their order."""
        calls = len(self.calls(messages[index]))
        found = messages[index + 1 : index + 1 + calls]
        carried = list(takewhile(lambda message: message.get("role") in ("user", "tool"), found))
        return [*carried, *[None] * (calls - len(carried))]

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        """A user message is one if the assistant message before it made a call that it can be the output of."""
        if messages[index].get("role") == "tool":
            return True
        if messages[index].get("role") != "user":
            return False
        caller = index - 1
        while caller > index - _MOST_OUTPUTS and caller >= 0 and messages[caller].get("role") in ("user", "tool"):
            caller -= 1
        if caller < 0 or messages[caller].get("role") != "assistant":
            return False
        return index - caller <= len(_read(self.parser, messages[caller]))

    def ends_turn(self, call: ToolCall) -> bool:
        """By the conventions of this kind of agent, such as the command `submit`."""
        return self.parser.ends(Written(call.name, call.parsed or {}))

    def as_shown(self, messages: Sequence[Message]) -> TextCalls:
        """With the wrapping of the outputs in these messages."""
        shown = [
            (call.name, str(answer["content"]))
            for index, message in enumerate(messages)
            if message.get("role") == "assistant"
            for call, answer in zip(self.calls(message), self.answers(messages, index), strict=True)
            if answer is not None and isinstance(answer.get("content"), str)
        ]
        return replace(self, wrapping=self._state_shown(messages) or self._settled(learn(shown)))

    @property
    def _default(self) -> Wrapping:
        return Wrapping(_lines(self.parser.before), _lines(self.parser.after))

    def _settled(self, learned: Wrapping | None) -> Wrapping:
        """What was learned, as far as it can be a frame: outputs may begin alike by chance, or one may have none."""
        default = self._default
        if learned is None or not default.before or not learned.before:
            return default
        usual = _alike(learned.before[0], default.before[0])
        return Wrapping(learned.before, learned.after or (default.after if usual else ()))

    def _state_shown(self, messages: Sequence[Message]) -> Wrapping | None:
        """The agent's state as the last message that tells it: before its first action, the end of its task."""
        if self.parser.tail is None:
            return None
        for message in reversed(messages):
            if message.get("role") == "user" and isinstance(message.get("content"), str):
                lines = message["content"].rstrip("\n").split("\n")[-_AROUND:]
                if state := list(takewhile(self.parser.tail.fullmatch, reversed(lines))):
                    return Wrapping((), tuple(reversed(state)))
        return None

    def output(self, call: ToolCall, content: str) -> Message:
        """A user message, wrapped as this agent's outputs are."""
        wrapping = self._default if self.wrapping is None else self.wrapping
        return {"role": "user", "content": wrapping.around(content, call.name)}


def _read(parser: Parser, message: Message) -> list[Written]:
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content if isinstance(part, dict) and _is_text(part.get("text")))
    return parser.read(content) if isinstance(content, str) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# -- what stands around outputs -------------------------------------------------------------------------------------

_MOST_OUTPUTS = 64
"""Outputs of one message, as far as user messages are taken for them."""
_SHOWN = 8
"""So many of the latest outputs are looked at."""
_AROUND = 4
"""Lines before, and after, an output that may belong to its wrapping."""
_NAME = "{name}"
_HEAD = re.compile(r"<[^<>]+>.*|\[.*\]|.*:")
_TAIL = re.compile(r"</?[^<>]+>|\(.*\)|\[.*\]|.*[$#>:]")
_DIGITS = re.compile(r"\d+")


class Wrapping(NamedTuple):
    """Lines around every output; `{name}` in them stands for the tool's name."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def around(self, content: str, name: str) -> str:
        """An output in this form; one that has it already (as recorded ones do) stays as it is, byte for byte."""
        lines = content.split("\n")
        before = [line.replace(_NAME, name) for line in self.before]
        after = [line.replace(_NAME, name) for line in self.after]
        if before and not _alike(lines[0], before[0]):
            lines = [*before, *lines]
        if after and not _alike(_last(lines), after[-1]):
            lines = [*lines, *after] if lines[-1] else [*lines[:-1], *after]
        return "\n".join(lines)


def _alike(line: str, pattern: str) -> bool:
    """The same but for numbers, such as an exit code."""
    return _DIGITS.sub("0", line.strip()) == _DIGITS.sub("0", pattern.strip())


def _last(lines: Sequence[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "")


def learn(shown: Iterable[tuple[str, str]]) -> Wrapping | None:
    """What all the latest outputs (tool name, text) have around them; None where they are too few to tell.

    Only lines that look like a frame count (a tag, a label with a colon, a prompt): two outputs may begin with the
    same words by chance.
    """
    latest = list(dict.fromkeys(shown))[-_SHOWN:]
    if len(latest) < 2:
        return None
    texts = [[line.replace(name, _NAME) if name else line for line in text.split("\n")] for name, text in latest]
    room = min(map(len, texts))
    before = _common(texts, _HEAD, min(_AROUND, room))
    after = _common([lines[::-1] for lines in texts], _TAIL, min(_AROUND, room - len(before)))
    return Wrapping(tuple(before), tuple(reversed(after))) if before or after else None


def _common(texts: Sequence[Sequence[str]], frame: re.Pattern[str], most: int) -> list[str]:
    """The lines at the beginning that all have, each as most of them have it: of exit codes, that of success."""
    first = texts[0]

    def is_frame(i: int) -> bool:
        blank = i > 0 and not first[i].strip()
        return all(_alike(text[i], first[i]) for text in texts) and (blank or bool(frame.fullmatch(first[i])))

    return [Counter(text[i] for text in texts).most_common(1)[0][0] for i in takewhile(is_frame, range(most))]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


# -- parsers --------------------------------------------------------------------------------------------------------


class Marks(NamedTuple):
    """What stands before and after a stretch of text."""

    opening: re.Pattern[str]
    closing: re.Pattern[str]

    def around(self, text: str) -> list[tuple[re.Match[str], str]]:
        """Each stretch with the match of its opening. One pass: a text of openings only must not take time squared."""
        found = []
        at = 0
        while (opening := self.opening.search(text, at)) and (closing := self.closing.search(text, opening.end())):
            found.append((opening, text[opening.end() : closing.start()]))
            at = closing.end()
        return found

    def within(self, text: str) -> list[str]:
        """The stretches."""
        return [inner for _, inner in self.around(text)]


def _tag(name: str) -> Marks:
    return Marks(re.compile(f"<{name}>"), re.compile(f"</{name}>"))


_FENCE = Marks(re.compile(r"^```[^\n`]*\n", re.MULTILINE), re.compile(r"^```[ \t]*$", re.MULTILINE))
_FUNCTION = Marks(re.compile(r"<function=([^>\s]+)>"), re.compile("</function>"))
_PARAMETER = Marks(re.compile(r"<parameter=([^>\s]+)>"), re.compile("</parameter>"))
_COMMAND_TAG = _tag("command")
_CALL_LIST = _tag("function_call")
_MINI_FENCE = Marks(
    re.compile(r"^```(?:mswea_bash_command|bash)[ \t]*\n", re.MULTILINE), re.compile("^```", re.MULTILINE)
)
_MINI_TAG = _tag("mswea_bash_command")
_MINI_END = re.compile(r"\becho\s+[\"']?(?:COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT|MINI_SWE_AGENT_FINAL_OUTPUT)")
_COMMANDS = _tag("commands")
_KEYSTROKES = Marks(
    re.compile(r"""<keystrokes(?:\s+duration=["'](\d{1,6}(?:\.\d{1,6})?)["'])?\s*+>"""), re.compile("</keystrokes>")
)
_TASK_COMPLETE = re.compile(r"<task_complete>\s*true\s*</task_complete>", re.IGNORECASE)
_ENDING_COMMANDS = frozenset({"submit", "exit_forfeit"})
_LONGEST_LIST = 100_000
"""Characters of a call list: Python's own parser takes memory beyond measure for more."""


def last_fenced_command(text: str) -> list[Written]:
    """SWE-agent: a thought, and the command in a fenced block, of which the last one counts."""
    blocks = _FENCE.within(text)
    return [_command(blocks[-1])] if blocks else []


def only_bash_block(text: str) -> list[Written]:
    """mini-SWE-agent: exactly one block marked as bash; any other number is an error of form, and no call."""
    blocks = [*_MINI_FENCE.within(text), *_MINI_TAG.within(text)]
    return [_command(blocks[0])] if len(blocks) == 1 else []


def tagged_command(text: str) -> list[Written]:
    """SWE-agent's XML form: `<command>`, of which the last one counts."""
    blocks = _COMMAND_TAG.within(text)
    return [_command(blocks[-1])] if blocks else []


def _command(text: str) -> Written:
    return Written(COMMAND, {"command": text.strip("\n")})


def xml_functions(text: str) -> list[Written]:
    """`<function=name><parameter=key>value</parameter></function>`: OpenHands and SWE-agent without native calls.

    Values are texts, with one line end at either side of them taken off, as these agents do.
    """
    return [
        Written(opening[1], {key[1]: _trimmed(value) for key, value in _PARAMETER.around(body)})
        for opening, body in _FUNCTION.around(text)
    ]


def _trimmed(value: str) -> str:
    return value.removeprefix("\n").removesuffix("\n")


def call_list(text: str) -> list[Written]:
    """DRIFT: Python calls in a list, `<function_call>[f(a=1), g(b="x")]</function_call>`; nothing is evaluated.

    A list that is no Python, or has a call whose arguments are no literals given by name, is no call at all.
    """
    blocks = _CALL_LIST.within(text)
    source = blocks[-1].strip() if blocks else ""
    if not source or len(source) > _LONGEST_LIST:
        return []
    try:
        tree = ast.parse(source, mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        written = [_python_call(call) for call in calls]
        for call in written:
            orjson.dumps(call.arguments)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return []
    return written


def _python_call(node: ast.expr) -> Written:
    """Raises ValueError for what is no call with literal arguments."""
    if not isinstance(node, ast.Call) or node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("not a call with arguments by name")
    name = ast.unparse(node.func)
    return Written(name, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords})


def terminus_commands(text: str) -> list[Written]:
    """Terminus: one JSON object with a batch of keystrokes; what the terminal then shows is one output."""
    start = text.find("{")
    if start < 0:
        return []
    try:
        value, _ = json.JSONDecoder(parse_constant=_not_json).raw_decode(text, start)
    except (ValueError, RecursionError):
        return []
    commands = value.get("commands") if isinstance(value, dict) else None
    if not isinstance(commands, list):
        return []
    arguments: dict[str, Any] = {"commands": commands}
    done = value.get("task_complete", value.get("is_task_complete"))
    if done is not None:
        arguments["task_complete"] = done
    try:
        orjson.dumps(arguments)
    except TypeError:
        return []
    return [Written("terminal", arguments)]


def terminus_keystrokes(text: str) -> list[Written]:
    """Terminus' XML form: `<keystrokes duration="0.1">` within `<commands>`, and `<task_complete>`."""
    blocks = _COMMANDS.within(text)
    done = bool(_TASK_COMPLETE.search(text))
    if not blocks and not done:
        return []
    keys = _KEYSTROKES.around(blocks[-1]) if blocks else []
    commands = [{"keystrokes": keystrokes, "duration": float(opening[1] or 1)} for opening, keystrokes in keys]
    return [Written("terminal", {"commands": commands, "task_complete": done})]


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_submission(call: Written) -> bool:
    words = str(call.arguments.get("command") or "").split(maxsplit=1)
    return bool(words) and words[0] in _ENDING_COMMANDS


def _is_final_output(call: Written) -> bool:
    return bool(_MINI_END.search(str(call.arguments.get("command") or "")))


def _is_finish(call: Written) -> bool:
    return call.name in ("finish", "submit")


def _is_task_complete(call: Written) -> bool:
    return call.arguments.get("task_complete") is True


_SHELL_STATE = re.compile(r"\(Open file: .*\)|\(Current directory: .*\)|bash-\$")

PARSERS: dict[str, Parser] = {
    "swe_agent": Parser(last_fenced_command, _is_submission, tail=_SHELL_STATE),
    "xml_command": Parser(tagged_command, _is_submission, tail=_SHELL_STATE),
    "mini_swe_agent": Parser(
        only_bash_block, _is_final_output, before="<returncode>0</returncode>\n<output>", after="</output>"
    ),
    "xml_function": Parser(xml_functions, _is_finish, before="EXECUTION RESULT of [{name}]:"),
    "call_list": Parser(call_list),
    "terminus": Parser(terminus_commands, _is_task_complete, before="New Terminal Output:\n"),
    "terminus_xml": Parser(terminus_keystrokes, _is_task_complete, before="New Terminal Output:\n"),
}
"""By name, as in `metadata.actions=text:<name>`."""
