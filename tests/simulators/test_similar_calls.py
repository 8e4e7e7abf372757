"""The most similar recorded calls, and never one of the transcript's own cluster."""

from __future__ import annotations

import random
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resample.types import ToolCall
from simulators.similar import AROUND, Corpus, Example, cost, pick, words

MINE = "user-1"


@pytest.fixture
def corpus() -> Iterator[Corpus]:
    made = Corpus()
    yield made
    made.close()


def similar(corpus: Corpus, tool: str, arguments: str, cluster: str, limit: int) -> list[Example]:
    return list(corpus.similar(tool, arguments, cluster, limit))


def outputs(examples: list[Example]) -> list[str]:
    return [example.output for example in examples]


def asks(arguments: str, tool: str = "bash") -> ToolCall:
    return ToolCall("c", tool, arguments, None)


# Which clusters are another


@pytest.mark.parametrize(
    "other",
    [
        "user-10",
        "user-",
        "user",
        "User-1",
        "USER-1",
        "user-1 ",
        " user-1",
        "user_1",
        "user-1\n",
        "user-1\0",
        "user-1\0x",
        "user-%",
        "user-1'--",
        "",
        "\ud800",
    ],
)
def test_a_name_that_is_all_but_the_same_is_another_cluster_both_ways(corpus: Corpus, other: str) -> None:
    corpus.add(MINE, [("bash", "cat notes", "mine")])
    corpus.add(other, [("bash", "cat notes", "other")])
    assert outputs(similar(corpus, "bash", "cat notes", MINE, 9)) == ["other"]
    assert outputs(similar(corpus, "bash", "cat notes", other, 9)) == ["mine"]
    assert sorted(outputs(similar(corpus, "bash", "cat notes", "third", 9))) == ["mine", "other"]


@pytest.mark.parametrize(
    "name", [MINE, "", "1", "01", "1.0", "NULL", "\0", "a\0b", "\ud800", "é", "' OR 1=1 --", "%", '"']
)
def test_a_cluster_never_sees_itself_whatever_its_name(corpus: Corpus, name: str) -> None:
    corpus.add(name, [("bash", "cat notes", "secret"), ("bash", "", "secret"), ("read", "notes", "secret")])
    for tool in ("bash", "read", "none"):
        for arguments in ("cat notes", "", "?", "notes"):
            assert similar(corpus, tool, arguments, name, 9) == []


def test_one_accent_in_two_encodings_is_two_names(corpus: Corpus) -> None:
    composed, apart = (unicodedata.normalize(form, "zoé") for form in ("NFC", "NFD"))
    corpus.add(composed, [("bash", "ls", "composed")])
    corpus.add(apart, [("bash", "ls", "apart")])
    assert outputs(similar(corpus, "bash", "ls", composed, 9)) == ["apart"]


def test_a_number_in_the_name_is_text(corpus: Corpus) -> None:
    corpus.add("1", [("bash", "ls", "one")])
    corpus.add("01", [("bash", "ls", "zero one")])
    corpus.add("1.0", [("bash", "ls", "one point")])
    assert outputs(similar(corpus, "bash", "ls", "1", 9)).count("one") == 0
    assert len(similar(corpus, "bash", "ls", "1", 9)) == 2


def test_what_two_clusters_both_have_is_shown_to_each_and_once_to_others(corpus: Corpus) -> None:
    for cluster in ("a", "b"):
        corpus.add(cluster, [("bash", "ls", "same"), ("bash", "ls", "same")])
    for cluster in ("a", "b", "c"):
        assert similar(corpus, "bash", "ls", cluster, 9) == [Example("bash", "ls", "same", False)]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000))
def test_no_call_of_the_cluster_is_ever_found(seed: int) -> None:
    drawn = random.Random(seed)
    clusters = ["a", "A", "a ", "aa", "b", ""]
    corpus = Corpus(most=drawn.choice([5, 20, 1000]))
    try:
        for _ in range(40):
            cluster = drawn.choice(clusters)
            text = " ".join(drawn.choices(["ls", "cat", "x.py", "-la", "grep"], k=drawn.randrange(4)))
            corpus.add(cluster, [(drawn.choice(["bash", "read"]), text, f"of {clusters.index(cluster)}")])
        for number, cluster in enumerate(clusters):
            for arguments in ("ls cat", "", "grep x.py"):
                assert f"of {number}" not in outputs(similar(corpus, "bash", arguments, cluster, 100))
    finally:
        corpus.close()


# What is most similar


def test_the_same_tool_comes_first_and_the_best_of_it(corpus: Corpus) -> None:
    corpus.add(
        "other",
        [
            ("read", '{"path": "src/engine.py", "line": 3}', "another tool, all words"),
            ("bash", "make clean", "no word"),
            ("bash", "cat src/readme", "one word"),
            ("bash", "cat src/engine.py", "three words"),
            ("write", "nothing", "another tool, no word"),
        ],
    )
    found = outputs(similar(corpus, "bash", "head src/engine.py", MINE, 9))
    assert found == ["three words", "one word", "no word", "another tool, all words"]
    assert [outputs(similar(corpus, "bash", "head src/engine.py", MINE, n)) for n in (0, 1, 3)] == [
        [],
        found[:1],
        found[:3],
    ]


def test_a_rare_word_counts_more_than_a_common_one(corpus: Corpus) -> None:
    corpus.add("other", [("bash", f"cat file{number}", f"common {number}") for number in range(20)])
    corpus.add("other", [("bash", "head zebra", "rare")])
    assert similar(corpus, "bash", "cat zebra", MINE, 1)[0].output == "rare"


@pytest.mark.parametrize("word", ["größe", "GRÖSSE", "日本語", "ñandú", "١٢٣"])
def test_a_word_in_any_script_is_a_word(corpus: Corpus, word: str) -> None:
    corpus.add("other", [("bash", f"cat file{number} a", f"common {number}") for number in range(20)])
    corpus.add("other", [("bash", "cat grosse nandu größe 日本語 ñandú ١٢٣ b c d e f g", "it")])
    assert similar(corpus, "bash", f"cat {word}", MINE, 1)[0].output == "it"


@pytest.mark.parametrize("arguments", ["", "   ", "?!", "{}", '""', "_", "\0", "\ud800", "🙂"])
def test_arguments_without_a_word_find_the_same_tool(corpus: Corpus, arguments: str) -> None:
    corpus.add("other", [("bash", "ls", "here"), ("bash", arguments, "too"), ("read", "ls", "not")])
    assert sorted(outputs(similar(corpus, "bash", arguments, MINE, 9))) == ["here", "too"]


HOSTILE = [
    '"',
    '""',
    "'",
    'a" OR "b',
    "a AND NOT b",
    "NOT",
    "NEAR(a b, 2)",
    "text : a",
    "{text} : a",
    "- text : a",
    "^a + b *",
    "a*",
    "(((",
    "words MATCH 'x'",
    "'); DROP TABLE calls; --",
    "a\0b",
    "\0",
    "\ud800 x \udfff",
    "ÄÖÜ ß İ ﬁ ١٢٣ 日本語 \u0301a \u200b",
    "a\\nb\\t",
    "x" * 1_000_000,
    " ".join(f"w{number}" for number in range(150_000)),
    '"' * 1_000_000,
    "a" + "\u0301" * 100_000,
]


@pytest.mark.parametrize("arguments", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_arguments_are_only_words(corpus: Corpus, arguments: str) -> None:
    corpus.add("other", [("bash", "zzz", "plain"), ("bash", arguments, "the same"), (arguments[:99], "a", arguments)])
    first = similar(corpus, "bash", arguments, MINE, 9)
    assert {"plain", "the same"} <= set(outputs(first))
    if words(arguments):
        assert first[0].output == "the same"
    assert similar(corpus, arguments[:99], arguments, MINE, 1)[0].tool == arguments[:99]
    assert similar(corpus, "bash", arguments, "other", 9) == []


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.text(alphabet=st.characters(), max_size=60), st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_found_again_as_it_was(arguments: str, output: str) -> None:
    corpus = Corpus()
    try:
        corpus.add("other", [("bash", arguments, output), ("bash", "zzz yyy", "else")])
        found = similar(corpus, "bash", arguments, MINE, 9)
        assert Example("bash", arguments, output, False) in found
    finally:
        corpus.close()


def test_words_are_what_the_index_takes_for_words() -> None:
    """Every word of ours is one token of SQLite's, whatever its letters."""
    database = sqlite3.connect(":memory:")
    database.executescript(
        "CREATE VIRTUAL TABLE w USING fts5(t, tokenize = 'ascii'); CREATE VIRTUAL TABLE v USING fts5vocab(w, 'row');"
    )
    mine = {word for text in HOSTILE for word in words(text)}
    database.execute("INSERT INTO w VALUES (?)", (" ".join(sorted(mine)),))
    assert {term for (term,) in database.execute("SELECT term FROM v")} == mine
    database.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("cat /etc/my_file-2.TXT", ["cat", "etc", "my", "file", "2", "txt"]),
        ('{"command":"a\\nb\\tc"}', ["command", "a", "b", "c"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("x" * 100, ["x" * 64]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_of_very_long_arguments_both_ends_are_read() -> None:
    found = words("first " + "middle " * 100_000 + "last")
    assert (found[0], found[-1]) == ("first", "last")
    assert len(found) < 5_000


def test_of_many_words_the_rare_ones_are_asked_for(corpus: Corpus) -> None:
    common = " ".join(f"w{number}" for number in range(60))
    corpus.add("other", [("bash", f"{common} n{number}", "common") for number in range(5)])
    corpus.add("other", [("bash", "zebra", "rare")])
    assert similar(corpus, "bash", f"{common} zebra", MINE, 1)[0].output == "rare"


# What is kept


def test_no_more_is_kept_than_there_is_room_for_and_the_fullest_tool_gives_way() -> None:
    corpus = Corpus(most=30)
    corpus.add("other", [("rare", f"r{number}", "r") for number in range(8)])
    corpus.add("other", [("bash", f"b{number}", "b") for number in range(500)])
    corpus.add("other", [("read", f"x{number}", "x") for number in range(12)])
    kept = Counter(
        example.tool for tool in ("rare", "bash", "read") for example in similar(corpus, tool, "", MINE, 999)
    )
    assert kept == {"rare": 8, "bash": 11, "read": 11}
    corpus.close()


def test_the_same_calls_in_the_same_order_leave_the_same() -> None:
    def kept(most: int) -> list[Example]:
        corpus = Corpus(most)
        corpus.add("other", [("bash", f"b{number}", str(number)) for number in range(300)])
        found = similar(corpus, "bash", "", MINE, 999)
        corpus.close()
        return found

    assert kept(20) == kept(20)
    assert len(kept(20)) == 20
    assert set(kept(20)) < set(kept(40))


def test_the_sample_is_of_early_and_late_calls_alike() -> None:
    corpus = Corpus(most=300)
    corpus.add("other", [("bash", f"b{number}", str(number)) for number in range(3000)])
    corpus.add("other", [("read", f"x{number}", "x") for number in range(150)])
    corpus.add("other", [("bash", f"b{number}", str(number)) for number in range(3000, 6000)])
    kept = [int(example.output) for example in similar(corpus, "bash", "", MINE, 999)]
    corpus.close()
    assert len(kept) == 150
    assert 50 < sum(number < 3000 for number in kept) < 100


def test_a_dropped_call_is_not_found_by_its_words() -> None:
    corpus = Corpus(most=1)
    corpus.add("other", [("bash", f"word{number}", str(number)) for number in range(20)])
    found = [example for number in range(20) for example in similar(corpus, "read", f"word{number}", MINE, 9)]
    assert len(found) == 1
    corpus.close()


def test_with_room_for_none_nothing_is_kept() -> None:
    corpus = Corpus(most=0)
    corpus.add("other", [("bash", "ls", "x")])
    assert similar(corpus, "bash", "ls", MINE, 9) == []
    corpus.close()


def test_a_giant_output_is_kept_without_its_middle(corpus: Corpus) -> None:
    corpus.add("other", [("bash", "cat big", "A" * 100_000 + "B" * 100_000)])
    (found,) = similar(corpus, "bash", "cat big", MINE, 9)
    assert len(found.output) < 70_000
    assert found.output.startswith("A" * 1000)
    assert found.output.endswith("B" * 1000)
    assert "characters left out here" in found.output


def test_once_closed_it_answers_no_more() -> None:
    corpus = Corpus()
    corpus.close()
    with pytest.raises(sqlite3.ProgrammingError):
        similar(corpus, "bash", "ls", MINE, 1)


# What is picked for one call


def test_own_ones_of_the_tool_come_first_then_others_of_the_tool_then_the_rest(corpus: Corpus) -> None:
    corpus.add("other", [("bash", "cat a.py", "theirs"), ("read", "a.py", "theirs, read")])
    own = [
        ("read", "a.py", "own read, two words"),
        ("bash", "make", "own, no word"),
        ("bash", "cat b.py", "own, two words"),
        ("write", "z", "of no use"),
        ("bash", "cat a.py -n", "own, all words"),
    ]
    picked = pick(own, corpus, MINE, asks("cat a.py"), 10_000, len)
    assert outputs(picked) == [
        "own, all words",
        "own, two words",
        "own, no word",
        "theirs",
        "own read, two words",
        "theirs, read",
    ]
    assert [example.own for example in picked] == [True] * 3 + [False, True, False]


def test_at_ties_the_later_comes_first() -> None:
    own = [("bash", "cat a", "1"), ("bash", "cat a", "2"), ("bash", "a cat", "3")]
    assert outputs(pick(own, None, MINE, asks("cat a"), 10_000, len)) == ["3", "2", "1"]


def test_a_word_that_few_calls_have_makes_alike() -> None:
    own = [("bash", f"cat x{number}", str(number)) for number in range(9)]
    own.insert(4, ("bash", "head zebra", "rare"))
    assert outputs(pick(own, None, MINE, asks("cat zebra"), 10_000, len))[0] == "rare"


def test_the_same_call_with_the_same_output_comes_once(corpus: Corpus) -> None:
    corpus.add("other", [("bash", "ls", "x"), ("bash", "ls", "y")])
    own = [("bash", "ls", "x"), ("bash", "ls", "x"), ("bash", "ls", "z")]
    picked = pick(own, corpus, MINE, asks("ls"), 10_000, len)
    assert [(example.output, example.own) for example in picked] == [("z", True), ("x", True), ("y", False)]


def test_none_of_the_cluster_is_picked_from_the_corpus(corpus: Corpus) -> None:
    corpus.add(MINE, [("bash", "ls", "what comes after the cut")])
    assert pick([], corpus, MINE, asks("ls"), 10_000, len) == []


def test_nothing_from_nothing() -> None:
    assert pick([], None, MINE, asks("ls"), 10_000, len) == []
    assert pick([("bash", "ls", "x")], None, MINE, asks("ls"), 0, len) == []
    assert pick([("bash", "ls", "x")], None, MINE, asks("ls"), -5, len) == []


def test_what_fits_just_so_is_whole() -> None:
    own = [("bash", "ls", "x" * 50)]
    room = len("bash ls") + 50 + AROUND
    assert outputs(pick(own, None, MINE, asks("ls"), room, len)) == ["x" * 50]
    assert pick(own, None, MINE, asks("ls"), room - 1, len) == []  # too small to be cut


def test_a_long_output_loses_its_middle_and_leaves_room_for_others() -> None:
    own = [("bash", f"cat {number}", "short") for number in range(8)]
    own.append(("bash", "cat a", "A" * 5000 + "B" * 5000))
    picked = pick(own, None, MINE, asks("cat a"), 4000, len)
    first = picked[0]
    assert first.output.startswith("A" * 400)
    assert first.output.endswith("B" * 400)
    assert "characters left out here: they did not fit" in first.output
    assert cost(first, len) <= 1000
    assert len(picked) == 9


def test_one_alone_may_take_all_the_room() -> None:
    (only,) = pick([("bash", "cat a", "A" * 10_000)], None, MINE, asks("cat a"), 4000, len)
    assert 3900 < cost(only, len) <= 4000


def test_long_arguments_lose_their_middle_too() -> None:
    (only,) = pick([("write", "A" * 5000 + "B" * 5000, "done")], None, MINE, asks("x", "write"), 2000, len)
    assert only.output == "done"
    assert only.arguments.startswith("A" * 400)
    assert only.arguments.endswith("B" * 400)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.sampled_from(["bash", "read"]), st.integers(0, 900), st.integers(0, 3000)), max_size=12),
    st.integers(0, 3000),
)
def test_the_room_is_never_overspent(sizes: list[tuple[str, int, int]], room: int) -> None:
    own = [(tool, f"{number} " + "a " * some, "o" * many) for number, (tool, some, many) in enumerate(sizes)]
    picked = pick(own, None, MINE, asks("a"), room, len)
    assert sum(cost(example, len) for example in picked) <= room
    assert len(set(picked)) == len(picked)


def test_the_corpus_is_not_asked_where_there_is_no_room_left() -> None:
    corpus = Corpus()
    corpus.close()  # or this would raise
    own = [("bash", f"ls {number}", "x" * 450) for number in range(20)]
    assert len(pick(own, corpus, MINE, asks("ls"), 2000, len)) == 4
