"""Of other transcripts, those of the same harness and time tell how it words what this one has not shown."""

from __future__ import annotations

import pytest

from simulators.base import Unknown
from simulators.workspace.forms import Forms, Library, Template, Told
from simulators.workspace.frames import assumed, unframe

EDIT = ("Edit", "Edit", "")
READ = ("Read", "Read", "")
SHELL = ("bash", "Shell", "")
PROMPT = frozenset(f"rule {number} of this harness" for number in range(20))


def told(outcome: str = "done", **facts: str) -> Told:
    return Told(outcome, facts)


def forms_of(*shown: tuple[tuple[str, ...], str]) -> Forms:
    forms = Forms()
    for key, text in shown:
        forms.learn(key, text, told(path="a"))
    return forms


def mine(library: Library, *shown: tuple[tuple[str, ...], str], date: float | None = None) -> Forms:
    forms = Forms(library, "mine", date)
    for key, text in shown:
        forms.learn(key, text, told(path="a"))
    return forms


def test_of_kin_those_that_are_next_in_time_have_to_agree():
    library = Library()
    for day in range(30):
        wording = "a was changed" if day < 15 else "changed: a"
        library.add(f"day {day}", forms_of((READ, "header of a"), (EDIT, wording)), float(day))
    for date, expected in ((1.0, "z was changed"), (28.0, "changed: z")):
        assert mine(library, (READ, "header of a"), date=date).output(EDIT, told(path="z")) == expected
    with pytest.raises(Unknown):
        mine(library, (READ, "header of a"), date=15.0).output(EDIT, told(path="z"))
    with pytest.raises(Unknown):
        mine(library, (READ, "header of a")).output(EDIT, told(path="z"))  # when it was is not known


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([(READ, "header of a")], None),
        ([(READ, "header of a"), (("Glob", "Glob", ""), "nothing in a")], "z was changed"),
        ([(READ, "header of a"), (("Glob", "Glob", ""), "not a thing in a")], None),
    ],
)
def test_one_that_is_kin_is_enough_where_several_things_are_alike(
    own: list[tuple[tuple[str, ...], str]], expected: str | None
):
    library = Library()
    shown = ((READ, "header of a"), (("Glob", "Glob", ""), "nothing in a"), (EDIT, "a was changed"))
    library.add("other", forms_of(*shown))
    forms = mine(library, *own)
    if expected is None:
        with pytest.raises(Unknown):
            forms.output(EDIT, told(path="z"))
    else:
        assert forms.output(EDIT, told(path="z")) == expected


def test_lines_that_nothing_explains_are_not_taken_from_one_alone():
    library = Library()
    shown = "a was changed:\n     1\tone\n     2\ttwo"
    library.add("other", forms_of((READ, "header of a"), (("Glob", "Glob", ""), "nothing in a"), (EDIT, shown)))
    with pytest.raises(Unknown):
        mine(library, (READ, "header of a"), (("Glob", "Glob", ""), "nothing in a")).output(EDIT, told(path="z"))


@pytest.mark.parametrize(("same", "answers"), [(20, True), (18, True), (14, False)])
def test_who_is_told_the_same_is_in_the_same_harness(same: int, answers: bool):
    library = Library()
    other = forms_of((EDIT, "a was changed"))
    other.opening = PROMPT
    library.add("other", other)
    forms = mine(library)
    forms.opening = frozenset(sorted(PROMPT)[:same])
    if answers:
        assert forms.output(EDIT, told(path="z")) == "z was changed"
    else:
        with pytest.raises(Unknown):
            forms.output(EDIT, told(path="z"))


def test_frames_tell_harnesses_apart_where_nothing_was_computed():
    library = Library()
    for cluster, end, wording in (("a", "", "a was changed"), ("b", "", "a was changed"), ("c", "\n", "changed: a")):
        forms = forms_of((EDIT, wording))
        text = f"8.2\n{end}(Open file: n/a)\n(Current directory: /repo)\nbash-$"
        forms.learn(SHELL, text, assumed(unframe(text), {"cwd": "/repo", "open": "n/a"}))
        library.add(cluster, forms)
    framed = "no such thing\n(Open file: n/a)\n(Current directory: /x)\nbash-$"
    forms = Forms(library, "mine")
    with pytest.raises(Unknown):
        forms.output(EDIT, told(path="z"))  # all that there is differs
    forms.learn(SHELL, framed, assumed(unframe(framed), {"cwd": "/x", "open": "n/a"}))
    assert forms.output(EDIT, told(path="z")) == "z was changed"


def test_an_empty_line_before_the_frame_tells_nothing():
    forms = Forms()
    text = "8.2\n\n(Open file: n/a)\n(Current directory: /repo)\nbash-$"
    forms.learn(SHELL, text, assumed(unframe(text), {"cwd": "/repo", "open": "n/a"}))
    assert forms.worded().assumed == {}


def test_what_one_output_leaves_open_others_may_tell():
    library = Library()
    for cluster in ("a", "b"):
        other = Forms()
        other.learn(EDIT, "changed src/b.py", told(path="src/b.py", resolved="/r/src/b.py"))
        library.add(cluster, other)
    forms = Forms(library, "mine")
    forms.learn(EDIT, "changed /r/a.py", told(path="/r/a.py", resolved="/r/a.py"))
    assert forms.output(EDIT, told(path="c.py", resolved="/r/c.py")) == "changed c.py"


def test_silence_is_a_form_that_others_may_use():
    text = "<returncode>0</returncode>\n<output>\n</output>"
    silent = assumed(unframe(text), {})
    assert (silent.outcome, silent.is_assumed) == ("succeeded, silent", False)


def test_a_frame_that_keeps_line_ends_is_read_with_them():
    assert unframe("<returncode>0</returncode>\n<output>\none\n\n</output>").body == "one\n\n"


def template(library: Library, forms: Forms) -> Template | None:
    return library.template((*EDIT, "done"), "mine", forms.worded())


def test_no_form_is_taken_where_comparable_transcripts_all_differ():
    library = Library()
    for cluster in ("a", "b", "c"):
        library.add(cluster, forms_of((READ, "head of a"), (EDIT, "a was changed")))
    assert template(library, forms_of((READ, "a, from its first line"))) is None
    assert template(library, forms_of((READ, "head of a"))) is not None
