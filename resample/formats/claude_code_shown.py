"""What Claude Code showed its model beside the model's own replies.

Most of it is not the user's words: reminders, expanded commands, contents of files, results of hooks. It is kept as
the model saw it. Where it came between a tool's output and the reply to that, it begins no turn, and stands at the
end of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from resample.formats.anthropic_blocks import Said, blocks_of, parts_of, said_by_user, schemas_of
from resample.formats.assemble import content_of, listed, text_or, text_part
from resample.formats.claude_code_tree import Node, Record
from resample.formats.inputs import Input
from resample.formats.streams import READ_ERRORS
from resample.types import Message, Missing, ToolSchema

HARNESS = "_harness"
"""Key of a user message that is not the user's, and may come in the middle of a turn."""

CLEARED = "[Old tool result content cleared]"
"""What stands for an output that was taken out of the context to make room."""

_LARGEST_OUTPUT = 1 << 24
_SNAPSHOT = "prompt_snapshot"


def messages_shown(node: Node, source: Input, said: Said, rendered: bool) -> list[Message]:
    """The messages of a record that is no reply. `rendered`: this version writes down how attachments were shown."""
    if node.kind == "user":
        return _shown_as_user(node, source, said)
    if node.kind == "attachment":
        return shown_by_attachment(node.record, said, rendered)
    if node.kind == "system" and node.record.get("subtype") == "local_command":
        return shown_by_command(node.record)
    return []


def _shown_as_user(node: Node, source: Input, said: Said) -> list[Message]:
    record = node.record
    if record.get("isVisibleInTranscriptOnly") is True and record.get("isCompactSummary") is not True:
        said.dropped["display record"] += 1
        return []
    messages = said_by_user(record["message"].get("content"), said)
    mark = record.get("isMeta") is True
    for message in messages:
        if message["role"] == "tool":
            if not message["content"]:
                message["content"] = output_in_file(record, source, said)
        elif mark or is_reminder(message["content"]):
            message[HARNESS] = True
    return messages


# -- passes: what is not the user's ------------------------------------------------------------------------------------

_REMINDERS = ("system-reminder", "task-notification")
_MARKUP = (
    *_REMINDERS,
    *("command-name", "command-message", "command-args", "command-contents"),
    *("local-command-stdout", "local-command-stderr", "local-command-caveat"),
    *("bash-input", "bash-stdout", "bash-stderr", "user-memory-input"),
)


def is_reminder(content: Any) -> bool:
    """A text that is nothing but a reminder, or news of a task in the background."""
    return _is_marked_up(content, _REMINDERS)


def is_markup(content: Any) -> bool:
    """A text that is nothing but what the harness makes of commands, their output, and the like."""
    return _is_marked_up(content, _MARKUP)


def _is_marked_up(content: Any, tags: tuple[str, ...]) -> bool:
    texts = [content] if isinstance(content, str) else [text_or(part.get("text")) for part in listed(content)]
    return bool(texts) and all(_is_in_tags(text.strip(), tags) for text in texts)


def _is_in_tags(text: str, tags: tuple[str, ...]) -> bool:
    if not (text.startswith("<") and text.endswith(">")):
        return False
    return text[1:80].partition(">")[0] in tags and text[text.rfind("</") + 2 : -1] in tags


def nobody_speaks(messages: list[Message]) -> bool:
    """A session may hold commands only, which the model was never asked anything after."""
    if any(message["role"] == "assistant" for message in messages):
        return False
    spoken = [message for message in messages if message["role"] == "user" and HARNESS not in message]
    return all(is_markup(message["content"]) for message in spoken)


def folded(messages: list[Message]) -> list[Message]:
    """What the harness put between an output and the reply to it is no turn: it becomes the end of the output.

    Anything that a user said there leaves it all as it is.
    """
    whole: list[Message] = []
    tool: Message | None = None
    waiting: list[Message] = []
    for message in messages:
        if tool is not None and HARNESS in message:
            waiting.append(message)
            continue
        if message["role"] == "tool":
            tool = message  # of parallel calls, the last output
        else:
            if message["role"] == "assistant" and tool is not None and waiting:
                tool["content"] = _longer(tool["content"], waiting)
            else:
                whole += waiting
            tool, waiting = None, []
        whole.append(message)
    return whole + waiting


def _parts(content: Any) -> list[dict[str, Any]]:
    return [text_part(content)] if isinstance(content, str) else content


def _longer(content: Any, added: list[Message]) -> Any:
    parts = [*(_parts(content) if content else []), *(part for each in added for part in _parts(each["content"]))]
    if all(part.get("type") == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return content_of(parts)


def shown_by_command(record: Record) -> list[Message]:
    """Newer versions log commands, and what they printed, as system records; the model sees them as the user's."""
    content = text_or(record.get("content"))
    return [{"role": "user", "content": content}] if content else []


# -- passes: attachments -----------------------------------------------------------------------------------------------


def shown_by_attachment(record: Record, said: Said, rendered: bool) -> list[Message]:
    """What a record of type `attachment` showed the model.

    Newer versions write down the text that was shown (`rendered`), and what has none was not shown. Older ones keep
    the contents only: texts among them are given in the tags of a reminder. What the user typed while the model was
    at work stands in an attachment, too (`queued_command`).
    """
    attachment = record.get("attachment")
    if not isinstance(attachment, dict) or attachment.get("type") == _SNAPSHOT:
        return []
    queued = attachment.get("type") == "queued_command"
    shown = [block for one in listed(record.get("rendered")) for block in blocks_of(one.get("content"))]
    if not shown and queued:
        shown = blocks_of(attachment.get("prompt"))
    elif not shown and not rendered:
        text = "\n\n".join(_texts_in(attachment))
        shown = blocks_of(f"<system-reminder>\n{text}\n</system-reminder>" if text else "")
    parts = parts_of(shown, said)
    if not parts:
        said.dropped["attachment that was not shown" if rendered else "attachment without a text"] += 1
        return []
    role = "system" if record.get("renderedRole") == "system" else "user"
    message: Message = {"role": role, "content": content_of(parts)}
    if not (queued and _is_typed(attachment)):
        message[HARNESS] = True
    return [message]


def _is_typed(attachment: dict[str, Any]) -> bool:
    """Did the user type it, rather than a task in the background report?"""
    origin = attachment.get("origin")
    kind = origin.get("kind") if isinstance(origin, dict) else None
    mode = attachment.get("commandMode")
    prompt = attachment.get("prompt")
    return mode in (None, "prompt") and kind in (None, "human") and not is_reminder(prompt)


def _texts_in(attachment: dict[str, Any]) -> Iterator[str]:
    """The texts that kinds of attachments carry: hooks' context, memory files, files and changes to them."""
    for key in ("text", "content", "snippet", "banner", "blockingError"):
        value = attachment.get(key)
        if isinstance(value, dict):
            value = value["file"] if isinstance(value.get("file"), dict) else value
            value = value.get("content", value.get("blockingError"))
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text.strip():
                yield text


def snapshot_of(record: Record) -> dict[str, Any] | None:
    """Newer versions log the system prompt, and sometimes the tools, in an attachment."""
    attachment = record.get("attachment")
    if not isinstance(attachment, dict):
        return None
    return attachment if attachment.get("type") == _SNAPSHOT or "systemPrompt" in attachment else None


def snapshot_tools(snapshot: dict[str, Any], said: Said) -> list[ToolSchema]:
    """The tools of a snapshot: their schema is one of JSON, or holds it under `input_schema`."""
    tools = []
    for tool in listed(snapshot.get("tools")):
        schema = tool.get("schema")
        if isinstance(schema, dict):
            inner = schema.get("input_schema")
            given = inner if isinstance(inner, dict) else schema
            tool = {
                "name": tool.get("name") or schema.get("name"),
                "description": tool.get("description") or schema.get("description"),
                "input_schema": given,
            }
        tools.append(tool)
    return schemas_of(tools, said.dropped)


# -- passes: outputs that stand elsewhere ------------------------------------------------------------------------------


def output_in_file(record: Record, source: Input, said: Said) -> str:
    """A large output may stand in a file of its own, in the folder `tool-results` of the session.

    Where the log has a preview of it, that is what the model saw; this is for a log that has nothing.
    """
    result = record.get("toolUseResult")
    path = text_or(result.get("persistedOutputPath")) if isinstance(result, dict) else ""
    if not path:
        return ""
    file_name = path.replace("\\", "/").rpartition("/")[2]
    for folder in (text_or(record.get("sessionId")), PurePosixPath(source.name).name.partition(".")[0]):
        beside = source.beside(f"{folder}/tool-results/{file_name}") if folder and file_name else None
        if beside is None:
            continue
        try:
            with beside.open() as (file, _):
                data = file.read(_LARGEST_OUTPUT + 1)
            if len(data) <= _LARGEST_OUTPUT - said.from_files:
                said.from_files += len(data)
                return data.decode(errors="replace")
        except READ_ERRORS:
            break
    said.missing.add(Missing.TRUNCATED_OUTPUTS)
    return ""


def replacements_in(record: Record) -> dict[str, str]:
    """Outputs that were taken out of the model's context later, or made shorter, by the id of their call."""
    if record.get("type") == "content-replacement":
        pairs = ((text_or(r.get("toolUseId")), r.get("replacement")) for r in listed(record.get("replacements")))
        return {id: text for id, text in pairs if id and isinstance(text, str)}
    metadata = record.get("microcompactMetadata")
    if record.get("subtype") == "microcompact_boundary" and isinstance(metadata, dict):
        ids = metadata.get("compactedToolIds")
        return {id: CLEARED for id in ids if isinstance(id, str)} if isinstance(ids, list) else {}
    return {}


def with_replacements(messages: list[Message], replacements: dict[str, str], said: Said) -> None:
    """Put in place of outputs what the model saw of them in the end."""
    for message in messages if replacements else ():
        if message["role"] == "tool" and message["tool_call_id"] in replacements:
            message["content"] = replacements[message["tool_call_id"]]
            said.dropped["output taken out of the context"] += 1
