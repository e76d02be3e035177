"""`make prometheus`: the newest Prometheus and promtool, built once into the downloads."""

from __future__ import annotations

import sys

from stack.prometheus_source import GO_VERSION, built
from stack.state import State


def main() -> int:
    """Build, say where it is, and return the exit code."""
    print(f"Building Prometheus {GO_VERSION} with Go: minutes the first time", flush=True)
    programs = built(State.shared())
    if programs is None:
        print("It could not be built: it takes Go on the PATH, and a way to a module proxy")
        return 1
    print(f"prometheus and promtool are in {programs.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
