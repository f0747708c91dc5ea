"""Finds what is wrong on this machine and with the services, and says how to mend each.

`examine` runs every check; each returns findings and never raises. Looks only: mends nothing.
"""

from streamgauge.deploy.doctor.examine import examine
from streamgauge.deploy.doctor.model import Finding, Level

__all__ = ["Finding", "Level", "examine"]
