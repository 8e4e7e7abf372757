"""Near-duplicates are found, others are not, and memory is on disk."""

from __future__ import annotations

import random

import pytest

from resample.prepare.similar import Similar


def prose(draw: random.Random, words: int) -> list[str]:
    return ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(words)]


def test_texts_that_differ_little_are_found_and_others_are_not() -> None:
    draw = random.Random(1)
    similar = Similar(0.8)
    texts = [prose(draw, 600) for _ in range(150)]
    assert {similar.put(f"t{i}", [" ".join(text)]) for i, text in enumerate(texts)} == {None}
    for number, text in enumerate(texts):
        copy = list(text)
        for place in range(0, 600, 100):  # six words of 600 changed: some 95 % of all stretches stay
            copy[place] = "changed"
        assert similar.put(f"copy{number}", [" ".join(copy)]) == f"t{number}"
    half = [" ".join([*text[:300], *prose(draw, 300)]) for text in texts]  # a third alike
    assert {similar.put(f"half{i}", [text]) for i, text in enumerate(half)} == {None}


@pytest.mark.parametrize(("share", "found"), [(0.90, True), (0.70, False)])
def test_the_threshold_is_a_jaccard_similarity(share: float, found: bool) -> None:
    """Half of each text in common blocks: the estimate of 128 permutations strays by 0.04."""
    draw = random.Random(2)
    hits = 0
    for _ in range(40):
        similar = Similar(0.8)
        common = prose(draw, int(2000 * 2 * share / (1 + share)))
        for key in ("one", "two"):
            hit = similar.put(key, [" ".join([*common, *prose(draw, 2000 - len(common))])])
        hits += hit == "one"
        similar.close()
    assert hits >= 38 if found else hits <= 2


def test_numbers_and_white_space_count_little_in_long_texts_and_all_in_short_ones() -> None:
    similar = Similar(0.8)
    template = "On {day} server {id} answered {count} requests,   of which none failed.\n" * 20
    for number in range(3):
        text = template.format(day=f"2026-01-{number + 10}", id=number, count=number * 100)
        assert similar.put(f"long{number}", [text.replace("   ", "\n" * number or " ")]) == (
            None if not number else "long0"
        )
        assert similar.put(f"short{number}", [f"What is {number} plus 3?"]) is None
    assert similar.put("again", ["What is 1", "plus 3?"]) == "short1"


def test_what_says_nothing_is_like_nothing() -> None:
    similar = Similar(0.5)
    assert [similar.put(str(i), texts) for i, texts in enumerate(([], [""], [" \n"], ["a"], ["a"], ["b"]))] == [
        None,
        None,
        None,
        None,
        "3",
        None,
    ]


def test_the_same_texts_give_the_same_groups() -> None:
    draw = random.Random(3)
    texts = [" ".join(prose(draw, 50)) for _ in range(30)] * 2
    first, second = Similar(0.8), Similar(0.8)
    found = [first.put(str(i), [text]) for i, text in enumerate(texts)]
    assert found == [second.put(str(i), [text]) for i, text in enumerate(texts)]
    assert found[30:] == [str(i) for i in range(30)]
