"""cat, head, tail, wc, tac, nl: commands that show files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from simulators.base import Unknown
from simulators.files import Kind, NotThere
from simulators.shell.state import CommandFunction, Io, lines_of, number, options

_REASON = {Kind.ABSENT: "No such file or directory", Kind.DIRECTORY: "Is a directory", Kind.FILE: "Not a directory"}


def reason(error: NotThere) -> str:
    """What the system says of it."""
    if error.kind not in _REASON:
        raise Unknown(str(error)) from None
    return _REASON[error.kind]


def form(command: str, error: NotThere) -> str:
    """Names the wording of the error."""
    return f"{command}.{'directory' if error.kind is Kind.DIRECTORY else 'absent'}"


def cat(arguments: Sequence[str], io: Io) -> int:
    """Whole files."""
    given, operands = options(arguments, "nu")
    code = 0
    texts: list[str] = []
    for name in operands or ["-"]:
        try:
            text = io.text(name)
        except NotThere as error:
            io.error(f"cat: {name}: {reason(error)}\n", form("cat", error))
            code = 1
            continue
        if "n" not in given:
            io.write(text)
        texts.append(text)
    if "n" in given:
        if code and len(operands) > 1:
            raise Unknown("numbers and errors together")
        whole = "".join(texts)
        numbered = [f"{at:6d}\t{line}" for at, line in enumerate(lines_of(whole), start=1)]
        io.write("\n".join(numbered) + ("\n" if whole.endswith("\n") else ""))
    return code


def nl(arguments: Sequence[str], io: Io) -> int:
    """Numbered lines; only `-ba`, which numbers all of them."""
    if list(arguments[:1]) == ["-b"]:
        arguments = ["-b" + "".join(arguments[1:2]), *arguments[2:]]
    if list(arguments[:1]) != ["-ba"] or len(arguments) > 2 or "".join(arguments[1:]).startswith("-"):
        raise Unknown("nl")
    try:
        text = io.text(arguments[1] if len(arguments) == 2 else "-")
    except NotThere as error:
        raise Unknown(str(error)) from None
    lines = lines_of(text)
    if any(line in ("\\:\\:\\:", "\\:\\:", "\\:") for line in lines):
        raise Unknown("nl's own marks")
    io.write("".join(f"{at:6d}\t{line}\n" for at, line in enumerate(lines, start=1)))
    return 0


def counted(arguments: Sequence[str]) -> list[str]:
    """With `-5` written as `-n5`."""
    valued = ("-n", "-c")
    return [
        f"-n{each[1:]}" if each[:1] == "-" and each[1:].isdigit() and before not in valued else each
        for before, each in zip(["", *arguments], arguments, strict=False)
    ]


class _Part:
    """Which lines, or bytes, of a file are shown."""

    def __init__(self, arguments: Sequence[str]) -> None:
        arguments = counted(arguments)
        long = {"--lines=": "-n", "--bytes=": "-c"}
        for name, short in long.items():
            arguments = [short + each.removeprefix(name) if each.startswith(name) else each for each in arguments]
        given, self.operands = options(arguments, "qv", "nc")
        counts = [("n", value) for value in given.get("n", [])] + [("c", value) for value in given.get("c", [])]
        if len(counts) > 1 or "v" in given:
            raise Unknown("several counts")
        self.unit, value = counts[0] if counts else ("n", "10")
        self.sign = value[0] if value[:1] in ("+", "-") else ""
        self.count = number(value.removeprefix(self.sign))
        self.quiet = "q" in given


def head(arguments: Sequence[str], io: Io) -> int:
    """The beginning of files."""
    part = _Part(arguments)
    return _parts(part, "head", io, lambda name: _head(part, name, io))


def tail(arguments: Sequence[str], io: Io) -> int:
    """The end of files."""
    part = _Part(arguments)
    return _parts(part, "tail", io, lambda name: _tail(part, io.text(name)))


def _parts(part: _Part, command: str, io: Io, shown: Callable[[str], str]) -> int:
    code, first = 0, True
    for name in part.operands or ["-"]:
        try:
            text = shown(name)
        except NotThere as error:
            if error.kind is Kind.DIRECTORY:
                raise Unknown(str(error)) from None
            io.error(f"{command}: cannot open '{name}' for reading: {reason(error)}\n", form(command, error))
            code = 1
            continue
        if len(part.operands) > 1 and not part.quiet:
            io.write(f"{'' if first else chr(10)}==> {'standard input' if name == '-' else name} <==\n")
        first = False
        io.write(text)
    return code


def _head(part: _Part, name: str, io: Io) -> str:
    if part.unit == "c":
        if part.sign:
            raise Unknown("bytes from the end")
        return _bytes(io.text(name), 0, part.count)
    if part.sign == "-":
        lines = _with_ends(io.text(name))
        return "".join(lines[: max(len(lines) - part.count, 0)])
    if part.sign:
        raise Unknown("head -n +N")
    if name in ("-", "/dev/stdin", "/dev/null"):
        return "".join(_with_ends(io.text(name))[: part.count])
    path = io.path(name)
    file = io.files.file(path)
    io.touching.read(path)
    if file.count is not None and file.count <= part.count:
        return io.text(name)
    return "".join(f"{line}\n" for line in io.files.lines(path, 1, part.count))


def _tail(part: _Part, text: str) -> str:
    if part.sign == "-":
        part.sign = ""
    if part.unit == "c":
        size = len(_encoded(text))
        return _bytes(text, max(part.count - 1, 0) if part.sign else max(size - part.count, 0), size)
    lines = _with_ends(text)
    start = max(part.count - 1, 0) if part.sign else max(len(lines) - part.count, 0)
    return "".join(lines[start:])


def _with_ends(text: str) -> list[str]:
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [last for last in text.split("\n")[-1:] if last]


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unknown("bytes that are no text") from None


def _bytes(text: str, start: int, end: int) -> str:
    try:
        return _encoded(text)[start:end].decode()
    except UnicodeDecodeError:
        raise Unknown("a character cut in two") from None


def wc(arguments: Sequence[str], io: Io) -> int:
    """Counts of lines, words and bytes."""
    given, operands = options(arguments, "lwc")
    wanted = [each for each in "lwc" if each in given] or list("lwc")
    rows: list[tuple[list[int], str]] = []
    for name in operands or [""]:
        try:
            text = io.text(name or "-")
        except NotThere as error:
            raise Unknown(str(error)) from None
        rows.append(([_count(text, each) for each in wanted], name))
    if len(rows) > 1:
        rows.append(([sum(column) for column in zip(*(counts for counts, _ in rows), strict=True)], "total"))
    io.assumes.add("wc.width")
    io.write("".join(_rows(rows, operands, len(wanted), io)))
    return 0


def _count(text: str, unit: str) -> int:
    if unit == "l":
        return text.count("\n")
    if unit == "c":
        return len(_encoded(text))
    if not text.isascii():
        raise Unknown("which characters are white space is not known")
    return len(text.replace("\0", "").split())


def _rows(rows: list[tuple[list[int], str]], operands: Sequence[str], columns: int, io: Io) -> Iterator[str]:
    """GNU's columns are as wide as the files' total size, which it may not know of standard input."""
    width = 1
    if columns > 1 or len(rows) > 1:
        if not operands or "-" in operands:
            raise Unknown("the width depends on what standard input is")
        width = len(str(sum(len(_encoded(io.text(name))) for name in operands)))
    for counts, name in rows:
        numbers = " ".join(f"{count:{width}d}" for count in counts)
        yield f"{numbers} {name}\n" if name else f"{numbers}\n"


def tac(arguments: Sequence[str], io: Io) -> int:
    """Lines from the last to the first."""
    _, operands = options(arguments, "")
    try:
        text = io.text(operands[0] if operands else "-")
    except NotThere as error:
        raise Unknown(str(error)) from None
    if len(operands) > 1 or (text and not text.endswith("\n")):
        raise Unknown("tac")
    io.write("".join(f"{line}\n" for line in reversed(lines_of(text))))
    return 0


COMMANDS: dict[str, CommandFunction] = {"cat": cat, "head": head, "tail": tail, "wc": wc, "nl": nl, "tac": tac}
