"""`python -m streamgauge.deploy` is the command `streamgauge`."""

import sys

from streamgauge.deploy.cli import main

sys.exit(main())
