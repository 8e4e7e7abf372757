"""From a collection to the prefixes of a run: survey every transcript, draw, and prepare what was drawn.

Transcripts are indexed, not loaded: what a run keeps of each is where it stands, and how it is cut. Memory does not
grow with the collection. Transcripts that do not stand as canonical JSON lines in a plain file are first written so,
into `transcripts.jsonl` of the run directory: the same input gives the same bytes there, so that a run can be resumed
and extended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

import orjson

from resample.formats import canonical
from resample.formats.adjust import Adjust, as_read
from resample.formats.base import Located
from resample.formats.exclusions import Excluded, Facts, Problem, Reason
from resample.formats.registry import Item, read
from resample.prepare.fit import Fit
from resample.prepare.kin import Kin
from resample.prepare.policies import Policy
from resample.prepare.prefix import cluster_of, has_reasoning, make_prefix, style_of, weight_of
from resample.prepare.schemas import Evidence, agent_of, facts_in, lacks_tools, schemas_from, text_or_parts
from resample.prepare.select import Select, problem_with, stratum_of
from resample.prepare.survey import Survey, Surveyed
from resample.prepare.tokens import TokenCounter, counter_for, prompt_tokens
from resample.prepare.truncate import Cut, Cuts, Recording
from resample.prepare.written import Written
from resample.types import Message, Missing, Prefix, ToolSchema, Transcript, UserError


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
    date: str | None
    """When it was recorded."""
    retain_until: str | None
    passed_over: int = 0
    """Places of its transcript where the policy asks for a cut that is not possible, or that does not fit."""
    scrubbed: str = "{}"
    """How much was replaced by pseudonyms in its transcript, by kind, as JSON."""
    missing: str = ""
    """What the log lacks of what the original model saw (`types.Missing`), by comma; empty if it is all there."""
    shortened: str = ""
    """The roles for which it is shortened, by comma."""
    reasoning: bool = False
    """Does its log hold reasoning before the cut? It is another model's, and no candidate is sent it."""
    toolset: str = ""
    """The inferred tool schemas, as a JSON list; empty where the log has its own, or there are none."""

    @property
    def tools_inferred(self) -> bool:
        """Are the candidate's tool schemas not the log's own?"""
        return bool(self.toolset)


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
    try:
        with Path(indexed.file).open("rb") as file:
            file.seek(indexed.offset)
            data = file.read(indexed.length)
    except OSError as error:
        raise UserError(f"{indexed.file}: cannot be read any more: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != indexed.sha256:
        raise UserError(
            f"{indexed.file}: has changed since the run began (at transcript {indexed.transcript!r}):"
            " put the old file back, or begin a new run"
        )
    transcript = canonical.parse(data)
    if isinstance(transcript, Problem):
        raise AssertionError(f"{indexed.transcript}: was read before, and is now {transcript.reason}")
    return transcript


def open_prefix(indexed: Indexed) -> tuple[Prefix, tuple[Message, ...]]:
    """Read a transcript again, and cut it: its prefix and its original turn."""
    tools = orjson.loads(indexed.toolset) if indexed.toolset else []
    return make_prefix(load(indexed), Cut(indexed.cut, indexed.cut_end), tools)


def _index(items: Iterator[Item], wanted: Wanted, work_dir: Path, evidence: Evidence) -> Iterator[Indexed | Excluded]:
    kin = Kin(wanted.select.near_duplicates)
    with closing(Survey()) as survey, closing(Written(work_dir)) as written, closing(kin):
        while survey.count != wanted.limit and (item := next(items, None)) is not None:
            if isinstance(item, Located):
                entry = _survey(item, wanted, written, evidence, kin)
                if isinstance(entry, Surveyed):
                    survey.put(entry)
                else:
                    yield entry
            elif isinstance(item, Excluded):
                yield item
        survey.draw(wanted.select, wanted.seed)
        yield from survey.not_drawn()
        yield from _prepared(survey, wanted, evidence, kin)


# -- the survey: every transcript, once -----------------------------------------------------------------------------


def _survey(located: Located, wanted: Wanted, written: Written, evidence: Evidence, kin: Kin) -> Surveyed | Excluded:
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
    cuts = problem_with(transcript, wanted.select) or wanted.policy.cuts(
        Recording(transcript.messages, style, transcript.id, transcript.metadata.get("labels") or {})
    )
    if not isinstance(cuts, Problem):
        cuts = _fitting(transcript, cuts, wanted.fit)
    if isinstance(cuts, Problem):
        return _excluded(located, cuts, facts)
    if _shares_tools(transcript, wanted):
        # Which are kin has to be known before tools are inferred: a copy shows what comes after the cut.
        kin.compare(cluster_of(transcript), _said(transcript, cuts.cuts[-1]))
        evidence.add(agent_of(transcript), cluster_of(transcript), facts_in(transcript.messages, style))
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
        weight=weight_of(transcript),
        messages=len(transcript.messages),
        calls=calls,
        tools=len(transcript.tools),
        date=date if isinstance(date, str) else None,
    )


def _fitting(transcript: Transcript, cuts: Cuts, fit: Fit) -> Cuts | Problem:
    """The cuts whose prefixes can be used; the first problem if there are none."""
    if not fit.excludes:
        return cuts  # every prefix is made for this alone, of all transcripts that are read
    kept: list[Cut] = []
    problems: list[Problem] = []
    for cut in cuts.cuts:
        if problem := fit.problem(make_prefix(transcript, cut)[0]):
            problems.append(problem)
        else:
            kept.append(cut)
    return Cuts(tuple(kept), cuts.passed_over + len(problems)) if kept else problems[0]


# -- preparation: what was drawn ------------------------------------------------------------------------------------


def _prepared(survey: Survey, wanted: Wanted, evidence: Evidence, kin: Kin) -> Iterator[Indexed]:
    """The prefixes of what was drawn, in the order it was read, with near-duplicates in one cluster."""
    measure = _Measure(wanted.counter)
    for surveyed, factor in survey.drawn():
        transcript = load(surveyed)
        if not _shares_tools(transcript, wanted):
            kin.compare(cluster_of(transcript), _said(transcript, surveyed.cuts.cuts[-1]))
        for cut in surveyed.cuts.cuts:
            prefix, _ = make_prefix(transcript, cut, _tools_for(transcript, cut, wanted, evidence, kin))
            entry = replace(
                _indexed(surveyed, factor, transcript, cut, prefix),
                tokens=measure.tokens(prefix),
                shortened=",".join(wanted.fit.shortened(prefix)),
            )
            kin.put(entry.cluster, astuple(entry))
    for cluster, values in kin.entries():
        yield replace(Indexed(*values), cluster=cluster)


def _shares_tools(transcript: Transcript, wanted: Wanted) -> bool:
    """Are its tools to be inferred from others, and others' from it?"""
    return lacks_tools(transcript) and wanted.infer_tools == "source"


def _tools_for(transcript: Transcript, cut: Cut, wanted: Wanted, evidence: Evidence, kin: Kin) -> list[ToolSchema]:
    """The tool schemas to infer, where the log has none."""
    if not lacks_tools(transcript) or wanted.infer_tools == "none":
        return []
    facts = list(facts_in(transcript.messages[: cut.index], style_of(transcript)))
    if Missing.TOOL_SCHEMAS in (transcript.metadata.get("missing") or ()) or facts:
        facts += evidence.beside(agent_of(transcript), kin.kin_of(cluster_of(transcript)))
    return schemas_from(facts)


def _indexed(surveyed: Surveyed, factor: float, transcript: Transcript, cut: Cut, prefix: Prefix) -> Indexed:
    facts, metadata = surveyed.facts, transcript.metadata
    return Indexed(
        prefix=prefix.id,
        transcript=surveyed.transcript,
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
        date=facts.date,
        retain_until=metadata.get("retain_until"),
        passed_over=surveyed.cuts.passed_over,
        scrubbed=orjson.dumps(metadata.get("scrubbed") or {}).decode(),
        missing=",".join(metadata.get("missing") or ()),
        reasoning=any(map(has_reasoning, transcript.messages[: cut.index])),
        toolset=orjson.dumps(prefix.tools.items).decode() if prefix.tools_inferred else "",
    )


def _said(transcript: Transcript, cut: Cut) -> Iterator[str]:
    """What tells a conversation from others: not its system prompt, which may be that of thousands."""
    for message in transcript.messages[: cut.index]:
        if message["role"] not in ("system", "developer"):
            yield text_or_parts(message)


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
