"""What is said of the form of tool outputs, and against an output that is not of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulators.form import Form, is_error, may_be_error

RUN = '{"command":"make"}'
ASK = '{"query":"x"}'
OBJECTS = ['{"id": 1, "name": "a"}', '{"id": 2, "name": "b", "tag": null}', '{"id": 3, "name": "c"}']
EMPTY = "The output is empty, and t never answers with an empty output here."
NO_JSON = "The output is no valid JSON, and the outputs of t are."
NO_KEYS = "The JSON object has none of the keys that t always answers with: id, name."
FENCED = "The output stands in a code fence: it must be the raw output alone."


def says(words: str) -> str:
    return f'The output says "{words}": no tool speaks of itself so. It must be the output alone.'


def faults(recorded: Sequence[str], output: str, arguments: str = ASK) -> list[str]:
    return Form.of("t", recorded).faults(arguments, output)


@pytest.mark.parametrize(
    ("recorded", "arguments", "output", "expected"),
    [
        (["a", "b", "c"], ASK, "", [EMPTY]),
        (["a", "b", "c"], ASK, " \n\t", [EMPTY]),
        (["a", "b"], ASK, "", []),  # too few to know
        (["a", "", "c"], ASK, "", []),
        (["a", "\n", "c"], ASK, "", []),
        ([], ASK, "", []),
        (["a", "b", "c"], RUN, "", []),  # a program may print nothing
        (["a\nuser@host$", "b\nuser@host$", "c\nuser@host$"], RUN, "", [EMPTY]),  # but here a prompt follows
        (OBJECTS, RUN, "", [EMPTY]),
        (["a", "b", "c"], '{"text":"a \\"command\\": in a text"}', "", [EMPTY]),
    ],
)
def test_empty(recorded: list[str], arguments: str, output: str, expected: list[str]) -> None:
    assert faults(recorded, output, arguments) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("As an AI, I have no files.", ["As an AI"]),
        ("I'm sorry, but I have none.", ["I'm sorry, but I"]),
        ("I’m sorry but I have none.", ["I’m sorry but I"]),
        ("I cannot open this.", ["I cannot"]),
        ("total 0\n(simulated output)", ["simulated"]),
        ("This is a simulation.", ["simulation"]),
        ("A hypothetical listing:\na.py", ["hypothetical"]),
        ("Here is the output:\na.py", ["Here is the output"]),
        ("a.py\nNote that this is not real.", ["Note that this is"]),
        ("As an AI I cannot.", ["As an AI", "I cannot"]),
        ("Italy has an airport.", []),
        ("Mini cannot start.", []),
        ("one\ntwo\nthree\nI cannot\nfive\nsix", ["I cannot"]),  # short enough to be looked at as a whole
        ("1\n2\n3\nI cannot\n5\n6\n7", []),  # what stands in the middle is what the tool was asked for
        ("\n\n\nI cannot\n" + "x\n" * 50, ["I cannot"]),  # blank lines are none
        ("x\n" * 50 + "y\nI cannot\n\nz\n", ["I cannot"]),
        ("x" * 300 + " I cannot " + "x" * 300, []),  # nor is the middle of a long line looked at
        ("12: I cannot", []),  # quoted from a file
        ("src/a.py:12:I cannot", []),
        ("    12\tI cannot", []),
        ("    12→I cannot", []),
        ("+I cannot", []),
        ("# I cannot", []),
        ("// a simulation", []),
        ("run_simulation.py", []),  # parts of names
        ("src/simulation/a.py", []),
        ("simulation.py", []),
        ("simulation(3)", []),
        ("simulated = 3", ["simulated"]),
        ("The simulation.", ["simulation"]),
        ("dissimulation", []),
    ],
)
def test_talk_of_itself(output: str, expected: list[str]) -> None:
    assert faults(["a", "b", "c"], output) == list(map(says, expected))
    assert faults([], output) == list(map(says, expected))


@pytest.mark.parametrize(
    ("recorded", "arguments", "output"),
    [
        ([], '{"text":"say: I cannot"}', "I cannot"),
        ([], '{"path":"run_simulation.py"}', "Simulation started"),
        ([], '{"path":"simulator/"}', "simulated"),
        (["all I CANNOT do"], ASK, "I cannot"),
        (["x\n" * 100 + "simulate()\n" + "x\n" * 100], ASK, "a simulation"),
        (["by hypothesis"], ASK, "hypothetical"),
    ],
)
def test_what_calls_and_recordings_are_about_is_no_talk(recorded: list[str], arguments: str, output: str) -> None:
    assert faults(recorded, output, arguments) == []


@pytest.mark.parametrize(
    ("recorded", "output", "expected"),
    [
        (["a"], "```\nls\n```", [FENCED]),
        (["a"], "\n```json\n{}\n```\n", [FENCED]),
        ([], "```\nls\n```", [FENCED]),
        (["```\nx\n```"], "```\nls\n```", []),
        (["a"], "```\nls\n```\nmore", []),
        (["a"], "# Title\n```\nls\n```", []),
        (["a"], "```", []),
        (["a"], "``` ```", []),
        (["a ```\nx\n``` b"], "```\nls\n```", [FENCED]),
    ],
)
def test_fences(recorded: list[str], output: str, expected: list[str]) -> None:
    assert faults(recorded, output) == expected


@pytest.mark.parametrize(
    ("recorded", "output", "expected"),
    [
        (OBJECTS, '{"id": 4, "name": "d"}', []),
        (OBJECTS, '{"id": 4}', []),
        (OBJECTS, ' {"name": 4}\n', []),
        (OBJECTS, '{"number": 4}', [NO_KEYS]),
        (OBJECTS, "{}", [NO_KEYS]),
        (OBJECTS[:2], "{}", []),  # too few to know the keys
        (OBJECTS[:2], "a list of things", [NO_JSON]),
        (OBJECTS[:1], "a list of things", []),
        (OBJECTS, '{"id": 4, "name": "d"', [NO_JSON]),
        (OBJECTS, "{'id': 4, 'name': 'd'}", [NO_JSON]),
        (OBJECTS, "12", [NO_JSON]),
        (OBJECTS, '[{"id": 4, "name": "d"}]', ["The output is a JSON array, and those of t are: object."]),
        (["[1]", "[]"], '{"a": 1}', ["The output is a JSON object, and those of t are: array."]),
        (["[1]", '{"a": 1}'], '{"a": 1}', []),
        (["[1]", '{"a": 1}'], "[]", []),
        (["[1]", '{"a": 1}'], "x", [NO_JSON]),
        ([*OBJECTS, "a text"], "a text, too", []),  # not all are
        ([*OBJECTS, ""], "a text, too", []),
        (["1", "2", "3"], "three", []),  # numbers are no JSON that anybody meant
        (["{}", "{}", "[]"], "{'a': 1}", []),  # empty ones look like that in other languages, too
        ([*OBJECTS, "Error: no such id"], "a list of things", [NO_JSON]),  # errors aside
        ([*OBJECTS, "Error: no such id"], "Error: unknown id 4", []),
        (OBJECTS, "Error: no such id", []),  # no error was recorded yet, and there may be one
        (OBJECTS, "The reservation was not found", []),
        (OBJECTS, "The reservation was not found " + "x" * 300, [NO_JSON]),
        (OBJECTS, '{"error": "no such id"}', []),
        (OBJECTS, '{"success": false}', []),
        (OBJECTS, '{"success": true}', [NO_KEYS]),
        (
            ['{"a": 1, "b": 1}', '{"a": 1, "c": 1}', '{"a": 1}'],
            '{"b": 1}',
            [],  # one key that three happen to share says little
        ),
        (
            ['{"a": 1}', '{"a": 2}', '{"a": 3}'],
            '{"b": 1}',
            ["The JSON object has none of the keys that t always answers with: a."],
        ),
        (['{"b": 1}', '{"c": 1}', '{"d": 1}'], '{"a": 1}', []),
        (OBJECTS, '{"id": "\ud800"}', [NO_JSON]),
    ],
)
def test_json(recorded: list[str], output: str, expected: list[str]) -> None:
    assert faults(recorded, output) == expected


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (['{"a": 1}', '{"b": 1}', '{"c": 1}'], []),  # what programs happened to print
        (OBJECTS[:2], []),
        (OBJECTS, [NO_JSON]),  # what the tool puts around it
    ],
)
def test_json_that_programs_print_proves_little(recorded: list[str], expected: list[str]) -> None:
    assert faults(recorded, "a.py\n", RUN) == expected


@pytest.mark.parametrize(
    ("recorded", "length", "is_fault"),
    [
        (["a"] * 3, 4000, False),
        (["a"] * 3, 4001, True),
        (["a"] * 2, 4001, False),
        (["a" * 1000] * 3, 20_000, False),
        (["a" * 1000, "b", "c"], 20_001, True),
    ],
)
def test_length(recorded: list[str], length: int, is_fault: bool) -> None:
    expected = f"The output is {length} characters long, and the longest of t here is {max(map(len, recorded))}."
    assert faults(recorded, "x" * length) == ([expected] if is_fault else [])


def test_each_fault_is_a_sentence_of_its_own() -> None:
    assert faults(OBJECTS, "```\nHere is the output\n```") == [says("Here is the output"), NO_JSON, FENCED]


def test_what_was_recorded_is_of_its_own_form() -> None:
    for recorded in (OBJECTS, ["a", "", "As an AI"], ["```\nx\n```"] * 3, ["Error: x", "[1]", "[2]"]):
        form = Form.of("t", recorded)
        assert [form.faults(ASK, output) for output in recorded] == [[]] * len(recorded)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([], ""),
        (["abc"], "Recorded outputs of t: 1.\nLength: 3 characters in the median, from 3 to 3."),
        (
            ["a", "", "abc", "ab"],
            "Recorded outputs of t: 4.\nLength: 1 characters in the median, from 0 to 3.\nSome are empty.",
        ),
        (
            OBJECTS,
            "Recorded outputs of t: 3.\n"
            "Length: 22 characters in the median, from 22 to 35.\n"
            "All are JSON, but for errors; at the top: object.\n"
            "Keys every object has: id, name.\n"
            "Keys some objects have: tag.",
        ),
        (
            ["[]", '{"a": 1}', "Error: none\nat line 3\nat line 4"],
            "Recorded outputs of t: 3.\n"
            "Length: 8 characters in the median, from 2 to 31.\n"
            "All are JSON, but for errors; at the top: array or object.\n"
            "Keys every object has: a.\n"
            "An error looks like this: Error: none\\nat line 3",
        ),
        (
            [
                "Task #11 created\nok\nroot@host:/# ",
                "Task #12 created\nroot@host:/# ",
                "Task #2 created\nroot@host:/# ",
            ],
            "Recorded outputs of t: 3.\n"
            "Length: 30 characters in the median, from 29 to 33.\n"
            "The first line begins with: Task #\n"
            "The last line begins with: root@host:/# ",
        ),
        (
            ["Saved.\n", "Saved.\n", "Saved.\n"],
            "Recorded outputs of t: 3.\n"
            "Length: 7 characters in the median, from 7 to 7.\n"
            "The first line begins with: Saved.",
        ),
        (
            ["one\n... [3 lines truncated] ...\ntwo", "the truncated one"],
            "Recorded outputs of t: 2.\n"
            "Length: 17 characters in the median, from 17 to 35.\n"
            "Where one is truncated, it says so: ... [3 lines truncated] ...",
        ),
    ],
)
def test_note(recorded: list[str], expected: str) -> None:
    assert Form.of("t", recorded).note() == expected


def test_many_keys_and_long_lines_make_no_long_note() -> None:
    keys = ", ".join(f'"k{number}": 1' for number in range(500))
    note = Form.of("t", [f"{{{keys}}}"] * 3 + ["Error: " + "x" * 10_000]).note()
    assert "k19 and 480 more." in note
    assert len(note) < 1000


@pytest.mark.parametrize(
    ("output", "certain", "possible"),
    [
        ("Error: no such file", True, True),
        ("ERROR:\nNo replacement", True, True),
        ("<tool_use_error>File does not exist.</tool_use_error>", True, True),
        ("ValueError: No emails found.", True, True),
        ("urllib.error.HTTPError: 404", True, True),
        ("Traceback (most recent call last):\n  File", True, True),
        ("Exit code 1\nfailed", True, True),
        ("Exit code 0\nfine", False, False),
        ("fatal: not a git repository", True, True),
        ("[Permission denied]", True, True),
        ('{"error": "x"}', True, True),
        ('{"errors": 0, "passed": 3}', True, True),
        ('{"success": false}', True, True),
        ('{"note": "not found"}', False, False),
        ('["Error"]', False, False),
        ("cat: x: No such file or directory", False, True),
        ("Patch rejected by user", False, True),
        ("Speed test failed", False, True),
        ("Your errand is done", False, False),
        ("The file has errors\n" + "x" * 300, False, False),
        ("", False, False),
        ("errands", False, False),
    ],
)
def test_errors(output: str, certain: bool, possible: bool) -> None:
    assert (is_error(output), may_be_error(output)) == (certain, possible)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "." * 1_000_000, "<" * 1_000_000, "a_" * 500_000, "[- " * 300_000, "\0"]
)
def test_giant_and_odd_texts_are_read_in_no_time(text: str) -> None:
    form = Form.of("t", [text, text, text])
    assert form.note().startswith("Recorded outputs of t: 3.")
    assert form.faults(text, text) == []
