"""Which prefixes nearly repeat an earlier one."""

from __future__ import annotations

import random
import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.prepare import similar
from resample.prepare.similar import Similar, signature_of
from resample.types import UserError

THRESHOLD = 0.8


@contextmanager
def remembering(*texts: str, threshold: float = THRESHOLD) -> Iterator[Similar]:
    """A Similar that has been given these prefixes, by the names 0, 1, ..."""
    with closing(Similar(threshold)) as found:
        for key, text in enumerate(texts):
            found.put(key, [text])
        yield found


def prose(seed: int, words: int = 400) -> list[str]:
    """Words that no other seed gives."""
    rng = random.Random(seed)
    return ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 9))) for _ in range(words)]


def overlapping(seed: int, similarity: float, length: int = 3000) -> tuple[str, str]:
    """Two texts of that Jaccard similarity: random letters, with the shared ones in the middle of both."""
    rng = random.Random(seed)
    shared = round(2 * length * similarity / (1 + similarity))
    letters = "".join(rng.choices(string.ascii_lowercase, k=2 * length - shared))
    return letters[:length], letters[length - shared :]


def rate(similarity: float, pairs: int = 100) -> float:
    """How often a pair of that similarity is found."""
    hits = 0
    for seed in range(pairs):
        first, second = overlapping(seed, similarity)
        with remembering(first) as found:
            hits += found.put("second", [second]) == 0
    return hits / pairs


def test_pairs_are_told_apart_by_their_similarity() -> None:
    assert rate(0.95) == 1.0
    assert rate(0.6) == 0.0
    # At the threshold the estimate falls on either side of it: 5 standard errors of a share of one half, of 100 pairs.
    assert 0.25 <= rate(THRESHOLD) <= 0.75


@pytest.mark.parametrize("length", [60, 300, 5000, 70_000])
@pytest.mark.parametrize("similarity", [0.3, 0.7, 0.9])
def test_the_estimate_is_that_of_the_sets_of_windows(length: int, similarity: float) -> None:
    estimates, truths = [], []
    for seed in range(10):
        texts = overlapping(seed, similarity, length)
        first, second = ({text[i : i + 24] for i in range(-1, len(text) - 22)} for text in (f" {t} " for t in texts))
        truths.append(len(first & second) / len(first | second))
        a, b = map(signature_of, ([text] for text in texts))
        assert a is not None and b is not None
        estimates.append(float(np.mean(a == b)))
    spread = (similarity * (1 - similarity) / 128 / 10) ** 0.5
    assert np.mean(estimates) == pytest.approx(np.mean(truths), abs=4 * spread + 0.01)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7, 0.9, 0.99, 1.0])
def test_a_pair_at_the_threshold_is_compared(threshold: float) -> None:
    rows = similar._rows(threshold)
    assert 1 <= rows <= 128
    assert similar._found(threshold, rows) >= 0.95
    text = " ".join(prose(1))
    with remembering(text, threshold=threshold) as found:
        assert found.put("same", [text]) == 0
        assert found.put("other", [" ".join(prose(2))]) is None


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_what_is_no_threshold(threshold: float) -> None:
    with pytest.raises(UserError, match="above 0, and at most 1"):
        Similar(threshold)


def report(date: str, ticket: int, layout: str = "\n") -> str:
    """A template that is filled in anew each time."""
    lines = [f"{' '.join(prose(9, 30))} on {date} in line {ticket + i} of {i * ticket}" for i in range(20)]
    return layout.join(lines)


def test_copies_of_a_template_with_other_digits_and_spaces_are_found() -> None:
    with remembering(report("2024-01-02", 7)) as found:
        assert found.put("later", [report("2025-11-30", 123_456)]) == 0
        assert found.put("laid out", [report("2024-01-02", 7, "\r\n\t  ")]) == 0
        assert found.put("in parts", report("2024-01-02", 7).split("\n")) == 0
        assert found.put("upper", [report("2024-01-02", 7).upper()]) is None


def test_a_long_text_with_a_few_edits_is_found_and_its_half_is_not() -> None:
    words = prose(1, 5000)
    edited = [word if i % 200 else "edited" for i, word in enumerate(words)]
    with remembering(" ".join(words)) as found:
        assert found.put("edited", [" ".join(edited)]) == 0
        assert found.put("half", [" ".join(words[:2500])]) is None


def test_short_texts_are_compared_as_a_whole() -> None:
    with remembering("Fix the bug", "Fix the bugs") as found:
        assert found.put("again", ["Fix the bug"]) == 0
        assert found.put("spaced", ["  Fix the", "bug\n"]) == 0
        assert found.put("plural", ["Fix the bugs"]) == 1
        assert found.put("other", ["Fix the bun"]) is None
        assert found.put("letter", ["F"]) is None
        assert found.put("same letter", ["F"]) == "letter"


@pytest.mark.parametrize("empty", [[], [""], ["", " \n", "\t"]])
def test_a_prefix_without_text_is_like_no_other(empty: list[str]) -> None:
    with remembering("", " ", "word") as found:
        assert found.put("empty", empty) is None
        assert found.put("empty again", empty) is None
        assert found.put("word again", ["word"]) == 2


def test_the_earliest_one_is_named_by_its_own_key() -> None:
    text = " ".join(prose(3))
    with closing(Similar(THRESHOLD)) as found:
        assert found.put("a", [text]) is None
        assert found.put(2, [text]) == "a"
        assert found.put("2", [text + " more"]) == "a"
    with closing(Similar(THRESHOLD)) as found:
        assert [found.put(key, [text]) for key in (7, "7", 8)] == [None, 7, 7]


def test_copies_beyond_what_a_bucket_keeps_are_found_and_crowd_nothing_out() -> None:
    copies = [" ".join([*prose(4), f"end{letter}"]) for letter in string.ascii_letters]
    other = " ".join(prose(5))
    with remembering(*copies, other) as found:
        assert found.put("copy", [copies[-1]]) == 0
        assert found.put("other", [other]) == len(copies)


def test_groups_of_the_like_are_the_same_in_any_order() -> None:
    prefixes = {f"{group}{i}": " ".join([*prose(group, 300), f"word{'abc'[i]}"]) for group in (1, 2) for i in range(2)}
    for order in permutations(prefixes):
        with closing(Similar(THRESHOLD)) as found:
            groups: dict[object, set[str]] = {}
            for key in order:
                groups.setdefault(found.put(key, [prefixes[key]]) or key, set()).add(key)
        assert sorted(map(sorted, groups.values())) == [["10", "11"], ["20", "21"]]


def test_signatures_do_not_depend_on_the_process() -> None:
    texts = ["The quick brown fox jumps over the lazy dog 42 times.", "ok"]
    show = f"from resample.prepare.similar import signature_of; print(signature_of({texts}).tobytes().hex())"
    shown = {
        subprocess.run(
            [sys.executable, "-c", show], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "12"
    }
    signature = signature_of(texts)
    assert signature is not None
    assert {out.decode().strip() for out in shown} == {signature.tobytes().hex()}


texts = st.lists(st.text(alphabet=st.sampled_from(["a", "b", "7", " ", "\n", "é", "\ud800", "𝄞"]), max_size=90))


@given(texts, st.integers(1, 50))
def test_pieces_change_nothing(texts: list[str], size: int) -> None:
    whole = signature_of(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar, "_PIECE", size)
        in_pieces = signature_of(iter(texts))
    assert (whole is None) == (in_pieces is None) == (not "".join(texts).strip())
    assert whole is None or np.array_equal(whole, in_pieces)
