"""Local stand-ins for the two SIEMs: they answer as Splunk HEC and Datadog's intake are documented.

In a test: `async with stand_in() as siem: ...`; as a process: `python deploy/local/siem/serve.py`.
"""

from .arrived import Arrived, Entry, Exchange
from .datadog import Datadog, DatadogSettings
from .faults import Fault
from .server import Intake
from .splunk import Splunk, SplunkSettings
from .stand_in import Siem, stand_in

__all__ = [
    "Arrived",
    "Datadog",
    "DatadogSettings",
    "Entry",
    "Exchange",
    "Fault",
    "Intake",
    "Siem",
    "Splunk",
    "SplunkSettings",
    "stand_in",
]
