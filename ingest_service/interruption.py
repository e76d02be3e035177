"""Ctrl-C before there is anything to stop: it ends the process at once, without a word.

An exception does not do while Python imports: it comes out of wherever that stands, and not always
as a KeyboardInterrupt (seen: as a RuntimeError about a property of a library's class).
"""

import os
import signal

INTERRUPTED = 130


def end_at_once() -> None:
    """Have Ctrl-C end this process, until `raise_again`; a signal that is ignored stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Have Ctrl-C raise KeyboardInterrupt, as Python does: there is something to close now."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    os._exit(INTERRUPTED)
