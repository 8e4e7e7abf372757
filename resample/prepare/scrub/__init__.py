"""Private transcripts without their secrets: what is replaced before they go to a provider, and by what.

Secrets are recognised by their form or by what stands around them, never by looking random: hashes, ids and images
stay. Personal data is what has a form: addresses and numbers of people and machines, user names in paths. Names in
running text have none, and stay.
"""

from resample.prepare.scrub.scrubber import KINDS, Found, Rules, Scrubber

__all__ = ["KINDS", "Found", "Rules", "Scrubber"]
