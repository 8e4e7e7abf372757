"""What an operation on a file does to it, and what it would tell: computed, where enough of the file is known."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import SOMEWHERE, File, Files, Kind, NotThere, resolve
from simulators.operations import Create, Edit, Insert, Lines, Open, Operation, Patch, Read, Replacement, Write
from simulators.workspace.blocks import Page, find_block
from simulators.workspace.forms import Facts, Told
from simulators.workspace.patch import Add, Change, Delete, Missing, Section, Update, apply, is_distinct, parse
from simulators.workspace.python import is_sound


class Place(NamedTuple):
    """Where a call is made from."""

    cwd: str | None
    home: str | None = None
    open_file: str | None = None
    """The file that is open, in harnesses that have one."""

    def resolve(self, path: str) -> str:
        """A path as it is known."""
        return resolve(path, self.cwd, self.home)

    def within(self, directory: str | None) -> Place:
        """The same, from another directory if one is named."""
        return self if directory is None else self._replace(cwd=self.resolve(directory))


class Done(NamedTuple):
    """What comes of an operation."""

    told: Told
    commit: Callable[[], None] | None = None
    """Makes the change; None where there is none."""
    opens: str | None = None
    """The file that is open afterwards, if another one."""
    is_doubted: bool = False
    """What it changes may have been changed before: it is known what is told, but not what is around it."""


def carry_out(operation: Operation, files: Files, place: Place) -> Done:
    """What comes of an operation on a file. Raises Unknown where that depends on what is not known."""
    match operation:
        case Read():
            return _read(operation, files, place)
        case Write():
            return _write(operation, files, place)
        case Edit():
            return _edit(operation, files, place)
        case Insert():
            return _insert(operation, files, place)
        case Lines():
            return _lines(operation, files, place)
        case Open():
            return _open(operation, files, place)
        case Create():
            return _create(operation, files, place)
        case Patch():
            return _patch(operation, files, place)
    raise Unknown("no operation on a file")


def path_facts(path: str, place: Place) -> dict[str, str]:
    """A path in the forms that outputs have."""
    whole = place.resolve(path)
    facts = {"path": path, "resolved": whole, "name": posixpath.basename(whole)}
    if place.cwd is not None and not place.cwd.startswith(SOMEWHERE) and whole.startswith(place.cwd.rstrip("/") + "/"):
        facts["relative"] = whole[len(place.cwd.rstrip("/")) + 1 :]
    return facts


def _found(path: str, files: Files, place: Place, aged: bool = False) -> File | Told:
    """What is known of the file; or what is told because there is none."""
    try:
        return files.file(place.resolve(path), aged)
    except NotThere as error:
        return Told(f"it is {error.kind}", path_facts(path, place))


def _read(read: Read, files: Files, place: Place) -> Done:
    file = _found(read.path, files, place)
    if isinstance(file, Told):
        return Done(file)
    facts = path_facts(read.path, place)
    first = max(read.first or 1, 1)
    anchors = {"first": first}
    if read.lines is not None:
        anchors["last"] = first + read.lines - 1
    if file.count is not None:
        facts["total"] = str(file.count)
        if file.count < first:
            asked = {name: str(number) for name, number in anchors.items()}
            return Done(Told("all beyond the end", facts | asked))
    facts |= _plain(file, first, anchors.get("last"))
    outcome = "part" if read.lines is not None else "whole" if read.first is None else "from a line on"
    if file.count is not None and anchors.get("last", 0) > file.count:
        facts["last"] = str(anchors["last"])
        outcome = "part, beyond the end"
    return Done(Told(outcome, facts, Page(file, anchors), _CONTENT))


_CONTENT = frozenset({"lines", "ended lines"})


def _plain(file: File, first: int, last: int | None) -> dict[str, str]:
    """The lines as they are, in the ways in which viewers end them."""
    end = file.count if last is None or (file.count is not None and last > file.count) else last
    if end is None or any(number not in file.lines for number in range(first, end + 1)):
        return {}
    text = "\n".join(file.lines[number] for number in range(first, end + 1))
    facts = {"lines": text}
    if end != file.count:
        facts["ended lines"] = text + "\n"
    elif file.ends is not None:
        facts["ended lines"] = text + "\n" if file.ends else text
    return facts


def _write(write: Write, files: Files, place: Place) -> Done:
    path = place.resolve(write.path)
    kind = files.kind(path)
    if kind is Kind.DIRECTORY:
        return Done(Told("it is directory", path_facts(write.path, place)))
    file = File.of(write.text)
    facts = path_facts(write.path, place) | _sizes("", write.text)
    outcomes = {Kind.ABSENT: ("created",), Kind.FILE: ("overwritten",)}.get(kind, ("created", "overwritten"))
    page = Page(file, {"start": 1, "end": max(file.count or 1, 1), "first": 1})
    told = Told(outcomes[0], facts, page, others=outcomes[1:])
    return Done(told, lambda: files.write(path, write.text))


def _sizes(prefix: str, text: str) -> dict[str, str]:
    sizes = {
        "bytes": len(text.encode("utf-8", "surrogatepass")),
        "characters": len(text),
        "lines": text.count("\n") + 1,
    }
    sizes["units"] = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return {prefix + name: str(size) for name, size in sizes.items()}


# -- edits ----------------------------------------------------------------------------------------------------------


def _edit(edit: Edit, files: Files, place: Place) -> Done:
    named = edit.path or _opened(place)
    path = place.resolve(named)
    try:
        # What is to be replaced is named: that it was seen there some time ago is enough.
        file = _found(named, files, place, aged=True)
        if isinstance(file, Told):
            return Done(file)
        told, changed = _edited(edit, file, path_facts(named, place))
        if changed is None and told.outcome != "nothing to change":
            _found(named, files, place)  # raises Unknown for what was seen some time ago
    except Unknown:
        return _edit_doubted(edit, path, files, place)
    if changed is None:
        return Done(told)
    if edit.path is None:
        told.facts["total"] = _checked(path, changed)
    return Done(told, lambda: files.change(path, changed))


def _edit_doubted(edit: Edit, path: str, files: Files, place: Place) -> Done:
    """It was there before the file may have been changed: where it is now, and between what, is not known."""
    for file in files.doubted(path):
        try:
            told, changed = _edited(edit, file, path_facts(edit.path or path, place))
        except Unknown:
            continue
        if changed is not None and edit.path is not None:
            told = told._replace(page=Page(File(), {}))
            return Done(told, partial(files.doubt, path, changed), is_doubted=True)
    raise Unknown("the text may stand in lines that are not known")


def _edited(edit: Edit, file: File, facts: Facts) -> tuple[Told, File | None]:
    """What is told, and the changed file; None if it cannot be done. Raises Unknown."""
    start, end = 0, 0
    for number, replacement in enumerate(edit.replacements):
        own = facts | _edit_facts(replacement, str(number + 1))
        replaced = replace(file, replacement)
        if isinstance(replaced, str):
            return Told(replaced, own), None
        if isinstance(replaced, int):
            return Told("ambiguous", own | {"occurrences": str(replaced)}), None
        file, start, end = replaced.file, replaced.start, replaced.end
        facts = own | {"occurrences": str(replaced.times)}
    outcome = "done" if len(edit.replacements) == 1 else "several done"
    if any(replacement.every for replacement in edit.replacements):
        outcome += ", every one"
    facts["replacements"] = str(len(edit.replacements))
    return Told(outcome, facts, Page(file, {"start": start, "end": end})), file


def _edit_facts(replacement: Replacement, number: str) -> dict[str, str]:
    return {
        "old": replacement.old,
        "new": replacement.new,
        "number": number,
        **_sizes("old ", replacement.old),
        **_sizes("new ", replacement.new),
    }


class Replaced(NamedTuple):
    """A file after a replacement."""

    file: File
    start: int
    """The line where the (first) change begins."""
    end: int
    """The line where the text that was put there ends."""
    times: int


def replace(file: File, replacement: Replacement) -> Replaced | str | int:
    """The changed file, or why it cannot be: a word, or how many places fit. Raises Unknown."""
    old, new, every = replacement
    if old == new:
        return "nothing to change"
    if not old:
        raise Unknown("nothing is to be replaced: editors differ in what they do then")
    places = [(first, text.count(old), text) for first, text in _runs(file)]
    times = sum(count for _, count, _ in places)
    whole = file.whole and file.ends is not None
    if times == 0 or (times > 1 and not every):
        if times == 0 and not whole and not _is_as_viewed(old):
            raise Unknown("the text may stand in lines that are not known")
        return times if times else "not found"
    if not whole and (every or not is_distinct(old, file)):
        raise Unknown("the text may also stand in lines that are not known")
    first, _, text = next(place for place in places if place[1])
    start = first + text[: text.index(old)].count("\n")
    changed = File.of(text.replace(old, new)) if whole else _spliced(file, first, text, replacement)
    return Replaced(changed, start, start + new.count("\n"), times)


def _is_as_viewed(text: str) -> bool:
    """Was it copied from a viewer, with the numbers of its lines? Then no file has it."""
    block = find_block(text)
    return block is not None and block.style.width > 0 and block.style.separator in ("→", "\t")


def _runs(file: File) -> Iterator[tuple[int, str]]:
    """The stretches of known lines: number of the first, and their text."""
    if file.whole and file.ends is not None:
        yield 1, file.text
        return
    numbers = sorted(file.lines)
    begin = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            lines = [file.lines[number] for number in numbers[begin:index]]
            more = file.count is None or numbers[index - 1] < file.count
            yield numbers[begin], "\n".join(lines) + ("\n" if more else "")
            begin = index


def _spliced(file: File, first: int, text: str, replacement: Replacement) -> File:
    """A file of which not all is known, with one stretch of it changed."""
    before = text.count("\n") + (not text.endswith("\n"))
    after_text = text.replace(replacement.old, replacement.new, 1)
    if text.endswith("\n") and not after_text.endswith("\n"):
        raise Unknown("the line that follows is not known")
    after = File.of(after_text)
    shift = (after.count or 0) - before
    lines = {number: line for number, line in file.lines.items() if number < first}
    lines |= {first + number - 1: line for number, line in after.lines.items()}
    lines |= {number + shift: line for number, line in file.lines.items() if number >= first + before}
    return File(lines, None if file.count is None else file.count + shift, file.ends)


def _insert(insert: Insert, files: Files, place: Place) -> Done:
    file = _found(insert.path, files, place)
    if isinstance(file, Told):
        return Done(file)
    facts = path_facts(insert.path, place) | {"line": str(insert.line), "new": insert.text}
    put = insert.text.split("\n")
    if file.whole and file.ends is not None:
        lines = file.text.split("\n")
        facts["total"] = str(file.count)
        if not 0 <= insert.line <= len(lines):
            return Done(Told("no such line", facts))
        changed = File.of("\n".join([*lines[: insert.line], *put, *lines[insert.line :]]))
    elif 0 <= insert.line < max(file.lines, default=0):
        changed = _pushed(file, insert.line, put)
    else:
        raise Unknown("the line may not be there")
    page = Page(changed, {"start": insert.line + 1, "end": insert.line + len(put)})
    return Done(Told("done", facts, page), lambda: files.change(place.resolve(insert.path), changed))


def _pushed(file: File, after: int, put: list[str]) -> File:
    """A file of which not all is known, with lines put after one that is not its last."""
    lines = {number: line for number, line in file.lines.items() if number <= after}
    lines |= dict(enumerate(put, start=after + 1))
    lines |= {number + len(put): line for number, line in file.lines.items() if number > after}
    return File(lines, None if file.count is None else file.count + len(put), file.ends)


# -- patches --------------------------------------------------------------------------------------------------------


def _patch(patch: Patch, files: Files, place: Place) -> Done:
    sections = parse(patch.text)
    if sections is None:
        raise Unknown("a patch that is malformed: tools differ in what they say")
    there = place.within(patch.cwd)
    try:
        applied = apply(sections, files, there.resolve)
    except NotThere as error:
        return Done(Told(f"it is {error.kind}", {"resolved": error.path}))
    if isinstance(applied, Missing):
        return Done(_missing(applied, there))
    return Done(patched(sections), lambda: _put(applied, files))


def _put(changes: list[Change], files: Files) -> None:
    for path, file in changes:
        if file is None:
            files.remove(path)
        else:
            files.change(path, file)


def patched(sections: Iterable[Section]) -> Told:
    """What is told of a patch that was applied: what it added, then what it changed, then what it removed."""
    marks = {Add: "A", Update: "M", Delete: "D"}
    named = [(marks[type(section)], getattr(section, "target", None) or section.path) for section in sections]
    named.sort(key=lambda each: "AMD".index(each[0]))
    listing = "".join(f"{mark} {path}\n" for mark, path in named)
    facts = {"listing": listing, "chomped listing": listing[:-1], "paths": "\n".join(path for _, path in named)}
    return Told("done", facts | _in_json(facts))


def _missing(missing: Missing, place: Place) -> Told:
    lines = "\n".join(missing.hunk.old)
    facts = path_facts(missing.path, place)
    facts |= {"context": missing.hunk.context or ""} if missing.is_context else {"old": lines}
    return Told("context not found" if missing.is_context else "not found", facts | _in_json(facts))


def _in_json(facts: dict[str, str]) -> dict[str, str]:
    """The facts as they stand in a string of JSON, where that differs."""
    escaped = {f"{name} in JSON": json.dumps(value, ensure_ascii=False)[1:-1] for name, value in facts.items()}
    return {name: value for name, value in escaped.items() if value != facts[name.removesuffix(" in JSON")]}


# -- an editor with a window ----------------------------------------------------------------------------------------


def _opened(place: Place) -> str:
    if place.open_file is None:
        raise Unknown("which file is open is not known")
    return place.open_file


def _lines(change: Lines, files: Files, place: Place) -> Done:
    path = change.path or _opened(place)
    file = _found(path, files, place)
    if isinstance(file, Told):
        return Done(file)
    if file.count is None or not 1 <= change.first <= min(change.last, file.count):
        raise Unknown("these lines may not be there")
    last = min(change.last, file.count)
    put = change.text.split("\n") if change.text else []
    shift = len(put) - (last - change.first + 1)
    lines = {number: line for number, line in file.lines.items() if number < change.first}
    lines |= dict(enumerate(put, start=change.first))
    lines |= {number + shift: line for number, line in file.lines.items() if number > last}
    changed = File(lines, file.count + shift, file.ends)
    facts = path_facts(path, place) | {"total": _checked(place.resolve(path), changed)}
    page = Page(changed, {"start": change.first, "end": max(change.first + len(put) - 1, change.first)})
    return Done(Told("done", facts, page), lambda: files.change(place.resolve(path), changed))


def _open(asked: Open, files: Files, place: Place) -> Done:
    file = _found(asked.path, files, place)
    if isinstance(file, Told):
        return Done(file)
    if file.count is None:
        raise Unknown("how long the file is, is not known")
    anchors = {} if asked.line is None else {"first": asked.line, "start": asked.line, "end": asked.line}
    facts = path_facts(asked.path, place) | {"total": str(file.count)}
    outcome = "at its beginning" if asked.line is None else "at a line"
    return Done(Told(outcome, facts, Page(file, anchors), _CONTENT), opens=place.resolve(asked.path))


def _create(asked: Create, files: Files, place: Place) -> Done:
    """The new file as such editors show it: one line, which is empty."""
    path = place.resolve(asked.path)
    if files.kind(path) is Kind.FILE:
        return Done(Told("it is file", path_facts(asked.path, place)))
    file = File({1: ""}, 1, None)
    told = Told("created", path_facts(asked.path, place) | {"total": "1"}, Page(file, {}))
    return Done(told, lambda: files.change(path, file), path)


def _checked(path: str, file: File) -> str:
    """The number of lines, where such an editor would take the change: those of Python are checked first."""
    if path.endswith(".py") and not is_sound(file):
        raise Unknown("the editor's checks may not let this change pass")
    return str(file.count)
