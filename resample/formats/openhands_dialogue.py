"""Events of OpenHands V0 as the messages that its own memory makes of them for the model.

The wording around an observation (exit code, working directory, the note after an error) is OpenHands' own: the log
keeps its pieces, and not the whole.

What no user said, and is shown in the user's role, is marked as the harness's: what was recalled, a summary, an
observation that answers no call (but for a user's own command or rejection), and what stands in for a user in
evaluations, where nobody is there to answer.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from resample.formats.assemble import (
    AT,
    HARNESS,
    any_schema,
    arguments_text,
    content_of,
    function_call,
    image_part,
    listed,
    text_or,
    text_part,
)
from resample.formats.harness import opens_with
from resample.formats.software_agents import (
    chat_calls,
    content_from,
    count,
    counts_reasoning,
    first_text,
    hides_reasoning,
    reply,
    visible_reasoning,
    within,
)
from resample.types import Message, ToolSchema

Event = dict[str, Any]

UNSEEN = frozenset(
    {
        *("null", "change_agent_state", "agent_state_changed", "start", "pause", "resume", "stop"),
        *("loop_recovery", "loop_detection", "condensation", "condensation_request", "send_pr", "push"),
    }
)
"""Actions and observations that no model was shown."""

_OWN_ARGUMENTS = frozenset(
    {
        *("thought", "is_confirmed", "confirmation_state", "security_risk", "action_risk", "blocking", "hidden"),
        *("is_static", "keep_prompt", "kernel_init_code", "include_extra", "impl_source", "translated_ipython_code"),
        *("cwd", "agent", "wait_for_response"),
    }
)
"""What the harness adds to an action, which is no argument of the agent's."""

STAND_IN = ("Please continue working on the task on whatever approach you think is suitable.",)
"""How evaluations answer an agent that asks: there is no user."""

_BY_USER = ("run", "user_rejected")
"""Observations that a user brought about, if no call did."""

_CONVERTED = re.compile(r"toolu_\d{2,4}")
_INLINE_IMAGE = "![image](data:image/png;base64,"


class Dialogue:
    """The messages so far, and which event made which call."""

    def __init__(self, dropped: Counter[str], *, limit: int | None, recall: bool) -> None:
        self.messages: list[Message] = []
        self.tools: list[ToolSchema] = []
        self.rebuilt = 0
        """Calls that were made of an action, because the log has no reply of the model for it."""
        self.converted = False
        self.hidden_reasoning = False
        self.model: str | None = None
        self.about: dict[str, Any] = {}
        self._dropped = dropped
        self._limit = limit
        self._recall = recall
        self._replies: set[str] = set()
        self._calls: dict[int | str, str] = {}
        self._open: str | None = None

    def add(self, event: Event) -> None:
        """Take in the next event of the agent's own view."""
        known = len(self.messages)
        if action := text_or(event.get("action")):
            self._act(event, action)
        elif kind := text_or(event.get("observation")):
            self._observe(event, kind)
        else:
            self._dropped["malformed event"] += 1
        for message in self.messages[known:]:
            message[AT] = event.get(AT)

    # -- actions ---------------------------------------------------------------------------------------------

    def _act(self, event: Event, action: str) -> None:
        args = event["args"] if isinstance(event.get("args"), dict) else {}
        if action in UNSEEN or action == "recall":
            self._dropped["event of the harness"] += 1
        elif action == "system":
            self._system(args)
        elif action == "message":
            self._say(self._speaker(event, args), args, event.get("source"))
        elif event.get("source") == "user":
            self._by_user(action, args)
        elif isinstance(event.get("tool_call_metadata"), dict):
            self._reply(event, event["tool_call_metadata"], action, args)
        else:
            self._rebuild(event, action, args)

    def _system(self, args: dict[str, Any]) -> None:
        self.messages.append({"role": "system", "content": content_from(args.get("content"))})
        self.tools = [schema for tool in listed(args.get("tools")) if (schema := any_schema(tool)) is not None]
        self.about = {key: args.get(key) for key in ("openhands_version", "agent_class")}

    def _speaker(self, event: Event, args: dict[str, Any]) -> str:
        """Bare logs do not say who speaks: the task comes first, and later an agent's message waits for a reply."""
        source = event.get("source")
        if source is None:
            return "assistant" if self.messages and args.get("wait_for_response") is True else "user"
        return "assistant" if source == "agent" else "user"

    def _say(self, role: str, args: dict[str, Any], source: Any) -> None:
        urls = args.get("image_urls") or args.get("images_urls")
        content = with_images(content_from(args.get("content")), urls)
        if role == "assistant":
            self.messages.append(reply(content, []))
        else:
            self._show(content, by_harness=source == "environment" or opens_with(content, STAND_IN))

    def _show(self, content: str | list[dict[str, Any]], *, by_harness: bool) -> None:
        mark = {HARNESS: True} if by_harness else {}
        self.messages.append({"role": "user", "content": content, **mark})

    def _by_user(self, action: str, args: dict[str, Any]) -> None:
        """A user may run commands, or end a session, beside the agent: the model was told of the former."""
        if action == "run":
            command = text_or(args.get("command"))
            self.messages.append({"role": "user", "content": f"User executed the command:\n{command}"})
        elif text := first_text(args.get("thought")):
            self.messages.append({"role": "user", "content": text})
        else:
            self._dropped["event of the harness"] += 1

    def _reply(self, event: Event, metadata: dict[str, Any], action: str, args: dict[str, Any]) -> None:
        """The model's own reply, once: it is repeated with each call of a parallel one."""
        response = metadata.get("model_response")
        choices = listed(within(response, "choices"))
        said = within(choices[0], "message") if choices else None
        said = said if isinstance(said, dict) else {}
        id = text_or(metadata.get("tool_call_id"))
        calls = chat_calls(said)
        if not any(call["id"] == id for call in calls):
            self._rebuild(event, text_or(metadata.get("function_name")) or action, args, id)
            return
        if event_id := _id_of(event):
            self._calls[event_id[0]] = id
        key = f"{within(response, 'id')} {[call['id'] for call in calls]}"
        if key in self._replies:
            return
        self._replies.add(key)
        self.model = self.model or first_text(within(response, "model"))
        self.converted = self.converted or all(_CONVERTED.fullmatch(str(call["id"])) for call in calls)
        reasoning = visible_reasoning(said)
        if hides_reasoning(said) or (counts_reasoning(response) and not reasoning):
            self.hidden_reasoning = True
        self.messages.append(reply(said.get("content"), calls, reasoning))

    def _rebuild(self, event: Event, name: str, args: dict[str, Any], id: str = "") -> None:
        """Without the model's reply an action is the call: by its name, with its arguments, after its thought."""
        self.rebuilt += 1
        id = id or f"action_{self.rebuilt}"
        if event_id := _id_of(event):
            self._calls[event_id[0]] = id
        else:
            self._open = id
        own = {key: args[key] for key in args if key not in _OWN_ARGUMENTS and args[key] not in (None, {}, [])}
        self.messages.append(reply(args.get("thought"), [function_call(id, name, own)]))

    # -- observations ----------------------------------------------------------------------------------------

    def _observe(self, event: Event, kind: str) -> None:
        extras = event["extras"] if isinstance(event.get("extras"), dict) else {}
        if kind == "recall":
            self._recalled(extras)
            return
        if kind in UNSEEN:
            self._dropped["event of the harness"] += 1
            return
        content = observed(kind, event.get("content"), extras, self._limit)
        id = self._answers(event)
        if id:
            self.messages.append({"role": "tool", "tool_call_id": id, "content": content})
            return
        if kind == "run" and isinstance(content, str):
            content = f"\nObserved result of command executed by user:\n{content}"
        self._show(content, by_harness=kind not in _BY_USER)

    def _answers(self, event: Event) -> str:
        """The call that an observation answers; empty where none does, as with errors that have no cause."""
        if id := text_or(within(event, "tool_call_metadata", "tool_call_id")):
            return id
        cause = event.get("cause")
        if isinstance(cause, int | str):
            return self._calls.get(cause, "")
        id, self._open = self._open or "", None
        return id

    def _recalled(self, extras: dict[str, Any]) -> None:
        text = recalled(extras) if self._recall else ""
        if text:
            self._show(text, by_harness=True)
        else:
            self._dropped["event of the harness"] += 1


def _id_of(event: Event) -> tuple[int | str] | None:
    id = event.get("id")
    return (id,) if isinstance(id, int | str) else None


# -- passes ----------------------------------------------------------------------------------------------------------


def observed(kind: str, content: Any, extras: dict[str, Any], limit: int | None) -> str | list[dict[str, Any]]:
    """An observation as the model saw it, which is more than its content, or less."""
    shown = content_from(content)
    if not isinstance(shown, str):
        return shown
    if kind == "run":
        return shortened(with_metadata(shown, extras.get("metadata")), limit)
    if kind == "error":
        return shortened(shown, limit) + "\n[Error occurred in processing last action]"
    if kind == "user_rejected":
        return f"OBSERVATION:\n{shortened(shown, limit)}\n[Last action has been rejected by the user]"
    if kind == "delegate":
        return shortened(first_text(within(extras, "outputs", "content")) or shown, limit)
    if kind == "read":
        return shown
    return with_images(shortened(without_inline_images(shown), limit), extras.get("image_urls"))


def with_metadata(output: str, metadata: Any) -> str:
    """A command's exit code and directory are recorded beside its output, and were shown below it."""
    if not isinstance(metadata, dict):
        return output
    text = f"{text_or(metadata.get('prefix'))}{output}{text_or(metadata.get('suffix'))}"
    if folder := text_or(metadata.get("working_dir")):
        text += f"\n[Current working directory: {folder}]"
    if python := text_or(metadata.get("py_interpreter_path")):
        text += f"\n[Python interpreter: {python}]"
    if isinstance(code := metadata.get("exit_code"), int) and code != -1:
        text += f"\n[Command finished with exit code {code}]"
    return text


def shortened(text: str, limit: int | None) -> str:
    """The log has an observation in full; a model configured with `max_message_chars` saw its two ends."""
    if limit is None or limit < 0 or len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... Observation truncated due to length ...]\n{text[len(text) - half :]}"


def without_inline_images(text: str) -> str:
    """An image in a notebook's output is shown as an image, and its line in the text only says so."""
    if _INLINE_IMAGE not in text:
        return text
    shown = "![image](data:image/png;base64, ...) already displayed to user"
    return "\n".join(shown if _INLINE_IMAGE in line else line for line in text.split("\n"))


def with_images(content: str | list[dict[str, Any]], urls: Any) -> str | list[dict[str, Any]]:
    """Images stand beside the text, as a list of addresses."""
    images = [image_part(url) for url in urls if isinstance(url, str) and url] if isinstance(urls, list) else []
    if not images:
        return content
    texts = [text_part(content)] if isinstance(content, str) and content else []
    return content_of([*(texts if isinstance(content, str) else content), *images])


def recalled(extras: dict[str, Any]) -> str:
    """What the harness knows of a workspace, or by a keyword, is shown in a user message of its own.

    The log keeps what was in it, and not its wording: it is given here plainly, piece by piece.
    """
    pieces = [
        text_or(extras.get(key))
        for key in ("repo_instructions", "additional_agent_instructions", "conversation_instructions")
    ]
    place = [
        f"{key}: {value}" for key in ("repo_name", "repo_directory", "date") if (value := text_or(extras.get(key)))
    ]
    if hosts := extras.get("runtime_hosts"):
        place.append(f"runtime_hosts: {arguments_text(hosts) or ''}")
    knowledge = [text_or(item.get("content")) for item in listed(extras.get("microagent_knowledge"))]
    return "\n\n".join(piece for piece in ("\n".join(place), *pieces, *knowledge) if piece.strip())


def rewritten(event: Event) -> Event:
    """Bare events (of the issue resolver) have all their fields at the top; they belong below `args` or `extras`."""
    if isinstance(event.get("action"), str) and not isinstance(event.get("args"), dict):
        return {**event, "args": {key: event[key] for key in event if key not in _TOP}}
    if isinstance(event.get("observation"), str) and not isinstance(event.get("extras"), dict):
        return {**event, "extras": {key: event[key] for key in event if key not in _TOP and key != "content"}}
    return event


_TOP = frozenset({AT, "id", "timestamp", "source", "message", "cause", "action", "observation", "tool_call_metadata"})


def without_delegates(events: list[Event], dropped: Counter[str]) -> list[Event]:
    """A delegate writes into the same stream, and only its outcome comes into the view of who called it."""
    kept: list[Event] = []
    waiting: list[Any] = []
    for event in events:
        if waiting and (event.get("observation") == "delegate" or _is_outcome(event, waiting[-1])):
            waiting.pop()
        elif event.get("action") == "delegate":
            if not waiting:
                kept.append(event)
            waiting.append(event.get("id"))
            continue
        if not waiting:
            kept.append(event)
    count(dropped, "event of a delegate", len(events) - len(kept))
    return kept


def _is_outcome(event: Event, delegation: Any) -> bool:
    return delegation is not None and isinstance(event.get("observation"), str) and event.get("cause") == delegation
