"""Recorded outputs of the calls most like one: what the model that writes tool outputs is shown as evidence."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from resample.judging.shorten import Count, shorten_text
from resample.types import ToolCall

AROUND = 40
"""Tokens that an example is taken to need beside its texts: its labels and its fence."""

_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(r"\\[bfnrt]")
"""White space in JSON, of which the letter is no part of a word."""
_LONGEST_WORD = 64
_MOST_READ = 8_192
"""Characters of the arguments that words are taken from, at either end; between them mostly stands a file."""
_MOST_KEPT = 65_536
"""Characters of a text that the corpus keeps: no example is longer."""
_MOST_ASKED = 40
"""Words of a query: the time it takes grows with them."""
_FEW = 100
"""Calls of which a word may be in every one, and still be ranked by."""
_MOST_COUNTS = 50_000
"""Words whose counts are kept."""
_MOST_RANKINGS = 2_000
_ALIKE = 8
"""So many times as many ids as examples are wanted are ranked: others may have made the very same call."""
_SHORT = 4_096
_MOST_SHORT = 2_000
"""Examples of so many characters that are kept in memory."""
_MOST_OWN = 4
"""Examples of this tool from the transcript itself, before those of others."""
_FROM_CORPUS = 16
"""Examples of other transcripts for one call."""
_SHARE = 4
"""An example may always take one part in so many of the room."""
_LEAST = 160
"""Tokens of an example below which nothing of use is left of it."""

# Words are found here, not by SQLite: the `ascii` tokenizer takes each of ours as one, whatever its letters.
_SCHEMA = """
CREATE TABLE calls(id INTEGER PRIMARY KEY, cluster BLOB, tool BLOB, arguments BLOB, output BLOB);
CREATE INDEX by_tool ON calls(tool);
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, 'row');
"""
_MATCHING = """
SELECT id FROM words JOIN calls ON id = words.rowid
WHERE words MATCH ? AND cluster <> ? AND (tool = ?) = ? ORDER BY bm25(words), id
"""
_SAME_TOOL = "SELECT id FROM calls WHERE cluster <> ? AND tool = ? ORDER BY id"


class Example(NamedTuple):
    """A call with the output it really got."""

    tool: str
    arguments: str
    output: str
    own: bool
    """From this very transcript, before its cut."""


class Corpus:
    """Calls with their outputs, of many transcripts, in a temporary file that is gone once this is closed.

    It keeps at most `most` of them: where there are more, the tool with the most calls gives way. What is kept of a
    tool is an even sample, drawn by the calls' hashes, so the same for the same calls.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._size = 0
        self._kept: dict[str, list[int]] = {}
        """Per tool a heap of the kept ids, negated: the first is the largest."""
        self._bar: dict[str, int] = {}
        """Every call of the tool with an id below is kept, and no other."""
        self._counts: dict[str, int] = {}
        self._rankings: dict[tuple[str, str, str], list[int]] = {}
        self._examples: dict[int, Example] = {}
        self._database = sqlite3.connect("")
        self._database.executescript(_SCHEMA)

    def add(self, cluster: str, calls: Iterable[tuple[str, str, str]]) -> None:
        """Calls (tool, arguments, output) of a transcript of this cluster; what it already has is kept once."""
        for kept in (self._counts, self._rankings, self._examples):
            kept.clear()
        with self._database:
            for tool, arguments, output in calls:
                texts = (cluster, tool, shorten_text(arguments, _MOST_KEPT, len), shorten_text(output, _MOST_KEPT, len))
                self._add(*texts, _name(cluster, tool, arguments, output))

    def similar(self, tool: str, arguments: str, cluster: str, limit: int) -> Iterator[Example]:
        """At most `limit` examples, no two alike and never one of `cluster`; found as far as they are asked for.

        First those of the tool, best first: with words of these arguments, then without; then other tools' with words.
        """
        found: set[Example] = set()
        for name in self._ranked(tool, arguments, cluster, _ALIKE * limit):
            if len(found) >= limit:
                return
            if (example := self._example(name)) not in found:
                found.add(example)
                yield example

    def close(self) -> None:
        """Delete the file."""
        self._database.close()

    def _add(self, cluster: str, tool: str, arguments: str, output: str, name: int) -> None:
        if name >= self._bar.get(tool, name + 1):
            return
        row = (name, *map(_bytes, (cluster, tool, arguments, output)))
        if not self._database.execute("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?)", row).rowcount:
            return
        self._database.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (name, " ".join(words(arguments))))
        heappush(self._kept.setdefault(tool, []), -name)
        self._size += 1
        if self._size > self._most:
            self._drop(max(self._kept, key=lambda each: (len(self._kept[each]), each)))

    def _drop(self, tool: str) -> None:
        name = -heappop(self._kept[tool])
        self._bar[tool] = name
        self._size -= 1
        self._database.execute("DELETE FROM words WHERE rowid = ?", (name,))
        self._database.execute("DELETE FROM calls WHERE id = ?", (name,))

    def _ranked(self, tool: str, arguments: str, cluster: str, most: int) -> list[int]:
        """The ids, best first; some come twice. Kept, as rollouts of one prefix ask for much the same."""
        query = " OR ".join(f'"{word}"' for word in self._telling(arguments))
        key = (tool, query, cluster)
        if key not in self._rankings:
            if len(self._rankings) >= _MOST_RANKINGS:
                self._rankings.clear()
            self._rankings[key] = list(islice(self._matching(*key), most))
        return self._rankings[key]

    def _matching(self, tool: str, query: str, cluster: str) -> Iterator[int]:
        theirs, mine = _bytes(cluster), _bytes(tool)
        ask = self._database.execute
        if query:
            yield from (name for (name,) in ask(_MATCHING, (query, theirs, mine, True)))
        yield from (name for (name,) in ask(_SAME_TOOL, (theirs, mine)))
        if query:
            yield from (name for (name,) in ask(_MATCHING, (query, theirs, mine, False)))

    def _telling(self, arguments: str) -> list[str]:
        """The words of the arguments that the fewest calls here have, the longer first where these are as many.

        In a large corpus those that more than half of all calls have tell nothing, and to rank by them takes longest.
        """
        known = sorted(
            (count, -len(word), word)
            for word in dict.fromkeys(words(arguments))
            if 0 < (count := self._count(word)) <= max(self._size // 2, _FEW)
        )
        return [word for _, _, word in known[:_MOST_ASKED]]

    def _count(self, word: str) -> int:
        """How many calls have a word; kept, as nearly every call asks for the same ones."""
        count = self._counts.get(word)
        if count is None:
            found = self._database.execute("SELECT doc FROM vocabulary WHERE term = ?", (word,)).fetchone()
            count = found[0] if found else 0
            if len(self._counts) < _MOST_COUNTS:
                self._counts[word] = count
        return count

    def _example(self, name: int) -> Example:
        if name in self._examples:
            return self._examples[name]
        row = self._database.execute("SELECT tool, arguments, output FROM calls WHERE id = ?", (name,)).fetchone()
        tool, arguments, output = (part.decode("utf-8", "surrogatepass") for part in row)
        example = Example(tool, arguments, output, own=False)
        if len(arguments) + len(output) <= _SHORT:
            if len(self._examples) >= _MOST_SHORT:
                self._examples.clear()
            self._examples[name] = example
        return example


def pick(
    own: Sequence[tuple[str, str, str]],
    corpus: Corpus | None,
    cluster: str,
    call: ToolCall,
    room_tokens: int,
    count: Count,
) -> list[Example]:
    """The examples to show for one call of a transcript of `cluster`, best first, no two alike.

    `own` are the transcript's recorded calls (tool, arguments, output) before the cut, in order: they come first, then
    the corpus. By `cost` all together are at most `room_tokens`; a long one loses the middle of its texts, and a note
    stands there.
    """
    candidates = len(own) + (_FROM_CORPUS if corpus else 0)
    share = max(room_tokens // _SHARE, room_tokens // max(candidates, 1), _LEAST + AROUND)
    picked: list[Example] = []
    seen: set[Example] = set()
    for example in _candidates(own, corpus, cluster, call):
        if (alike := example._replace(own=False)) in seen:
            continue
        seen.add(alike)
        fitted = _fitted(example, min(share, room_tokens), count)
        if fitted is None:
            break
        room_tokens -= cost(fitted, count)
        picked.append(fitted)
        if room_tokens < _LEAST + AROUND:
            break
    return picked


def cost(example: Example, count: Count) -> int:
    """Tokens of an example, with what stands around it."""
    return count(f"{example.tool} {example.arguments}") + count(example.output) + AROUND


def _candidates(
    own: Sequence[tuple[str, str, str]], corpus: Corpus | None, cluster: str, call: ToolCall
) -> Iterator[Example]:
    """In the order of their use; the corpus is asked only where there is room left.

    Own ones stand in the conversation, too: the most alike of this tool are shown, then others' of this tool.
    """
    mine = [Example(*each, own=True) for each in _by_likeness(own, call)]
    first = [example for example in mine if example.tool == call.name][:_MOST_OWN]
    yield from first
    theirs = iter(()) if corpus is None else corpus.similar(call.name, call.arguments, cluster, _FROM_CORPUS)
    of_others: list[Example] = []
    for example in theirs:
        if example.tool != call.name:
            of_others = [example]
            break
        yield example
    yield from (example for example in mine if example not in first)
    yield from (*of_others, *theirs)


def _by_likeness(own: Sequence[tuple[str, str, str]], call: ToolCall) -> list[tuple[str, str, str]]:
    """The calls of the same tool, and those of others that share words with it; the most alike first, then the later.

    Alike is the share that the common words have in all words of both, where a word counts the more, the fewer calls
    have it.
    """
    asked = _word_set(call.arguments)
    used = [_word_set(arguments) for _, arguments, _ in own]
    frequency = Counter(word for each in used for word in each)

    def weight(of: frozenset[str]) -> float:
        return math.fsum(math.log((len(own) + 1) / max(frequency[word], 1)) for word in of)

    ranks = [
        (tool == call.name, weight(each & asked) / (weight(each | asked) or 1.0), at)
        for at, ((tool, _, _), each) in enumerate(zip(own, used, strict=True))
    ]
    return [own[at] for same, alike, at in sorted(ranks, reverse=True) if same or alike]


def _fitted(example: Example, room: int, count: Count) -> Example | None:
    """The example within `room`; None where nothing of use would be left of it."""
    if cost(example, count) <= room:
        return example
    if room < _LEAST + AROUND:
        return None
    room -= AROUND
    named = f"{example.tool} "
    arguments = shorten_text(example.arguments, room // 2 - count(named), count)
    output = shorten_text(example.output, room - count(named + arguments), count)
    short = example._replace(arguments=arguments, output=output)
    return short if cost(short, count) <= room + AROUND else None


def words(text: str) -> list[str]:
    """The words of arguments, in order, as they are compared."""
    if len(text) > 2 * _MOST_READ:
        text = f"{text[:_MOST_READ]} {text[-_MOST_READ:]}"
    return [word.casefold()[:_LONGEST_WORD] for word in _WORD.findall(_ESCAPE.sub(" ", text))]


@lru_cache(maxsize=1_000)
def _word_set(text: str) -> frozenset[str]:
    """Kept: the recorded calls of a prefix are compared with each call of each of its rollouts."""
    return frozenset(words(text))


def _bytes(text: str) -> bytes:
    """Any text as SQLite can keep it: a lone surrogate, NUL or number is nothing special."""
    return text.encode("utf-8", "surrogatepass")


def _name(*texts: str) -> int:
    """What a call is kept under: equal for equal texts, and as good as drawn at random."""
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(len(raw := _bytes(text)).to_bytes(8, "big") + raw)
    return int.from_bytes(digest.digest(), "big") >> 1
