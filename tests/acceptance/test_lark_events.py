"""The table of lark-oapi's events that the quick tests read is that of the installed one."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[1] / "tools" / "lark_events.py"
TABLE = Path(__file__).resolve().parents[1] / "events" / "lark_events.json"


def test_the_table_is_up_to_date(tmp_path):
    """A newer lark-oapi may know more events: `python tests/tools/lark_events.py` writes them."""
    made = tmp_path / "events.json"

    subprocess.run([sys.executable, TOOL, made], check=True, timeout=60)

    assert made.read_text() == TABLE.read_text()
