"""A form counts once it has reproduced a real output, and only as far as it explains it."""

from __future__ import annotations

import pytest

from simulators.base import Unknown
from simulators.files import File
from simulators.workspace.blocks import Page, find_block
from simulators.workspace.forms import Forms, Library, Told

KEY = ("tool", "Write", "")


def told(page: Page | None = None, outcome: str = "done", **facts: str) -> Told:
    return Told(outcome, facts, page)


def lines(first: int, last: int) -> File:
    return File({number: f"text {number}" for number in range(first, last + 1)}, 100, True)


# -- blocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first", "shown"),
    [
        ("Head:\n     1\tone\n     2\t\n     3\tthree\nTail", 1, ("one", "", "three")),
        ("     9→nine\n    10→ten", 9, ("nine", "ten")),
        ("[File: a (2 lines total)]\n1:one\n2:    two\n(Open file: a)", 1, ("one", "    two")),
        ("1:one\r\n2:two\r\n\r\nDone", 1, ("one", "two")),
        ("0001| a\n0002|  b\n0003| c", 1, ("a", " b", "c")),
        ("1: a\n2: b\n7: not in the row", 1, ("a", "b")),
    ],
)
def test_numbered_lines_are_found(text: str, first: int, shown: tuple[str, ...]):
    block = find_block(text)
    assert block is not None
    assert (block.first, block.lines) == (first, shown)
    assert text[: block.start] + block.style.block(block.first, block.lines) + text[block.end :] == text


@pytest.mark.parametrize("text", ["", "no numbers", "12:30 o'clock", "3 files\n5 folders", "7: alone"])
def test_what_is_no_row_of_numbers_is_none(text: str):
    assert find_block(text) is None


# -- forms ----------------------------------------------------------------------------------------------------------


def test_facts_are_put_in_the_place_of_facts():
    forms = Forms()
    forms.learn(KEY, "Wrote 12 bytes to a.txt (a.txt)", told(path="a.txt", bytes="12"))
    assert forms.output(KEY, told(path="b/c.md", bytes="7")) == "Wrote 7 bytes to b/c.md (b/c.md)"


def test_what_no_fact_explains_has_to_stay_the_same():
    forms = Forms()
    forms.learn(KEY, "Done in 12 ms", told(path="a"))
    with pytest.raises(Unknown):
        forms.output(KEY, told(path="b"))  # the number may be another one
    forms.learn(KEY, "Done in 14 ms", told(path="b"))
    with pytest.raises(Unknown):
        forms.output(KEY, told(path="c"))
    steady = Forms()
    for _ in range(2):
        steady.learn(KEY, "Done by v2", told(path="a"))
    assert steady.output(KEY, told(path="b")) == "Done by v2"


def test_two_facts_that_were_equal_are_told_apart_by_the_next_output():
    forms = Forms()
    forms.learn(KEY, "Saved /a.txt", told(path="/a.txt", resolved="/a.txt"))
    with pytest.raises(Unknown):
        forms.output(KEY, told(path="b.txt", resolved="/dir/b.txt"))
    forms.learn(KEY, "Saved /dir/b.txt", told(path="b.txt", resolved="/dir/b.txt"))
    assert forms.output(KEY, told(path="c.txt", resolved="/dir/c.txt")) == "Saved /dir/c.txt"


def test_outcomes_have_forms_of_their_own():
    forms = Forms()
    forms.learn(KEY, "Created a", told(outcome="created", path="a"))
    with pytest.raises(Unknown):
        forms.output(KEY, told(outcome="overwritten", path="b"))
    either = Told("created", {"path": "b"}, others=("overwritten",))
    with pytest.raises(Unknown):
        forms.output(KEY, either)
    forms.learn(KEY, "Created c", told(outcome="overwritten", path="c"))
    assert forms.output(KEY, either) == "Created b", "it reads the same however it ends"


def test_the_lines_around_a_change_follow_the_rule_that_was_shown():
    forms = Forms()
    edited = Page(lines(1, 100), {"start": 50, "end": 51})
    shown = "\n".join(f"{number:6}\ttext {number}" for number in range(47, 55))
    forms.learn(KEY, f"Edited:\n{shown}\nLook at it.", told(edited))
    expected = "\n".join(f"{number:6}\ttext {number}" for number in range(17, 24))
    assert forms.output(KEY, told(Page(lines(1, 100), {"start": 20, "end": 20}))) == f"Edited:\n{expected}\nLook at it."
    with pytest.raises(Unknown):
        forms.output(KEY, told(Page(lines(18, 100), {"start": 20, "end": 20})))  # line 17 is not known


def test_a_change_at_the_top_leaves_open_how_many_lines_are_shown_before_one():
    forms = Forms()
    top = Page(lines(1, 100), {"start": 2, "end": 2})
    forms.learn(KEY, "\n".join(f"{number:6}\ttext {number}" for number in range(1, 7)), told(top))
    expected = "\n".join(f"{number:6}\ttext {number}" for number in range(46, 55))
    assert forms.output(KEY, told(Page(lines(1, 100), {"start": 50, "end": 50}))) == expected, "as many as after it"


# -- what other transcripts show ------------------------------------------------------------------------------------


def shown_by(library: Library, cluster: str, *outputs: str, key: tuple[str, ...] = KEY) -> None:
    forms = Forms()
    for text in outputs:
        forms.learn(key, text, told(path="a"))
    library.add(cluster, forms)


def test_others_count_where_two_agree_and_never_ones_own_cluster():
    library = Library()
    shown_by(library, "one", "Saved a.")
    shown_by(library, "mine", "Saved a.")
    with pytest.raises(Unknown):
        Forms(library, "mine").output(KEY, told(path="b"))
    shown_by(library, "two", "Saved a.")
    assert Forms(library, "mine").output(KEY, told(path="b")) == "Saved b."
    shown_by(library, "three", "Stored a!")
    with pytest.raises(Unknown):
        Forms(library, "mine").output(KEY, told(path="b"))


def test_of_harnesses_that_differ_the_one_that_words_alike_counts():
    library = Library()
    other = ("read", "Read", "")
    for cluster, read, written in (
        ("a", "v1", "Saved a."),
        ("b", "v1", "Saved a."),
        ("c", "v2", "a: ok"),
        ("d", "v2", "a: ok"),
    ):
        forms = Forms()
        for _ in range(2):
            forms.learn(other, f"{read} header", told(path="a"))
        forms.learn(KEY, written, told(path="a"))
        library.add(cluster, forms)
    for version, expected in (("v1", "Saved z."), ("v2", "z: ok")):
        mine = Forms(library, "mine")
        mine.learn(other, f"{version} header", told(path="q"))
        assert mine.output(KEY, told(path="z")) == expected
    stranger = Forms(library, "mine")
    stranger.learn(other, "v3 header", told(path="q"))
    with pytest.raises(Unknown):
        stranger.output(KEY, told(path="z"))
