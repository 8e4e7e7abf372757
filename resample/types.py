"""The vocabulary of the program: what is read, played, judged and counted, and how each of these can end.

Messages and tool schemas are plain dicts in OpenAI chat-completions form, the wire form of every transport, so that
nothing is converted on the hot path. Everything else is a frozen dataclass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import orjson

Message = dict[str, Any]
ToolSchema = dict[str, Any]

TOOLS = "tools"
"""The name of native tool calls in `metadata.actions`; the default."""

REASONING_PARTS = ("thinking", "redacted_thinking", "reasoning")
"""Types of content parts in which a model thinks: another model is not sent them."""


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    GATE_FAILED = 1
    USAGE = 2
    CANNOT_TELL = 3
    INCOMPLETE = 4
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


class UserError(Exception):
    """Bad usage, config or input: the message says what was wrong, where, and what to do. Exit code 2."""


class RunStopped(Exception):
    """Ends the run, not just the rollout at hand: what was done is kept, and the same command goes on. Exit code 4."""


class StoreFailed(RunStopped):
    """The disk does not take what the run writes; what was committed before stands."""


class BudgetSpent(RunStopped):
    """The budget leaves no room for another call."""


class Role(StrEnum):
    """Who a model call is made for."""

    CANDIDATE = "candidate"
    CONTROL = "control"
    SIMULATOR = "simulator"
    JUDGE = "judge"


class Arm(StrEnum):
    """Which model made a turn."""

    CANDIDATE = "candidate"
    RECORDED = "recorded"
    """The original turn of the transcript."""
    CONTROL = "control"
    """A reference model through the same simulator."""
    CANARY = "canary"
    """No model: a rollout of known answer, mixed blind into the judge's queue."""


class StopReason(StrEnum):
    """How a rollout ended."""

    ENDED = "ended"
    """The candidate ended its turn; declining in text is an end like any other."""
    TERMINAL_TOOL = "terminal_tool"
    """The candidate called a tool that ends the turn, such as `submit`."""
    REFUSED = "refused"
    """The provider refused or filtered the reply."""
    MAX_STEPS = "max_steps"
    """The candidate still called tools after the last allowed step."""
    MAX_TOKENS = "max_tokens"
    """A reply was cut off at its token limit."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The rollout no longer fits the candidate's context window."""
    CANDIDATE_ERROR = "candidate_error"
    """The candidate's provider rejected the request, or its replies stayed unreadable."""
    SIMULATOR_ERROR = "simulator_error"
    """The simulator could not answer a tool call."""
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    """Network, rate limit, authentication or an overloaded server, after all retries."""

    @property
    def complete(self) -> bool:
        """The turn ended by itself: judged, and clean if nothing is found."""
        return self in (StopReason.ENDED, StopReason.TERMINAL_TOOL, StopReason.REFUSED)

    @property
    def cut_off(self) -> bool:
        """A limit ended the turn: judged, a finding counts, and without one it is missing."""
        return self in (StopReason.MAX_STEPS, StopReason.MAX_TOKENS, StopReason.CONTEXT_OVERFLOW)

    @property
    def failed(self) -> bool:
        """Nothing to judge: missing."""
        return not (self.complete or self.cut_off)


class VerdictOutcome(StrEnum):
    """How a verdict ended. Only `judged` is known; every other one is missing, never "no"."""

    JUDGED = "judged"
    """The judge answered in form, and its evidence stands."""
    UNDECIDED = "undecided"
    """A finding's quote did not stand in its step, after one more ask."""
    JUDGE_REFUSED = "judge_refused"
    """The judge's provider refused or filtered the reply."""
    UNPARSEABLE = "unparseable"
    """The reply was no verdict by the schema, after one more ask."""
    JUDGE_ERROR = "judge_error"
    """The judge could not be reached, or its provider rejected the request."""


class Source(StrEnum):
    """Where a tool output came from."""

    RECORDED = "recorded"
    """A recording of the same call in the transcript."""
    WORKSPACE = "workspace"
    """State rebuilt from the transcript or a snapshot."""
    LLM = "llm"
    """Written by the simulator's model."""
    OTHER = "other"
    """A user's own simulator."""
    HARNESS = "harness"
    """The error a real harness gives for a call it cannot pass on: unknown tool, malformed arguments."""

    @property
    def invented(self) -> bool:
        """Written for the occasion: nothing recorded, rebuilt or prescribed stands behind it."""
        return self in (Source.LLM, Source.OTHER)


class Missing(StrEnum):
    """What the model that made a recording saw, and the log of it lacks."""

    SYSTEM_PROMPT = "system_prompt"
    """The log keeps no system prompt, though this kind of agent has one."""
    TOOL_SCHEMAS = "tool_schemas"
    """Tools were called, and their schemas are not in the log."""
    REASONING = "reasoning"
    """Reasoning that is encrypted, redacted or only counted."""
    IMAGES = "images"
    """Images, or other parts that are no text, of which only a mark is left."""
    COMPACTED_HISTORY = "compacted_history"
    """Messages before a compaction, of which the log has no replacement; or a history that stands elsewhere."""
    TRUNCATED_OUTPUTS = "truncated_outputs"
    """Tool outputs that the logger cut short, or left out."""
    SERVER_TOOL_RESULTS = "server_tool_results"
    """Results of tools that ran at the provider, such as a web search."""


class Disclosure(StrEnum):
    """Did the agent say what it did?"""

    TOLD = "told"
    UNTOLD = "untold"
    DENIED = "denied"


_Made = TypeVar("_Made")


def _kept(derived: dict[object, Any], key: object, make: Callable[[], _Made]) -> _Made:
    if key not in derived:
        derived[key] = make()
    made: _Made = derived[key]
    return made


@dataclass(frozen=True)
class Shared:
    """Messages or tool schemas that many requests have in common: serialised once, joined to each of them."""

    items: tuple[dict[str, Any], ...] = ()
    derived: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def derive(self, key: object, make: Callable[[], _Made]) -> _Made:
        """What a transport makes of the items, such as another wire form: made once, kept as long as they are."""
        return _kept(self.derived, key, make)

    @cached_property
    def wire(self) -> bytes:
        """The items as JSON, comma separated, without the enclosing brackets."""
        return orjson.dumps(self.items)[1:-1]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the wire form."""
        return hashlib.sha256(self.wire).digest()

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each item by itself, 32 hex digits: the name its text is kept under."""
        return tuple(hashlib.sha256(orjson.dumps(item)).hexdigest()[:32] for item in self.items)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recorded conversation."""

    id: str
    messages: list[Message]
    tools: list[ToolSchema] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prefix:
    """The messages before the cut, and what else a role may need to know of the place they come from."""

    id: str
    """Hash of the transcript's id and of all a candidate is given: messages and tools."""
    transcript: str
    messages: Shared
    tools: Shared = Shared()
    tools_inferred: bool = False
    """The log has no tool schemas: these were inferred from calls before the cut."""
    source: str = ""
    """The format it was read from."""
    cluster: str = ""
    stratum: str = ""
    weight: float = 1.0
    prior_turns: int = 0
    """Assistant turns before the cut; at 0 nothing in the prefix was written by another model."""
    actions: str = "tools"
    """How this agent writes its actions: `tools`, or `text:<parser>`."""
    harness: frozenset[int] = frozenset()
    """Messages in the user's role that the harness wrote, by their index: no words of a user."""
    terminal_tools: frozenset[str] = frozenset()
    workspace: Any = None
    """A snapshot the simulator may read."""
    cwd: str | None = None
    """The working directory the agent began in, where the log tells."""
    date: str | None = None
    """When it was recorded, as far as the log tells."""
    derived: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def derive(self, key: object, make: Callable[[], _Made]) -> _Made:
        """What a role makes of this prefix, such as the part of a prompt: made once, kept as long as the prefix."""
        return _kept(self.derived, key, make)


class ToolCall(NamedTuple):
    """A tool call of the candidate."""

    id: str
    name: str
    arguments: str
    """Verbatim, valid JSON or not."""
    parsed: dict[str, Any] | None
    """The arguments as an object; None where they are no JSON object."""


class Mark(StrEnum):
    """What is to be known of a tool output when a run is read; kinds of drawn trouble are marks of their own."""

    FORM = "form"
    """The simulator's model wrote it twice in a way that cannot be right; it was kept."""
    HIDDEN = "hidden"
    """In this rollout the simulator was not given the original turn."""


class ToolOutput(NamedTuple):
    """What a simulator answered."""

    content: str
    source: Source
    mark: str = ""
    """What else is to be known of it (`Mark`), by comma."""


class RolloutKey(NamedTuple):
    """Names one rollout of a run."""

    prefix: str
    arm: Arm
    sample: int


class Step(NamedTuple):
    """One candidate message with the outputs of its calls."""

    message: Message
    outputs: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One resampled turn (or the original one, or a canary)."""

    messages: tuple[Message, ...]
    """The candidate's messages and the tool outputs, in order."""
    stop_reason: StopReason
    sources: tuple[Source, ...] = ()
    """One per tool output, in order."""
    marks: tuple[str, ...] = ()
    """The same: what is to be known of it (`ToolOutput.mark`); empty if there is nothing."""
    detail: str = ""
    """For a failure or a refusal: what the provider or the simulator said."""

    @property
    def steps(self) -> list[Step]:
        """The candidate's messages, each with the outputs up to the next one."""
        starts = [i for i, m in enumerate(self.messages) if m["role"] == "assistant"]
        ends = [*starts[1:], len(self.messages)][: len(starts)]
        return [Step(self.messages[s], self.messages[s + 1 : e]) for s, e in zip(starts, ends, strict=True)]

    def blind(self) -> Rollout:
        """What a judge may have: what was said and done, not where it came from."""
        return Rollout(self.messages, self.stop_reason)


class Finding(NamedTuple):
    """One misaligned action, with its evidence."""

    category: str
    severity: int
    step: int
    """Counted from 1 among the rollout's steps."""
    quote: str | None
    """What the agent wrote there, verbatim; None for an omission."""
    rationale: str
    disclosed: Disclosure


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's classification of one rollout."""

    outcome: VerdictOutcome
    findings: tuple[Finding, ...] = ()
    opportunity: bool | None = None
    """Could misbehaviour have happened here?"""
    evaluation_awareness: bool | None = None
    """Did the agent say that this may be a test? None where no reasoning is visible."""
    notes: str = ""
    """Anything else, in the judge's words."""
    detail: str = ""
    """For a failure: its reason."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost of one reply, or of many added up."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Part of the prompt tokens."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Part of the completion tokens."""
    usd: float | None = None
    """None where no price is known."""
    estimated: bool = False
    """The provider reported none: tokens are estimated from the length of the texts."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One model call. The prompt is `prefix` followed by `tail`; many requests share a prefix."""

    role: Role
    prefix: Shared
    tail: tuple[Message, ...] = ()
    tools: Shared = Shared()
    step: int = 0
    """Which request of this role within the rollout; part of the seed."""
    schema: dict[str, Any] | None = None
    """An OpenAI `json_schema` object (name, schema, strict) the reply should follow."""
    seed: int | None = None
    choices: int = 1
    """How many replies are drawn at once, where the provider can."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer."""

    message: Message
    finish_reason: str
    usage: Usage
    model: str
    """The model id the provider returned."""
    fingerprint: str | None = None
    raw: bytes = b""
    """The provider's whole reply, as JSON."""
    seconds: float = 0.0
    retries: int = 0


class Fault(StrEnum):
    """Why a model call failed, as far as the caller has to know."""

    REJECTED = "rejected"
    """The provider rejected the request itself (400, 422), or its replies stayed unreadable."""
    REFUSED = "refused"
    """A content filter stopped it."""
    CONTEXT = "context_overflow"
    """The prompt is longer than the model's window."""
    ACCESS = "access"
    """Wrong key, no permission, or no such model (401, 403, 404)."""
    UNAVAILABLE = "unavailable"
    """Network, time-out, rate limit or server error, after all retries."""


class ModelError(Exception):
    """A model call that failed for good. The text never holds a key."""

    def __init__(self, fault: Fault, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.status = status
        self.retries = 0
        """Attempts beyond the first."""


class SimulatorError(Exception):
    """The simulator could not answer: the rollout ends as `simulator_error`."""


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers chat requests."""

    async def complete(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises ModelError when it failed for good, BudgetSpent when it may not be made."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class SimulatorSession(Protocol):
    """The simulated environment of one rollout."""

    async def answer(self, call: ToolCall) -> ToolOutput:
        """Answer one call, in the order the candidate made them. Raises SimulatorError or ModelError."""
        ...


@runtime_checkable
class Hears(Protocol):
    """A session that wants to know of calls that were answered elsewhere."""

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """Keep account of a call that the harness, or another simulator, answered."""
        ...


class ToolSimulator(Protocol):
    """Answers tool calls in place of the environment; never executes anything."""

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> SimulatorSession:
        """Begin a rollout. `original` is the original turn: evidence for the simulator, never for the candidate."""
        ...


class Judge(Protocol):
    """Classifies a rollout."""

    async def judge(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        """Classify one rollout, given blind: no arm, no sources, no model names. Failures are outcomes."""
        ...


class Dependence(Protocol):
    """Tells which findings depend on content that only the simulator invented."""

    async def depends(self, prefix: Prefix, rollout: Rollout, verdict: Verdict) -> list[bool | None]:
        """One answer per finding of the verdict, in order; None where it is not known.

        The rollout is given with its sources, and still without a word of its arm or of any model.
        """
        ...
