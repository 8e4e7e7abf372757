"""What a model saw in a sample of an Inspect log: each trap of these logs is a pass of its own.

`messages` is the final state of a sample, as solvers and agents left it. What the model was given stands in the
events of its calls, with long texts and repeated messages kept elsewhere in the sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from resample.formats.assemble import listed, text_or
from resample.formats.records import MAX_BYTES

Item = dict[str, Any]

_ATTACHMENTS = ("attachment://", "tc://")
_DEEP = 64
_MANY = 1_000_000
"""Messages of one prompt."""

_TARGETS = ("target", "candidate")
_HELPERS = frozenset(
    {"grader", "judge", "scorer", "critic", "monitor", "auditor", "red_team", "attacker", "user", "simulator"}
)
_MAIN, _TOOL, _SCORER = 0, 1, 2
_SPANS = {"scorer": _SCORER, "scorers": _SCORER, "tool": _TOOL, "subtask": _TOOL}


class TooLarge(Exception):
    """A conversation whose parts, put together, are longer than a record may be."""


# -- texts and messages that stand elsewhere -------------------------------------------------------------------------


class Resolver:
    """Puts the texts of `attachments` back in place of their references."""

    def __init__(self, attachments: Any) -> None:
        self._attachments: dict[str, Any] = attachments if isinstance(attachments, dict) else {}
        self._left = MAX_BYTES
        self.lost = 0
        """References to texts that are not there."""

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """A copy of the value with whole texts. Raises TooLarge for what a few references would blow up."""
        if isinstance(value, str):
            return self._text(value)
        self._spend(1)
        if depth > _DEEP:
            return value
        if isinstance(value, dict):
            return {key: self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item, depth + 1) for item in value]
        return value

    def _text(self, text: str) -> str:
        prefix = next((prefix for prefix in _ATTACHMENTS if text.startswith(prefix)), None)
        if prefix is not None:
            kept = self._attachments.get(text.removeprefix(prefix))
            if isinstance(kept, str):
                text = kept
            elif _is_hash(text.removeprefix(prefix)):
                self.lost += 1
        self._spend(len(text))
        return text

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooLarge


def _is_hash(name: str) -> bool:
    return len(name) == 32 and all(letter in "0123456789abcdef" for letter in name)


def in_pool(refs: Any, pool: Any) -> list[Any]:
    """Messages of an event may stand once in a pool of the sample: `refs` are ranges, without their ends."""
    found: list[Any] = []
    if not (isinstance(refs, list) and isinstance(pool, list)):
        return found
    for ref in refs:
        if isinstance(ref, list) and len(ref) == 2 and all(type(place) is int and place >= 0 for place in ref):
            found.extend(pool[ref[0] : ref[1]])
        if len(found) > _MANY:
            raise TooLarge
    return found


def pool_of(sample: Item) -> Any:
    """The pool of messages; in older logs it has a name of its own."""
    data = sample.get("events_data")
    return data.get("messages") if isinstance(data, dict) else sample.get("message_pool")


def modern(sample: Item) -> Item:
    """Older logs have `transcript` with `events` and `content` (now `attachments`), and one `score`.

    Newer ones may have the final messages in the pool as well.
    """
    sample = dict(sample)
    transcript = sample.get("transcript")
    if isinstance(transcript, dict) and "events" not in sample:
        sample["events"] = transcript.get("events")
        sample["attachments"] = transcript.get("content")
    if "messages" not in sample and "message_refs" in sample:
        sample["messages"] = in_pool(sample["message_refs"], pool_of(sample))
    if "score" in sample and "scores" not in sample:
        sample["scores"] = {"score": sample["score"]}
    return sample


# -- the model's calls -----------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A call of a model that came back with a reply."""

    event: Item
    reply: Item
    place: int
    """In the agent's own course, inside of a tool, or in a scorer."""


def calls_of(sample: Item, dropped: Counter[str]) -> list[Call]:
    """The replies the candidate gave, in order."""
    calls = []
    for event, place in placed(listed(sample.get("events"))):
        if event.get("event") != "model":
            continue
        reply = reply_of(event)
        if reply is None:
            dropped["failed model call"] += 1
        elif place == _SCORER:
            dropped["model call of a scorer"] += 1
        else:
            calls.append(Call(event, reply, place))
    role = target_role({text_or(call.event.get("role")) for call in calls})
    own = [call for call in calls if text_or(call.event.get("role")) == role]
    if len(own) < len(calls):
        dropped["model call of another role"] += len(calls) - len(own)
    return own


def reply_of(event: Item) -> Item | None:
    """The reply of a model's call; a call that failed, or was still going on, has none."""
    output = event.get("output")
    choices = listed(output.get("choices")) if isinstance(output, dict) else []
    message = choices[0].get("message") if choices else None
    if event.get("pending") or event.get("error") or not isinstance(message, dict):
        return None
    return {**message, "role": "assistant"}


def placed(events: Iterable[Item]) -> Iterator[tuple[Item, int]]:
    """Graders, and agents that are a tool of others, call models too: the span or step they run in tells.

    Spans name their parent; the steps of older logs are a stack.
    """
    spans: dict[str, int] = {}
    steps: list[int] = []
    for event in events:
        kind = event.get("event")
        if kind == "span_begin":
            spans[text_or(event.get("id"))] = max(_place_of(event), spans.get(text_or(event.get("parent_id")), _MAIN))
        elif kind == "step" and event.get("action") == "begin":
            steps.append(max([_place_of(event), *steps[-1:]]))
        elif kind == "step" and steps:
            steps.pop()
        yield event, max([spans.get(text_or(event.get("span_id")), _MAIN), *steps[-1:]])


def _place_of(event: Item) -> int:
    named = _SPANS.get(text_or(event.get("type")), _MAIN)
    return _SCORER if event.get("name") == "scorers" else named


def target_role(roles: set[str]) -> str:
    """Which role is the one under test: the one that says so, or the task's own model, which has none.

    Where each has a role, the first one that is not known to be a grader's or an auditor's.
    """
    for role in (*_TARGETS, ""):
        if role in roles:
            return role
    return next((role for role in sorted(roles) if role not in _HELPERS), "")


# -- the conversation ------------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """The last reply of the conversation that a sample is about."""

    call: Call
    after: int
    """Where in `messages` it goes on."""


def last_call(calls: Sequence[Call], messages: Sequence[Item]) -> Cut | None:
    """The last reply that stands in `messages`: calls of sub-agents and helpers leave theirs elsewhere.

    An agent may rewrite its reply there, such as by taking its submission out: its id stays. Where no reply stands
    there, it is the last one that was not made inside of a tool, or else the last one.
    """
    by_mark = {mark: call for call in calls for mark in _marks(call.reply)}
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") == "assistant":
            for mark in _marks(messages[index]):
                if mark in by_mark:
                    return Cut(by_mark[mark], index + 1)
    last = next((call for call in reversed(calls) if call.place == _MAIN), calls[-1] if calls else None)
    return Cut(last, len(messages)) if last else None


def _marks(reply: Item) -> list[str]:
    """What a reply is known by: its id, or (older logs have none) what it says and the ids of its calls."""
    id = text_or(reply.get("id"))
    if id:
        return [f"id:{id}"]
    content = reply.get("content")
    texts = [content] if isinstance(content, str) else [text_or(part.get("text")) for part in listed(content)]
    calls = [text_or(call.get("id")) for call in listed(reply.get("tool_calls"))]
    return [repr(("".join(texts), calls))]


def conversation(sample: Item, resolve: Resolver, dropped: Counter[str]) -> tuple[list[Item], Item | None]:
    """What the model saw and said, and the event of its last call; None where the log has no events.

    The prompt is the event's own, then its reply, then what `messages` has after it. Where there are no events,
    `messages` is all there is; and where that is empty, the input and the output.
    """
    messages = listed(resolve(sample.get("messages")))
    calls = [call._replace(reply=resolve(call.reply)) for call in calls_of(sample, dropped)]
    cut = last_call(calls, messages)
    if cut is None:
        return messages or _input_and_output(sample, resolve), None
    event = cut.call.event
    prompt = resolve([*in_pool(event.get("input_refs"), pool_of(sample)), *listed(event.get("input"))])
    if cut.call.place == _MAIN and (inside := sum(call.place == _TOOL for call in calls)):
        dropped["model call inside a tool"] += inside
    return [*listed(prompt), cut.call.reply, *messages[cut.after :]], event


def _input_and_output(sample: Item, resolve: Resolver) -> list[Item]:
    given = resolve(sample.get("input"))
    asked = [{"role": "user", "content": given}] if isinstance(given, str) else listed(given)
    reply = reply_of({"output": resolve(sample.get("output"))})
    return [*asked, reply] if reply else asked
