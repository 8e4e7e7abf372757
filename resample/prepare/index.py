"""From a collection to the prefixes of a run: survey every transcript, draw, and prepare what was drawn.

Transcripts are indexed, not loaded: what a run keeps of each is where it stands, and how it is cut. Memory does not
grow with the collection. Transcripts that do not stand as canonical JSON lines in a plain file are first written so,
into `transcripts.jsonl` of the run directory: the same input gives the same bytes there, so that a run can be resumed
and extended.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from resample.formats import canonical
from resample.formats.adjust import Adjust, as_read
from resample.formats.base import Located, Span
from resample.formats.exclusions import Excluded, Facts, Problem, Reason
from resample.formats.registry import Item, read
from resample.prepare.fit import Fit
from resample.prepare.kin import Kin
from resample.prepare.policies import Policy
from resample.prepare.prefix import make_prefix, style_of
from resample.prepare.schemas import Evidence, facts_in, schemas_from
from resample.prepare.select import Select, problem_with, stratum_of
from resample.prepare.survey import Survey, Surveyed
from resample.prepare.tokens import TokenCounter, counter_for, prompt_tokens
from resample.prepare.truncate import Cut, Cuts, Recording
from resample.types import TOOLS, Message, Missing, Prefix, ToolSchema, Transcript, UserError

FILE = "transcripts.jsonl"


@dataclass(frozen=True, slots=True)
class Indexed:
    """One prefix of the plan: where its transcript stands, and how it is cut."""

    prefix: str
    """Prefix.id."""
    transcript: str
    file: str
    """Absolute."""
    offset: int
    length: int
    """In bytes."""
    sha256: str
    """Of these bytes."""
    cluster: str
    stratum: str
    weight: float
    """Of the prefix: of its transcript, of those it was drawn for, and of the turns it was drawn from."""
    traffic: float
    """The transcript's own sampling weight."""
    cut: int
    cut_end: int
    messages: int
    """In the whole transcript."""
    calls: int
    """In the whole transcript."""
    prior_turns: int
    tokens: int
    """Of the prefix, estimated."""
    tools: int
    """Tool schemas the candidate is given."""
    tools_inferred: bool
    date: str | None
    """When it was recorded."""
    retain_until: str | None
    missing: str = ""
    """What the log lacks of what the original model saw (`types.Missing`), by comma; empty if it is all there."""
    shortened: str = ""
    """The roles for which it is shortened, by comma."""
    toolset: str = ""
    """The inferred tool schemas, as a JSON list; empty where the log has its own, or there are none."""


@dataclass(frozen=True)
class Wanted:
    """What a run takes of a collection, and how it prepares it."""

    path: str | Path
    policy: Policy
    format: str = "auto"
    limit: int | None = None
    """Usable transcripts to survey; reading stops there."""
    strict: bool = False
    adjust: Adjust = as_read
    select: Select = field(default_factory=Select)
    seed: int = 0
    infer_tools: str = "source"
    """Where tool schemas that a log lacks come from: `none`, the `prefix` alone, or also others of its `source`."""
    fit: Fit = field(default_factory=Fit)
    """What the models that read the prefixes can take."""
    counter: TokenCounter = field(default_factory=lambda: counter_for(""))
    purged: Container[str] = frozenset()
    """Ids of transcripts that were removed from this run."""


def index(wanted: Wanted, work_dir: Path, evidence: Evidence | None = None) -> Iterator[Indexed | Excluded]:
    """What a run can use of a collection, and what it does not use.

    `work_dir` is the run directory: foreign transcripts, and those that `adjust` changes, are written there, and
    nothing in it is taken for input. `evidence` is that of the run so far, if it has been indexed before. Raises
    UserError where `formats.read` does (with `strict` also for the first malformed transcript), and if transcripts
    that were written there earlier differ from what is read now.
    """
    items = read(wanted.path, wanted.format, strict=wanted.strict, skip=work_dir, adjust=wanted.adjust)
    return _index(items, wanted, work_dir, Evidence() if evidence is None else evidence)


def load(indexed: Indexed | Surveyed) -> Transcript:
    """Read a transcript again, from its place. Raises UserError if it is not the one that was indexed."""
    name = indexed.transcript if isinstance(indexed, Indexed) else indexed.facts.transcript
    try:
        with Path(indexed.file).open("rb") as file:
            file.seek(indexed.offset)
            data = file.read(indexed.length)
    except OSError as error:
        raise UserError(f"{indexed.file}: cannot be read any more: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != indexed.sha256:
        raise UserError(
            f"{indexed.file}: has changed since the run began (at transcript {name!r}):"
            " put the old file back, or begin a new run"
        )
    transcript = canonical.parse(data)
    if isinstance(transcript, Problem):
        raise AssertionError(f"{name}: was read before, and is now {transcript.reason}")
    return transcript


def open_prefix(indexed: Indexed) -> tuple[Prefix, tuple[Message, ...]]:
    """Read a transcript again, and cut it: its prefix and its original turn."""
    tools = orjson.loads(indexed.toolset) if indexed.toolset else []
    return make_prefix(load(indexed), Cut(indexed.cut, indexed.cut_end), tools)


def _index(items: Iterator[Item], wanted: Wanted, work_dir: Path, evidence: Evidence) -> Iterator[Indexed | Excluded]:
    with closing(Survey()) as survey, closing(_Written(work_dir)) as written:
        while survey.count != wanted.limit and (item := next(items, None)) is not None:
            if isinstance(item, Located):
                entry = _survey(item, wanted, written, evidence)
                if isinstance(entry, Surveyed):
                    survey.put(entry)
                else:
                    yield entry
            elif isinstance(item, Excluded):
                yield item
        survey.draw(wanted.select, wanted.seed)
        yield from survey.not_drawn()
        yield from _prepared(survey, wanted, evidence)


# -- the survey: every transcript, once -----------------------------------------------------------------------------


def _survey(located: Located, wanted: Wanted, written: _Written, evidence: Evidence) -> Surveyed | Excluded:
    transcript = located.transcript
    if transcript.id in wanted.purged:
        facts = _facts(transcript, 0, wanted)._replace(transcript="", date=None)
        return Excluded("", None, Reason.PURGED, "", facts)  # nothing that names it
    if located.span is None:
        located = written.put(located)
    if located.span is None:
        raise AssertionError("a transcript without a place")
    try:
        style = style_of(transcript)
    except UserError as error:
        return _excluded(located, Problem(Reason.UNKNOWN_ACTION_PARSER, str(error)), _facts(transcript, 0, wanted))
    calls = sum(len(style.calls(message)) for message in transcript.messages if message["role"] == "assistant")
    facts = _facts(transcript, calls, wanted)
    found = problem_with(transcript, wanted.select)
    if found is None and _lacks_tools(transcript) and wanted.infer_tools == "source":
        evidence.add(agent_of(transcript), _cluster(transcript), facts_in(transcript.messages, style))
    cuts = found or wanted.policy.cuts(
        Recording(transcript.messages, style, transcript.id, transcript.metadata.get("labels") or {})
    )
    if not isinstance(cuts, Problem):
        cuts = _fitting(transcript, cuts, wanted.fit)
    if isinstance(cuts, Problem):
        return _excluded(located, cuts, facts)
    return Surveyed(facts, located.file, located.line, *located.span, cuts)


def _excluded(located: Located, problem: Problem, facts: Facts) -> Excluded:
    detail = f"transcript {facts.transcript!r}" + (f": {problem.detail}" if problem.detail else "")
    if located.span is not None:
        facts = facts._replace(offset=located.span.offset, length=located.span.length)
    return Excluded.at(located.file, located.line, Problem(problem.reason, detail), facts)


def _facts(transcript: Transcript, calls: int, wanted: Wanted) -> Facts:
    metadata = transcript.metadata
    date = metadata.get("date")
    return Facts(
        transcript=transcript.id,
        stratum=stratum_of(metadata, wanted.select),
        weight=weight_of(metadata),
        messages=len(transcript.messages),
        calls=calls,
        tools=len(transcript.tools),
        date=date if isinstance(date, str) else None,
    )


def _fitting(transcript: Transcript, cuts: Cuts, fit: Fit) -> Cuts | Problem:
    """The cuts whose prefixes can be used; the first problem if there are none."""
    kept: list[Cut] = []
    problems: list[Problem] = []
    for cut in cuts.cuts:
        if problem := fit.problem(make_prefix(transcript, cut)[0]):
            problems.append(problem)
        else:
            kept.append(cut)
    return Cuts(tuple(kept), cuts.passed_over + len(problems)) if kept else problems[0]


def weight_of(metadata: dict[str, Any]) -> float:
    """The sampling weight of a transcript."""
    weight = metadata.get("weight")
    return 1.0 if weight is None else float(weight)


def agent_of(transcript: Transcript) -> str:
    """Which transcripts are of agents with the same tools, as far as a log tells: source, stratum, system prompt."""
    spoken = (i for i, message in enumerate(transcript.messages) if message["role"] not in ("system", "developer"))
    head = [canonical_text(message) for message in transcript.messages[: next(spoken, None)]]
    prompt = hashlib.sha256("\0".join(head).encode()).hexdigest()[:16] if head else ""
    metadata = transcript.metadata
    return "\0".join((metadata.get("source") or "", metadata.get("stratum") or "", prompt))


def canonical_text(message: Message) -> str:
    """The content of a message, as a text that is the same for the same content."""
    content = message.get("content")
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def _cluster(transcript: Transcript) -> str:
    return transcript.metadata.get("cluster") or transcript.id


def _lacks_tools(transcript: Transcript) -> bool:
    return not transcript.tools and (transcript.metadata.get("actions") or TOOLS) == TOOLS


# -- preparation: what was drawn ------------------------------------------------------------------------------------


def _prepared(survey: Survey, wanted: Wanted, evidence: Evidence) -> Iterator[Indexed]:
    """The prefixes of what was drawn, in the order it was read, with near-duplicates in one cluster."""
    measure = _Measure(wanted.counter)
    with closing(Kin(wanted.select.near_duplicates)) as kin:
        for surveyed, factor in survey.drawn():
            transcript = load(surveyed)
            for cut in surveyed.cuts.cuts:
                tools = _tools_for(transcript, cut, wanted, evidence)
                prefix, _ = make_prefix(transcript, cut, tools)
                entry = _indexed(surveyed, factor, transcript, cut, prefix)
                entry = replace(entry, tokens=measure.tokens(prefix), shortened=",".join(wanted.fit.shortened(prefix)))
                kin.put(prefix.cluster, astuple(entry))
            kin.compare(prefix.cluster, _said(prefix))
        for cluster, values in kin.entries():
            yield replace(Indexed(*values), cluster=cluster)


def _tools_for(transcript: Transcript, cut: Cut, wanted: Wanted, evidence: Evidence) -> list[ToolSchema]:
    """The tool schemas to infer, where the log has none."""
    if not _lacks_tools(transcript) or wanted.infer_tools == "none":
        return []
    facts = list(facts_in(transcript.messages[: cut.index], style_of(transcript)))
    if Missing.TOOL_SCHEMAS in (transcript.metadata.get("missing") or ()) or facts:
        facts += evidence.beside(agent_of(transcript), _cluster(transcript))
    return schemas_from(facts)


def _indexed(surveyed: Surveyed, factor: float, transcript: Transcript, cut: Cut, prefix: Prefix) -> Indexed:
    facts, metadata = surveyed.facts, transcript.metadata
    return Indexed(
        prefix=prefix.id,
        transcript=facts.transcript,
        file=surveyed.file,
        offset=surveyed.offset,
        length=surveyed.length,
        sha256=surveyed.sha256,
        cluster=prefix.cluster,
        stratum=facts.stratum,
        weight=facts.weight * factor * cut.stands_for,
        traffic=facts.weight,
        cut=cut.index,
        cut_end=cut.end,
        messages=facts.messages,
        calls=facts.calls,
        prior_turns=prefix.prior_turns,
        tokens=0,
        tools=len(prefix.tools.items),
        tools_inferred=prefix.tools_inferred,
        date=facts.date,
        retain_until=metadata.get("retain_until"),
        missing=",".join(metadata.get("missing") or ()),
        toolset=orjson.dumps(prefix.tools.items).decode() if prefix.tools_inferred else "",
    )


def _said(prefix: Prefix) -> Iterator[str]:
    """What tells a conversation from others: not its system prompt, which may be that of thousands."""
    return (
        canonical_text(message) for message in prefix.messages.items if message["role"] not in ("system", "developer")
    )


class _Measure:
    """How many tokens prefixes have: the first ones are counted, the others estimated from their bytes.

    Counting takes longer than all the rest of the preparation; where a window is near, `fits` counts.
    """

    _COUNTED = 100

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._count = self._bytes = self._tokens = 0

    def tokens(self, prefix: Prefix) -> int:
        """Tokens of a prefix, tools included."""
        size = len(prefix.messages.wire) + len(prefix.tools.wire)
        if self._count < self._COUNTED and size < 1_000_000:
            counted = prompt_tokens(self._counter, prefix.messages.items, prefix.tools.items)
            self._count, self._bytes, self._tokens = self._count + 1, self._bytes + size, self._tokens + counted
            return counted
        return round(size * self._tokens / self._bytes) if self._bytes else size // 2


class _Written:
    """The canonical form of foreign transcripts in a run directory.

    Every valid one is written, cut or not, so that the file depends on the input alone. What stands there
    already from an earlier start of the run is compared, not written again; a line that a crash cut short is
    completed.
    """

    def __init__(self, directory: Path) -> None:
        self._path = Path(os.path.abspath(directory)) / FILE  # noqa: PTH100  (keeps links, unlike resolve)
        self._file: BinaryIO | None = None
        self._offset = 0

    def put(self, located: Located) -> Located:
        """The same transcript, at its place in this file."""
        line = located.body + b"\n"
        try:
            self._write(line, located)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written: {error.strerror}") from None
        span = Span(self._offset, len(located.body), hashlib.sha256(located.body).hexdigest())
        self._offset += len(line)
        return Located(located.transcript, str(self._path), located.line, span)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes, located: Located) -> None:
        file = self._file = self._file or self._open()
        there = self._after_blanks(file, len(line))
        if there == line:
            return
        if not line.startswith(there):
            raise UserError(
                f"{located.file}:{located.line}: has changed since the run began ({self._path} differs):"
                " put the old file back, or begin a new run"
            )
        file.seek(self._offset)
        file.write(line)
        file.flush()  # the transcript may be asked for while the index is still growing

    def _after_blanks(self, file: BinaryIO, length: int) -> bytes:
        """The bytes that stand here, after the blank lines that purged transcripts have left."""
        while True:
            file.seek(self._offset)
            there = file.read(length)
            if not there.startswith(b"  "):
                return there
            file.seek(self._offset)
            self._offset += len(file.readline())

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "r+b")
