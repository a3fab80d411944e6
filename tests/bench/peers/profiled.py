"""The daemon with a profiler beside it: `profiled.py DIRECTORY COMMAND...`.

SIGUSR1 starts cProfile on the thread that runs the loop; the next one stops it and
writes `loop.prof`. `threads.json` names the other threads for /proc.
"""

import cProfile
import json
import signal
import sys
import threading
from pathlib import Path

from feishu_ws.cli.main import main


def watch(directory):
    """Obey SIGUSR1 from now on."""
    profiles = []

    def toggle(*_):
        if profiles:
            profile = profiles.pop()
            profile.disable()
            names = {thread.native_id: thread.name for thread in threading.enumerate()}
            (directory / "threads.json").write_text(json.dumps(names))
            profile.dump_stats(directory / "loop.new")
            (directory / "loop.new").rename(directory / "loop.prof")
        else:
            profiles.append(cProfile.Profile())
            profiles[0].enable()

    signal.signal(signal.SIGUSR1, toggle)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    del sys.argv[1]
    sys.exit(main())
