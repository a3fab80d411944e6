"""Loaded by every Python that has this directory in its path: SIGUSR2 counts tasks.

The number goes into the file that $SOAK_TASKS names.
"""

import os
import signal
from pathlib import Path


def tell(*_):
    """Write down how many tasks the running loop has."""
    import asyncio

    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs (any more)
        return
    Path(os.environ["SOAK_TASKS"]).write_text(str(tasks))


if "SOAK_TASKS" in os.environ:
    signal.signal(signal.SIGUSR2, tell)
