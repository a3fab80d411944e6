"""Resolve every dependency again and write the lock file (`make lock`).

Runs pip-tools in a throw-away environment. The lock names versions and hashes
only: where packages come from is the business of whoever installs them.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = "# Every version this project is built and tested with; `make lock` writes it anew.\n"


def requirements() -> list[str]:
    """Return run-time and development requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]


def resolve(wanted: list[str], work: Path) -> str:
    """Return the resolved lock, comments removed."""
    venv.create(work / "env", with_pip=True)
    python = str(work / "env/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "pip-tools"], check=True)
    source, target = work / "all.in", work / "all.lock"
    source.write_text("\n".join(wanted))
    options = [
        "--quiet", "--strip-extras", "--generate-hashes", "--allow-unsafe", "--no-header",
        "--no-annotate", "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links",
        "--no-emit-trusted-host",
    ]  # fmt: skip
    subprocess.run(
        [python, "-m", "piptools", "compile", *options, "-o", str(target), str(source)], check=True
    )
    return re.sub(r"(?m)^\s*#.*\n", "", target.read_text()).strip() + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        Path(sys.argv[1]).write_text(HEAD + resolve(requirements(), Path(directory)))
