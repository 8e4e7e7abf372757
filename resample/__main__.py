"""`python -m resample`."""

import sys

from resample.cli import main

sys.exit(main())
