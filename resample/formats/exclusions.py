"""Why a transcript is not used. What was read is used, or excluded with its reason: nothing is lost."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from resample.types import UserError


class Reason(StrEnum):
    """The reasons, as short phrases that a summary counts by; each knows what a user can do about it."""

    advice: str

    def __new__(cls, phrase: str, advice: str) -> Reason:
        """A phrase with its advice."""
        member = str.__new__(cls, phrase)
        member._value_ = phrase
        member.advice = advice
        return member

    # -- files -----------------------------------------------------------------------------------------------
    UNREADABLE_FILE = "unreadable file", "check the permissions, and that a compressed file is complete"
    EMPTY_FILE = "empty file", "remove it, or export it again"
    UNKNOWN_FORMAT = "unknown format", "name the format with transcripts.format=..., or remove the file"
    TOO_LARGE = "too large", "split the file: a transcript may have 256 MiB of JSON"
    UNSAFE_ARCHIVE = "unsafe member of an archive", "unpack the archive yourself, if you trust it"

    # -- bytes that are no JSON this program can keep --------------------------------------------------------
    MALFORMED_JSON = "malformed JSON", "repair or remove it"
    INVALID_UTF8 = "invalid UTF-8", "write the file as UTF-8"
    NOT_FINITE = "NaN or infinity", "JSON has no such number: write null or a string"
    LONE_SURROGATE = "lone surrogate", "half of a \\u escape pair is no character: write both halves"
    TOO_DEEP = "nested too deep", "flatten what is nested deeper than 240 levels"
    DUPLICATE_KEY = "duplicate key", "keep one of the two `messages`"

    # -- transcripts -----------------------------------------------------------------------------------------
    NOT_AN_OBJECT = "not a transcript", "each must be one conversation in the format that was read"
    NO_ID = "no id", "each transcript needs an `id`, a string that is not empty"
    DUPLICATE_ID = "duplicate id", "give each transcript an id that is unique in the collection"
    NO_MESSAGES = "no messages", "each transcript needs a list of `messages` that is not empty"
    NO_DIALOGUE = "no dialogue", "the log holds a session in which nobody said anything"
    HAS_IMAGES = "has images", "transcripts.images=keep or placeholder takes it"
    BAD_MESSAGE = "bad message", "a message is an object with `role` and `content`"
    BAD_ROLE = "bad role", "roles are system, developer, user, assistant and tool"
    BAD_CONTENT = "bad content", "content is a string, a list of parts that each have a `type`, or null"
    BAD_TOOL_CALL = (
        "bad tool call",
        "a call has id, type, and function {name, arguments} or custom {name, input}",
    )
    DUPLICATE_CALL_ID = "duplicate tool call id", "calls of one message need ids of their own"
    ORPHAN_TOOL_MESSAGE = "orphan tool message", "each tool message answers one call of an earlier message"
    BAD_TOOLS = "bad tools", "tools is a list of OpenAI tool schemas, each with a name"
    BAD_METADATA = "bad metadata", "correct the field, or leave it out"

    # -- transcripts that cannot be cut ----------------------------------------------------------------------
    UNKNOWN_ACTION_PARSER = "unknown action parser", "correct metadata.actions"
    NO_ASSISTANT = "no assistant message", "there is no turn to resample"
    NOTHING_BEFORE_CUT = "nothing before the cut", "there is no message that a candidate could answer"
    UNANSWERED_CALL = "unanswered tool call before the cut", "the log lacks the output of a call"
    NO_SUCH_PLACE = "no such place to cut", "the transcript has nothing that truncate asks for"
    BAD_LABEL = "bad label", "it must be the index of a message, or a list of them"

    # -- transcripts that a run does not take ----------------------------------------------------------------
    FILTERED = "left out by select", "select.* chose so"
    NOT_DRAWN = "not drawn", "others of its stratum were drawn for it, and weigh the more"
    TOO_LONG = "longer than a model's window", "choose a model with a longer window, or fit.simulator/judge=shorten"
    PURGED = "purged", "resample purge removed it from this run"


class Problem(NamedTuple):
    """What is wrong with a transcript, before it is known where it stands."""

    reason: Reason
    detail: str = ""


class Facts(NamedTuple):
    """What is known of a transcript that is not used, so that it can be compared with those that are."""

    transcript: str
    stratum: str
    weight: float
    messages: int
    calls: int
    tools: int
    """Schemas in its log."""
    date: str | None
    offset: int | None = None
    """Where its canonical form stands, in bytes; None where none was kept."""
    length: int | None = None


class Excluded(NamedTuple):
    """A transcript, or a file, that was read and is not used."""

    file: str
    line: int | None
    """Counted from 1; None where the whole file is meant."""
    reason: str
    """One of `Reason`, as a plain string."""
    detail: str
    facts: Facts | None = None
    """None where nothing is known of it: a file that cannot be read, a transcript out of form."""

    @classmethod
    def at(cls, file: str, line: int | None, problem: Problem, facts: Facts | None = None) -> Excluded:
        """A problem at its place."""
        return cls(file, line, problem.reason.value, problem.detail, facts)

    def error(self) -> UserError:
        """The same, for a user who wants to stop at it."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        detail = f" ({self.detail})" if self.detail else ""
        advice = next(reason.advice for reason in Reason if reason == self.reason)
        return UserError(f"{where}: {self.reason}{detail}: {advice}")
