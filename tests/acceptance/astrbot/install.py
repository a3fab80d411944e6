"""A real AstrBot, installed once per version into the user's cache: some 760 MB, and minutes."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "4.29.1"
OLDEST = (3, 12)  # Source: AstrBot 4.29.1 METADATA, Requires-Python
CANDIDATES = ("python3.12", "python3.13")
INSTALL_S = 900
NEEDED = "AstrBot needs Python 3.12 or later: pyenv install 3.12, or apt install python3.12-venv"


def astrbot_python():
    """Return a Python that has AstrBot; the test fails where there can be none."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feishu-ws-tests"
    base.mkdir(parents=True, exist_ok=True)
    directory = base / f"astrbot-{VERSION}"
    with (base / f"astrbot-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be installing it just now
        if not (directory / ".complete").exists():
            _install(directory)
    return directory / "bin" / "python"


def _install(directory):
    shutil.rmtree(directory, ignore_errors=True)
    _run(_find_python(), "-m", "venv", directory)
    pip = (directory / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check")
    _run(*pip, "--quiet", f"astrbot=={VERSION}")
    (directory / ".complete").touch()


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        pytest.fail(
            f"{words[:4]} ended with {done.returncode}:\n{done.stderr[-2000:]}", pytrace=False
        )


def _find_python():
    """Return a Python that is new enough: one on the path, or any that pyenv installed."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = sorted(root.glob("versions/3.*/bin/python"))
    named = [shutil.which(name) for name in CANDIDATES]
    for candidate in [*map(str, installed), *filter(None, named)]:
        ask = "import sys; print(*sys.version_info[:2])"
        told = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        if told.returncode == 0 and tuple(map(int, told.stdout.split())) >= OLDEST:
            return candidate
    pytest.fail(NEEDED, pytrace=False)
