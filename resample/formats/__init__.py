"""Foreign logs -> Transcript: one module per format, one registry, sniffing.

`read` gives the transcripts of a file, folder or glob, each with its place, and for everything that is not
used an `Excluded` with its reason.
"""

from resample.formats.base import Format, Located, Skipped, Span
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.registry import FORMATS, read

__all__ = ["FORMATS", "Excluded", "Format", "Located", "Problem", "Reason", "Skipped", "Span", "read"]
