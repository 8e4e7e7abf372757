"""What an output that was really given tells about files: what was read, and whether a change was made."""

from __future__ import annotations

import re
from collections.abc import Mapping

from simulators.base import Unknown
from simulators.files import File, Files, Kind, NotThere
from simulators.operations import Create, Edit, Insert, Lines, Open, Operation, Patch, Read, Write
from simulators.shortened import is_long, is_shortened
from simulators.workspace.blocks import Block, find_block
from simulators.workspace.changes import Done, Place, carry_out, patched
from simulators.workspace.forms import Told
from simulators.workspace.frames import unframe
from simulators.workspace.patch import Add, Delete, Section, Update, parse, paths

_FAILED = re.compile(
    r"<tool_use_error>|\b(error(s|ed)?|fail(ed|s|ure)?|no|not|non-\w+|invalid|cannot|can't|unable|denied|reject(ed)?|"
    r"refused|unexpected|\w+n't|must|aborted|cancelled|canceled|timed out)\b",
    re.IGNORECASE,
)
_ERROR = re.compile(r"\s*</?\w*error\w*>", re.IGNORECASE)
"""A harness that marks an error as one: whatever follows, it is no content of a file."""
_NOT_OF_FILES = re.compile(
    r"not been read|read it first|modified since|sibling tool call|doesn't want to|haven't granted|rejected|"
    r"interrupted|hook (?:error|blocked)|permission",
    re.IGNORECASE,
)
_OPENING = 300
_ABSENT = re.compile(r"no such file|not found|does not exist|doesn't exist|enoent", re.IGNORECASE)
_DIFFERS = re.compile(r"failed to (find|read)|expected lines|no such file|not found|not exist", re.IGNORECASE)
"""Words of a patch that failed since the files are others than it takes them to be."""
_USUAL_LIMIT = 2000
"""Lines that viewers show at most where no number is asked for."""
_TOTAL = re.compile(r"\((\d+) lines total\)")


def has_failed(operation: Operation, output: str) -> bool:
    """Does this say that the call was not carried out? Only for what is acknowledged in a first line of its own."""
    if isinstance(operation, Patch):
        return _was_applied(output) is False
    first = output.strip().split("\n", 1)[0]
    for path in (getattr(operation, "path", None), getattr(operation, "command", None)):
        if path:
            first = first.replace(path, "")
    return bool(_FAILED.search(_without_paths(first)))


def is_refused(output: str) -> bool:
    """Was a call not carried out for a reason that has nothing to do with what is in the files?"""
    return _NOT_OF_FILES.search(output[:_OPENING]) is not None


def _without_paths(text: str) -> str:
    """Names of files may sound like errors."""
    return " ".join(word for word in text.split() if "/" not in word and "\\" not in word)


def observe(operation: Operation, output: str, files: Files, place: Place) -> Told | None:
    """Bring the files up to date with what a call really gave: what it told; None if that is not known."""
    if isinstance(operation, Read | Open):
        return _observe_read(operation, output, files, place)
    if isinstance(operation, Patch):
        return _observe_patch(operation, output, files, place)
    done = _expected(operation, files, place)
    failed = has_failed(operation, output)
    if failed and is_refused(output):
        return None
    path = _path(operation, place)
    if done is not None and (done.commit is None) == failed and not _contradicts(output, done.told):
        if done.is_doubted and path is not None and find_block(output) is not None:
            _see_change(operation, path, output, files)
        elif done.commit is not None:
            done.commit()
        return _decided(output, done.told)
    if path is None:
        return None
    if failed:
        if done is not None and done.commit is not None and files.kind(path) is not Kind.ABSENT:
            files.forget(path)  # what is known of it was not right, or something else stood in the way
        return None
    _see_change(operation, path, output, files)
    return None


def _expected(operation: Operation, files: Files, place: Place) -> Done | None:
    try:
        return carry_out(operation, files, place)
    except (Unknown, NotThere):
        return None


def _decided(output: str, told: Told) -> Told:
    """What an output says of how a call ended that could end in one way or another."""
    first = output.split("\n", 1)[0].lower()
    for outcome, words in (("created", ("creat", "new file")), ("overwritten", ("overw", "updat"))):
        if outcome in (told.outcome, *told.others) and any(word in first for word in words):
            return told._replace(outcome=outcome, others=())
    return told


def _path(operation: Operation, place: Place) -> str | None:
    path = getattr(operation, "path", None) or place.open_file
    return None if path is None else place.resolve(path)


def _contradicts(output: str, told: Told) -> bool:
    """Are the numbered lines in the output others than those that are known?"""
    block = find_block(output) if told.page is not None else None
    if block is None or told.page is None:
        return False
    lines = told.page.file.lines
    return any(lines.get(number, line) != line for number, line in _lines_of(block).items())


def _lines_of(block: Block) -> dict[int, str]:
    """The lines of the file that an editor shows after a change."""
    lines = dict(enumerate(block.lines, start=block.first))
    if block.may_close:
        del lines[block.last]
    return lines


def _see_change(operation: Operation, path: str, output: str, files: Files) -> None:
    """A change was made to a file of which too little was known: what remains is what stands in the output."""
    known = _still_known(path, files)
    files.forget(path)
    block = find_block(output)
    if isinstance(operation, Write):
        files.change(path, File.of(operation.text))
    elif isinstance(operation, Create):
        files.change(path, File({1: ""}, 1, None))
    elif block is None:
        files.see_kind(path, Kind.FILE)
    else:
        shown = _lines_of(block)
        files.change(path, File(_kept(known.lines, shown, _growth(operation)) | shown, None, known.ends))


def _still_known(path: str, files: Files) -> File:
    try:
        return files.file(path)
    except (Unknown, NotThere):
        return File()


def _growth(operation: Operation) -> int | None:
    """By how many lines the file has become longer; None where that cannot be told."""
    match operation:
        case Edit(replacements=(only,)) if not only.every:
            return only.new.count("\n") - only.old.count("\n")
        case Insert():
            return operation.text.count("\n") + 1
        case Lines():
            return (operation.text.count("\n") + 1 if operation.text else 0) - (operation.last - operation.first + 1)
    return None


def _kept(lines: Mapping[int, str], shown: Mapping[int, str], growth: int | None) -> dict[int, str]:
    """What is still true of the lines around a change that was shown."""
    if growth is None:
        return {}
    before = {number: line for number, line in lines.items() if number < min(shown)}
    after = {number + growth: line for number, line in lines.items() if number + growth > max(shown)}
    return before | after


# -- patches --------------------------------------------------------------------------------------------------------


def _was_applied(output: str) -> bool | None:
    """Does the output say that a patch was applied? None where it does not tell."""
    framed = unframe(output)
    if framed.code is not None:
        return framed.code == 0
    first = _without_paths(framed.body.strip().split("\n", 1)[0])
    if first.lower().startswith("success"):
        return True
    if _FAILED.search(first):
        return False
    return True if re.search(r"\bsuccess", first, re.IGNORECASE) else None


def _observe_patch(patch: Patch, output: str, files: Files, place: Place) -> Told | None:
    applied, done, sections = _was_applied(output), _expected(patch, files, place), parse(patch.text)
    if done is not None and applied == (done.commit is not None):
        if done.commit is not None:
            done.commit()
        return done.told
    there = place.within(patch.cwd)
    if applied is False:
        if done is not None and _DIFFERS.search(output):  # what is known of the files is not right
            _forget(patch, files, there)
        return None
    _forget(patch, files, there)
    if not applied or sections is None:
        return None
    for section in sections:
        _see_patched(section, files, there)
    return patched(sections)


def _forget(patch: Patch, files: Files, place: Place) -> None:
    named = paths(patch.text)
    for path in named:
        files.forget(place.resolve(path))
    if not named:
        files.forget_all()


def _see_patched(section: Section, files: Files, place: Place) -> None:
    """What the patch itself tells of a file, of which too little was known."""
    path = place.resolve(section.path)
    match section:
        case Add():
            files.change(path, File.of(section.text))
        case Delete():
            files.see_kind(path, Kind.ABSENT)
        case Update(target=None):
            files.see_kind(path, Kind.FILE)
        case Update(target=str(target)):
            files.see_kind(path, Kind.ABSENT)
            files.see_kind(place.resolve(target), Kind.FILE)


# -- reads ----------------------------------------------------------------------------------------------------------


def _observe_read(read: Read | Open, output: str, files: Files, place: Place) -> Told | None:
    path = place.resolve(read.path)
    expected = _expected(read, files, place)
    if expected is not None and expected.told.page is None:  # it was known that this must fail
        return expected.told if _FAILED.search(output[:300]) else None
    seen = _seen(read, output) if isinstance(read, Read) else _in_window(output)
    if seen is None:
        if _ABSENT.search(output[:300]):
            files.see_kind(path, Kind.ABSENT)
            done = _expected(read, files, place)
            return None if done is None else done.told
        return None
    files.see(path, seen)
    done = _expected(read, files, place)
    return None if done is None else done.told


def _seen(read: Read, output: str) -> File | None:
    """What a viewer showed of a file; None where it showed nothing that can be relied on."""
    block = find_block(output)
    asked = max(read.first or 1, 1)
    if block is not None and (block.start < 400 or block.end - block.start > len(output) // 2):
        if block.first not in (asked, 1) and read.first is not None:
            return None
        return _numbered(read, block, output)
    if _ERROR.match(output) or (_FAILED.search(output[:200].split("\n", 1)[0]) and len(output) < 600):
        return None
    if is_shortened(output):
        return None
    return _bare(read, output)


def _in_window(output: str) -> File | None:
    block, total = find_block(output), _TOTAL.search(output)
    if block is None or total is None or total.end() > block.start:
        return None
    return File(dict(enumerate(block.lines, start=block.first)), int(total[1]), None)


def _numbered(read: Read, block: Block, output: str) -> File | None:
    lines = dict(enumerate(block.lines, start=block.first))
    if is_shortened(block.lines[-1] + output[block.end :]) or is_long(output):
        return File({number: line for number, line in lines.items() if number < block.last})
    limit = _USUAL_LIMIT if read.lines is None else read.lines
    if len(lines) >= limit:
        return File(lines)
    splits = block.style.separator in ("→", "\t")
    if splits and block.lines[-1] == "" and block.last > 1:
        del lines[block.last]
        return File(lines, block.last - 1, True)
    return File(lines, block.last)  # a viewer may leave out the empty line after the last line end


def _bare(read: Read, output: str) -> File:
    first = max(read.first or 1, 1)
    file = File.of(output)
    ends = file.ends or None  # a harness may have taken the last line end off
    if read.first is None and read.lines is None:
        return File(file.lines, file.count, ends) if output else File({}, 0, True)
    lines = {number + first - 1: line for number, line in file.lines.items()}
    if read.lines is not None and len(lines) < read.lines:
        return File(lines, first - 1 + len(lines), ends)
    return File(lines)
