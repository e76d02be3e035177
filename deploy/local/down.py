"""`make down`: stop whatever a `make up` left running; --clean removes its data too."""

from __future__ import annotations

import shutil
import sys

from stack import compose
from stack.probe import compose_fault
from stack.process import end_left
from stack.state import State

# In this order: who writes stops before what it writes to.
NAMES = ("up", "prometheus", "publish", "forward", "persist", "siem", "kafka", "postgres")


def main() -> None:
    """Stop everything, then clean if asked; doing it twice does no harm."""
    clean = "--clean" in sys.argv[1:]
    state = State.shared()
    if not state.root.exists():
        print("Nothing is running.")
        return
    stopped = [name for name in NAMES if end_left(state, name)]
    if compose_fault() is None and compose.down(state, clean=clean):
        stopped.append("containers")
    print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")
    if clean:
        for path in state.root.iterdir():
            if path != state.downloads:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        print("Removed the data, logs, ports and passwords (what was downloaded is kept).")


if __name__ == "__main__":
    main()
