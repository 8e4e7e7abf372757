"""All formats, and the one way to read a collection of transcripts in any of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

from resample.formats import (
    agentdojo,
    anthropic_messages,
    atif,
    canonical,
    claude_code,
    codex,
    gemini_cli,
    inspect_log,
    mini_swe_agent,
    openai_chat,
    openai_responses,
    openhands,
    openhands_sdk,
    otel,
    pi_session,
    privacylens,
    swe_agent,
    tau2_bench,
    tau_bench,
)
from resample.formats.adjust import Adjust, as_read
from resample.formats.base import Format, Located, Look, Skipped
from resample.formats.checks import check_form
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.files import find
from resample.formats.inputs import ZIP_MAGIC, Input, members
from resample.formats.kinship import Kinship
from resample.formats.records import head_of, peek
from resample.formats.seen import Seen
from resample.formats.streams import READ_ERRORS, what_happened
from resample.types import UserError

FORMATS: dict[str, Format] = {
    module.name: module
    for module in (
        otel,
        atif,
        inspect_log,
        agentdojo,
        privacylens,
        tau2_bench,
        tau_bench,
        mini_swe_agent,
        openhands,
        openhands_sdk,
        swe_agent,
        claude_code,
        codex,
        gemini_cli,
        pi_session,
        openai_responses,
        anthropic_messages,
        canonical,
        openai_chat,
    )
}
"""By name, in the order in which they are tried: the more particular ones first."""

_ZIP = ".zip"
_SUFFIXES = (*sorted({suffix for known in FORMATS.values() for suffix in known.suffixes}), _ZIP)

_COMPANIONS = frozenset({"labels", "label", "manifest", "sources", "readme", "notes", "checksums", "license"})
"""Names, without their endings, of files that people put beside transcripts."""

Item = Located | Excluded | Skipped


def read(
    path: str | Path, format: str = "auto", *, strict: bool = False, skip: Path | None = None, adjust: Adjust = as_read
) -> Iterator[Item]:
    """The transcripts of a file, folder or glob, valid and with ids of their own, and what is not used, in
    order.

    `format` is a name of FORMATS, or `auto` to look at each file; `skip` is a folder not to look into; `adjust`
    may change a transcript, or find a reason not to use it.
    Nothing is held in memory but the transcript at hand. Raises UserError for an unknown format, for a path
    with nothing there, for a file named by itself that no format recognises, and with `strict` for the first
    transcript that is not used.
    """
    chosen = None if format == "auto" else named(format)
    return _checked(find(path, _SUFFIXES, skip), chosen, strict, adjust)


def named(name: str) -> Format:
    """The format of that name. Raises UserError with the names there are."""
    if name not in FORMATS:
        raise UserError(f"transcripts.format={name}: must be auto or one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _checked(files: Iterator[Input], chosen: Format | None, strict: bool, adjust: Adjust) -> Iterator[Item]:
    with closing(Seen()) as seen, closing(Kinship()) as kinship:
        for found in files:
            for item in _read_file(found, chosen):
                checked = _check(item, seen, kinship, adjust) if isinstance(item, Located) else item
                if strict and isinstance(checked, Excluded):
                    raise checked.error()
                yield checked


def _check(located: Located, seen: Seen, kinship: Kinship, adjust: Adjust) -> Located | Excluded:
    problem = check_form(located.transcript)
    if problem is None and seen.before(located.transcript.id):
        problem = Problem(Reason.DUPLICATE_ID, repr(located.transcript.id)[:200])
    if problem is None:
        if located.transcript.metadata.get("source") in FORMATS and located.span is None:
            kinship.settle(located.transcript)  # before anything changes it: kin stay recognisable
        adjusted = adjust(located.transcript)
        if isinstance(adjusted, Problem):
            problem = adjusted
        elif adjusted is not located.transcript:
            located = Located(adjusted, located.file, located.line)
    if problem is not None:
        return Excluded.at(located.file, located.line, problem)
    body = canonical.body_of(located.transcript)
    if isinstance(body, Problem):
        return Excluded.at(located.file, located.line, body)
    return replace(located, body=body)


def _read_file(found: Input, chosen: Format | None) -> Iterator[Item]:
    reader = _reader_of(found, chosen)
    if isinstance(reader, Problem):
        excluded = Excluded.at(found.shown, None, reader)
        if reader.reason is Reason.UNKNOWN_FORMAT and not found.named and _is_companion(found.name):
            yield Skipped(found.shown)
            return
        if found.named and reader.reason is not Reason.EMPTY_FILE:
            raise excluded.error()
        yield excluded
    elif reader is None:
        yield from _in_archive(found, chosen)
    else:
        yield from reader.read(found)


def _in_archive(archive: Input, chosen: Format | None) -> Iterator[Item]:
    try:
        for member in members(archive):
            if isinstance(member, Excluded):
                yield member
            elif _may_hold_transcripts(member.name):
                yield from _read_file(member, chosen)
    except READ_ERRORS as error:
        yield Excluded.at(archive.shown, None, Problem(Reason.UNREADABLE_FILE, what_happened(error)))


def _may_hold_transcripts(name: str) -> bool:
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return not hidden and name.lower().endswith(tuple(s + z for s in _SUFFIXES for z in ("", ".gz", ".zst")))


def _is_companion(name: str) -> bool:
    return PurePosixPath(name).name.partition(".")[0].lower() in _COMPANIONS


def _reader_of(found: Input, chosen: Format | None) -> Format | Problem | None:
    """The format to read a file in: the one that was chosen, or else the first that recognises it.

    None for an archive, whose members are to be read.
    """
    try:
        found.shown.encode()
        str(found.path).encode()
        head = head_of(found)
        archived = frozenset(_names_in(found)) if head.startswith(ZIP_MAGIC) else frozenset()
    except UnicodeEncodeError:
        return Problem(Reason.UNREADABLE_FILE, "its name is not UTF-8")
    except READ_ERRORS as error:
        return Problem(Reason.UNREADABLE_FILE, what_happened(error))
    if not head.strip():
        return Problem(Reason.EMPTY_FILE)
    if head[257:262] == b"ustar":
        return Problem(Reason.UNREADABLE_FILE, "a tar archive: unpack it, or pack it as a zip")
    if chosen is not None and not archived:
        return chosen
    recognised = _recognised(found.name, head, archived)
    if archived and recognised is None:
        return None if found.member is None else Problem(Reason.UNSAFE_ARCHIVE, "an archive inside of an archive")
    return chosen or recognised or Problem(Reason.UNKNOWN_FORMAT, f"tried {', '.join(FORMATS)}")


_FEW = 8
"""Lines that nearly always tell the format. Only where they do not, all lines of the head are looked at."""


def _recognised(name: str, head: bytes, archived: frozenset[str]) -> Format | None:
    """The first format that recognises a file."""
    for most in (_FEW, None):
        look = Look(name, [] if archived else peek(head, most), archived)
        for candidate in FORMATS.values():
            if candidate.sniff(look):
                return candidate
    return None


def _names_in(found: Input) -> list[str]:
    with found.open_seekable() as file, zipfile.ZipFile(file) as archive:
        return archive.namelist()
