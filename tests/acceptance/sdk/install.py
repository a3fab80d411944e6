"""The Node SDK, installed once per version of package-lock.json into the user's cache."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WANTED = ("package.json", "package-lock.json")
INSTALL_S = 120
NEEDED = "the Node SDK needs Node.js 18 or later and npm; on Debian: apt install nodejs npm"


def node():
    """Return the path of node; the test fails without."""
    return _need("node")


def node_sdk():
    """Return a directory with `node_modules` as package-lock.json has them."""
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in WANTED)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feishu-ws-tests"
    directory = cache / f"node-sdk-{digest[:16]}"
    if not directory.exists():
        unfinished = cache / f"{directory.name}.{os.getpid()}"
        unfinished.mkdir(parents=True)
        for name in WANTED:
            shutil.copy(HERE / name, unfinished)
        _npm_ci(unfinished)
        try:
            unfinished.rename(directory)  # whole or not at all, also beside another run
        except OSError:
            shutil.rmtree(unfinished)
    return directory


def _npm_ci(directory):
    words = [_need("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        words, cwd=directory, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode:
        shutil.rmtree(directory)
        pytest.fail(f"npm ci ended with {done.returncode}:\n{done.stderr[-2000:]}", pytrace=False)


def _need(program):
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is not there: {NEEDED}", pytrace=False)
    return found
