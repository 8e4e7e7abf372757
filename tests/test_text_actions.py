"""Actions written as text: what each parser reads, and in which form outputs go back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import ScriptedModel, prefix_of, saying

from resample.actions import begins_turn, style
from resample.engine import _recorded
from resample.prepare.policies import Truncate, policy
from resample.prepare.prefix import make_prefix
from resample.prepare.truncate import Cut, Cuts, Recording
from resample.rollout import play
from resample.text_actions import PARSERS
from resample.types import Message, Prefix, Shared, Source, StopReason, ToolCall, ToolOutput, Transcript
from simulators.recorded import Recorded

FENCE = "```"
TASK: Message = {"role": "user", "content": "fix it"}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def calls(name: str, text: Any) -> list[tuple[str, Any]]:
    return [(call.name, call.parsed) for call in style(f"text:{name}").calls({"role": "assistant", "content": text})]


def command(text: str) -> list[tuple[str, Any]]:
    return [("bash", {"command": text})]


@pytest.mark.parametrize(
    ("parser", "text", "expected"),
    [
        ("swe_agent", f"look\n{FENCE}\nls -a\n{FENCE}", command("ls -a")),
        ("swe_agent", f"first\n{FENCE}\nls\n{FENCE}\nor\n{FENCE}bash\ncd /\nls\n{FENCE}\n", command("cd /\nls")),
        ("swe_agent", f"an example in line: {FENCE}ls{FENCE}", []),
        ("swe_agent", f"never closed\n{FENCE}\nls", []),
        ("swe_agent", "only words", []),
        ("swe_agent", [{"type": "text", "text": f"a\n{FENCE}\nls\n{FENCE}"}], command("ls")),
        ("swe_agent", None, []),
        ("xml_command", "look\n<command>\nls\n</command>", command("ls")),
        ("xml_command", "<command>ls", []),
        ("mini_swe_agent", f"THOUGHT\n\n{FENCE}mswea_bash_command\nls && pwd\n{FENCE}", command("ls && pwd")),
        ("mini_swe_agent", f"{FENCE}bash\nls\n{FENCE}", command("ls")),
        ("mini_swe_agent", f"{FENCE}bash\nls\n{FENCE}\n{FENCE}bash\npwd\n{FENCE}", []),
        ("mini_swe_agent", "<mswea_bash_command>ls</mswea_bash_command>", command("ls")),
        ("mini_swe_agent", f"{FENCE}python\nprint(1)\n{FENCE}", []),
        (
            "xml_function",
            "<function=edit>\n<parameter=path>/a b</parameter>\n<parameter=text>\nx\n\ny\n</parameter>\n</function>",
            [("edit", {"path": "/a b", "text": "x\n\ny"})],
        ),
        ("xml_function", "<function=a></function><function=b></function>", [("a", {}), ("b", {})]),
        ("xml_function", "<function=a><parameter=x>1</parameter>", []),
        (
            "call_list",
            '<function_thought>t</function_thought><function_call>[pay(to="me", n=1.5), list_all()]</function_call>',
            [("pay", {"to": "me", "n": 1.5}), ("list_all", {})],
        ),
        ("call_list", "<function_call>[]</function_call>", []),
        (
            "call_list",
            "<function_call>f(a=[1, {'b': None}])</function_call>",
            [("f", {"a": [1, {"b": None}]})],
        ),
        ("call_list", "<function_call>[f(a=__import__('os').remove('x'))]</function_call>", []),
        ("call_list", "<function_call>[f(1)]</function_call>", []),
        ("call_list", "<function_call>[f(**x)]</function_call>", []),
        ("call_list", "<function_call>[f(a=b'x')]</function_call>", []),
        ("call_list", "<function_call>[f(</function_call>", []),
        ("call_list", "<function_call>" + "(" * 5000 + "</function_call>", []),
        ("call_list", "<function_call>\0</function_call>", []),
        (
            "terminus",
            'Plan first.\n{"analysis": "a", "plan": "p", "commands": [{"keystrokes": "ls\\n", "duration": 0.1}]} end',
            [("terminal", {"commands": [{"keystrokes": "ls\n", "duration": 0.1}]})],
        ),
        (
            "terminus",
            '{"commands": [], "task_complete": true}',
            [("terminal", {"commands": [], "task_complete": True})],
        ),
        (
            "terminus_xml",
            '<response><plan>p</plan><commands><keystrokes duration="0.5">ls\n</keystrokes>'
            "<keystrokes>pwd\n</keystrokes>"
            "</commands><task_complete>false</task_complete></response>",
            [
                (
                    "terminal",
                    {
                        "commands": [
                            {"keystrokes": "ls\n", "duration": 0.5},
                            {"keystrokes": "pwd\n", "duration": 1.0},
                        ],
                        "task_complete": False,
                    },
                )
            ],
        ),
        (
            "terminus_xml",
            "<commands></commands><task_complete>true</task_complete>",
            [("terminal", {"commands": [], "task_complete": True})],
        ),
        ("terminus_xml", "no command", []),
        ("terminus", '{"commands": "ls"}', []),
        ("terminus", "{" * 5000, []),
        ("terminus", '{"commands": [NaN]}', []),
    ],
)
def test_what_parsers_read(parser: str, text: Any, expected: Any) -> None:
    assert calls(parser, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "```x\n" * 200_000,
        "```bash\n" * 100_000,
        "<function=a>" * 80_000,
        "<function=a>" + "<parameter=b>" * 80_000 + "</function>",
        "<command>" * 100_000,
        "<function_call>" * 70_000,
        "<commands>" + "<keystrokes>" * 80_000 + "</commands>",
        "<keystrokes" + " " * 1_000_000,
        "{" * 1_000_000,
        '{"commands": [' * 70_000,
        "<function_call>[" + "f(a=1), " * 120_000 + "]</function_call>",
    ],
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    for name in PARSERS:
        style(f"text:{name}").calls(saying(text))


@pytest.mark.parametrize(
    ("parser", "text", "ends"),
    [
        ("swe_agent", f"{FENCE}\nsubmit\n{FENCE}", True),
        ("swe_agent", f"{FENCE}\nsubmit 'flag'\n{FENCE}", True),
        ("swe_agent", f"{FENCE}\ngit submit\n{FENCE}", False),
        ("mini_swe_agent", f"{FENCE}bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff\n{FENCE}", True),
        ("mini_swe_agent", f"{FENCE}bash\necho done\n{FENCE}", False),
        ("xml_function", "<function=finish></function>", True),
        ("terminus", '{"commands": [], "task_complete": true}', True),
        ("terminus", '{"commands": [], "task_complete": false}', False),
    ],
)
def test_what_ends_a_turn(parser: str, text: str, ends: bool) -> None:
    agent = style(f"text:{parser}")
    (call,) = agent.calls(saying(text))
    assert agent.ends_turn(call) is ends


def act(text: str) -> Message:
    return saying(f"so\n{FENCE}\n{text}\n{FENCE}")


SHELL = [
    TASK,
    act("ls"),
    user("a.py b.py\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"),
    act("cat a.py"),
    user("print(1)\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"),
    saying("It is done."),
    user("Thanks. And b.py?"),
    act("cat b.py"),
    user("print(2)\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"),
    act("submit"),
]


def test_outputs_begin_no_turn_and_the_users_own_words_do() -> None:
    agent = style("text:swe_agent")
    assert [i for i in range(len(SHELL)) if begins_turn(agent, SHELL, i)] == [0, 6]
    recording = Recording(SHELL, agent)
    assert policy(Truncate("last_turn")).cuts(recording) == Cuts((Cut(7, 10),))
    assert policy(Truncate("last_action")).cuts(recording) == Cuts((Cut(9, 10),))


def test_several_calls_of_a_message_have_an_output_each() -> None:
    agent = style("text:call_list")
    messages = [TASK, saying("<function_call>[f(), g()]</function_call>"), user("1"), user("2"), user("and now?")]
    assert [agent.is_output(messages, i) for i in range(5)] == [False, False, True, True, False]
    assert agent.answers(messages, 1) == [user("1"), user("2")]
    assert agent.answers(messages[:3], 1) == [user("1"), None]


FIRST = "x\n(Open file: n/a)\n(Current directory: /)\nbash-$"
LS = saying(f"{FENCE}bash\nls\n{FENCE}")
MINI = [
    TASK,
    *(LS, user("<returncode>1</returncode>\n<output>\nno such file\n</output>")),
    *(LS, user("<returncode>0</returncode>\n<output>\n</output>")),
    *(LS, user("<returncode>0</returncode>\n<output>\na\nb\n</output>")),
]
MINI_X = "<returncode>0</returncode>\n<output>\nx\n</output>"
LISTED = saying("<function_call>[f()]</function_call>")
KEYS = saying('{"commands": [{"keystrokes": "ls"}]}')
TERMINUS = [TASK, KEYS, user("New Terminal Output:\n\n$ ls\na"), KEYS, user("New Terminal Output:\n\n$ cat a\nb")]


@pytest.mark.parametrize(
    ("parser", "shown", "content", "carried"),
    [
        ("swe_agent", SHELL, "x", "x\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"),
        ("swe_agent", SHELL, "x\n(Current directory: /tmp)\nbash-$", "x\n(Current directory: /tmp)\nbash-$"),
        ("swe_agent", SHELL[:3], "x", "x\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"),
        ("swe_agent", [user("fix it\n(Open file: n/a)\n(Current directory: /)\nbash-$")], "x", FIRST),
        ("mini_swe_agent", MINI, "x", "<returncode>0</returncode>\n<output>\nx\n</output>"),
        ("mini_swe_agent", [*MINI, LS, user("<exception>timed out</exception>")], "x", MINI_X),
        ("call_list", [TASK, LISTED, user("total:\n1"), LISTED, user("total:\n2")], "x", "x"),
        ("terminus", TERMINUS, "x", "New Terminal Output:\n\nx"),
        ("terminus", [TASK, KEYS, user("odd"), KEYS, user("other")], "x", "New Terminal Output:\n\nx"),
        ("swe_agent", [], "x", "x"),
        ("mini_swe_agent", [], "x", "<returncode>0</returncode>\n<output>\nx\n</output>"),
        ("mini_swe_agent", [], "x\n", "<returncode>0</returncode>\n<output>\nx\n</output>"),
        (
            "mini_swe_agent",
            [],
            "<returncode>1</returncode>\n<output>\nno\n</output>",
            "<returncode>1</returncode>\n<output>\nno\n</output>",
        ),
        ("terminus", [], "root@x:/# ls", "New Terminal Output:\n\nroot@x:/# ls"),
    ],
)
def test_outputs_are_carried_as_the_transcript_shows(
    parser: str, shown: list[Message], content: str, carried: str
) -> None:
    agent = style(f"text:{parser}").as_shown(shown)
    assert agent.output(ToolCall("text_0", "bash", "{}", {}), content) == user(carried)


def test_a_wrapping_that_names_the_tool_is_learned_with_a_hole_for_the_name() -> None:
    def say(name: str) -> Message:
        return saying(f"<function={name}></function>")

    shown = [TASK, say("run"), user("OUTPUT of [run]:\nok"), say("edit"), user("OUTPUT of [edit]:\nchanged")]
    agent = style("text:xml_function").as_shown(shown)
    assert agent.output(ToolCall("text_0", "view", "{}", {}), "text") == user("OUTPUT of [view]:\ntext")


def test_every_recorded_output_is_carried_byte_for_byte() -> None:
    agent = style("text:swe_agent").as_shown(SHELL)
    for index in (2, 4, 8):
        assert agent.output(ToolCall("text_0", "bash", "{}", {}), SHELL[index]["content"]) == SHELL[index]


class Answers:
    def open(self, prefix: Prefix, original: Any, seed: int) -> Answers:
        return self

    async def answer(self, call: ToolCall) -> ToolOutput:
        return ToolOutput(f"ran {call.parsed}", Source.OTHER)


def test_a_rollout_reads_the_candidates_text_and_answers_in_the_users_role() -> None:
    prefix = prefix_of(*SHELL[:7], actions="text:swe_agent")
    model = ScriptedModel([act("cat b.py"), saying("All done.")])
    rollout = asyncio.run(play(prefix, (), model, Answers(), seed=1, max_steps=5))
    assert rollout.stop_reason is StopReason.ENDED
    assert rollout.messages[1] == user(
        "ran {'command': 'cat b.py'}\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"
    )
    assert rollout.sources == (Source.OTHER,)
    assert model.requests[1].tail == rollout.messages[:2]
    ended = asyncio.run(play(prefix, (), ScriptedModel([act("submit")]), Answers(), seed=1, max_steps=5))
    assert ended.stop_reason is StopReason.TERMINAL_TOOL


def test_recordings_of_text_agents_are_served_and_the_original_turn_is_a_rollout() -> None:
    tools = [{"type": "function", "function": {"name": "x"}}]
    transcript = Transcript("t", SHELL, tools, {"actions": "text:swe_agent"})
    prefix, original = make_prefix(transcript, Cut(7, 10))
    assert prefix.tools == Shared()  # a text agent is never offered native tools
    model = ScriptedModel([act("cat b.py"), act("submit")])
    rollout = asyncio.run(play(prefix, original, model, Recorded(), seed=1, max_steps=5))
    assert rollout.messages == original
    assert rollout.sources == (Source.RECORDED,)
    assert rollout.stop_reason is StopReason.TERMINAL_TOOL
    assert _recorded(prefix, original) == rollout
