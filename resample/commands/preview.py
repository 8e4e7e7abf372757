"""`scrub.preview=true`: what would be replaced, and by what. Nothing is written, nothing is sent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from resample.commands import progress_bar, say, warn
from resample.types import Exit

if TYPE_CHECKING:
    from resample.config import Scrub, Transcripts


def show(transcripts: Transcripts, scrub: Scrub, progress: bool) -> int:
    """Print each value that would be replaced, once for every place it stands in, and counts. Returns the exit code."""
    from resample.build import adjustment, rules_of
    from resample.config import Scrub
    from resample.formats import Excluded, Located, read
    from resample.paths import transcripts_at
    from resample.prepare.scrub import Scrubber

    scrubber = Scrubber(rules_of(scrub))
    counts: Counter[str] = Counter()
    used = changed = 0
    items = read(
        transcripts_at(transcripts.path),
        transcripts.format,
        strict=transcripts.strict,
        adjust=adjustment(transcripts, Scrub()),
    )
    with progress_bar(progress, unit="conversation") as bar:
        for item in items:
            if isinstance(item, Excluded):
                warn(str(item.error()))
            if not isinstance(item, Located):
                continue
            found = scrubber.findings(item.transcript)
            if found:
                say(f"{item.file}:{item.line} {item.transcript.id}")
            for entry in found:
                counts[entry.kind] += 1
                what = " ".join(entry.what.split())
                say(f"  {entry.kind:<20} {entry.place}: {what} -> {' '.join(entry.pseudonym.split())}")
            used, changed = used + 1, changed + bool(found)
            bar.update()
            if used == transcripts.limit:
                break
    listed = ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common()) or "nothing"
    say(f"\n{changed:,} of {used:,} conversations would be changed: {listed}\nnothing written")
    return Exit.DONE
