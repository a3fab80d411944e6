"""Runs in AstrBot's Python: AstrBot's own command line, and a thread that watches it.

AstrBot is not changed. The thread notes the platforms that are made, writes
`status.json` four times a second, and does what `control.json` asks for.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
import weakref
from pathlib import Path

ROOT = Path(os.environ["ASTRBOT_ROOT"])
LOOK_S = 0.1
RELOAD_S = 60


def note_platforms(made):
    """Note each Platform from now on; return whether its class is there yet."""
    module = sys.modules.get("astrbot.core.platform.platform")
    cls = getattr(module, "Platform", None)
    if cls is None:
        return False
    original = cls.__init__

    def noting(self, *args, **kwargs):
        made.append(weakref.ref(self))
        return original(self, *args, **kwargs)

    cls.__init__ = noting
    return True


def describe(platform):
    """Return what a platform says of itself."""
    told = {"id": platform.config.get("id"), "status": platform.status.value}
    told["errors"] = [error.message for error in platform.errors][-3:]
    said = getattr(platform, "connected", None)
    if said is None:  # AstrBot's own Lark adapter
        said = getattr(getattr(platform, "client", None), "_conn", None) is not None
    return told | {"connected": bool(said)}


def reload_platform(name, main_thread):
    """Do what the dashboard does when a platform's settings are saved."""
    found = [o for o in gc.get_objects() if type(o).__name__ == "PlatformManager"]
    manager = next(o for o in found if hasattr(o, "platforms_config"))
    loops = [o for o in gc.get_objects() if isinstance(o, asyncio.AbstractEventLoop)]
    loop = next(o for o in loops if o.is_running() and o._thread_id == main_thread)
    config = next(c for c in manager.platforms_config if c.get("id") == name)
    asyncio.run_coroutine_threadsafe(manager.reload(config), loop).result(RELOAD_S)


def obey(control, main_thread):
    """Do what is asked for; return what became of it."""
    asked = json.loads(control.read_text())
    control.unlink()
    try:
        reload_platform(asked["reload"], main_thread)
    except Exception as exc:  # noqa: BLE001  # told to the test
        return {"n": asked["n"], "error": repr(exc)}
    return {"n": asked["n"], "error": None}


def watch(main_thread):
    """Watch for ever."""
    made, done = [], {}
    while not note_platforms(made):
        time.sleep(0.005)
    while True:
        if (ROOT / "control.json").exists():
            done = obey(ROOT / "control.json", main_thread)
        told = []
        for platform in filter(None, (each() for each in made)):
            with contextlib.suppress(AttributeError):  # half made
                told.append(describe(platform))
        unfinished = ROOT / f".status.{os.getpid()}"
        unfinished.write_text(json.dumps({"platforms": told, "control": done}))
        unfinished.replace(ROOT / "status.json")
        time.sleep(LOOK_S)


def main():
    """Run `astrbot run`."""
    thread = threading.Thread(target=watch, args=[threading.get_ident()], daemon=True)
    thread.start()
    sys.argv = ["astrbot", "run"]
    from astrbot.cli.__main__ import cli

    cli()


if __name__ == "__main__":
    main()
