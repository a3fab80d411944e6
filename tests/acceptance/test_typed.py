"""Events as models of the installed lark-oapi."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = Path(__file__).parent / "typed_process.py"
IMPORT_S = 120  # 5 to 14 s on an idle machine


@pytest.fixture(scope="module")
def found():
    """What a process with lark-oapi says."""
    done = subprocess.run(
        [sys.executable, str(PROCESS)], capture_output=True, text=True, timeout=IMPORT_S, check=True
    )
    return json.loads(done.stdout)


def test_every_type_that_lark_oapi_registers_has_its_model(found):
    """All of them, found without a table; importing the client imports nothing of it."""
    customized = {"register_p1_customized_event", "register_p2_customized_event"}
    print(f"\n{len(found['models'])} models of lark-oapi {found['version']}")

    assert found["imported_before"] == []
    assert len(found["models"]) == len(set(found["registers"]) - customized) >= 183
    assert found["wrong"] == []


def test_a_model_is_what_the_dispatcher_gives_a_handler(found):
    """For every sample that has a model: the same class with the same content."""
    assert found["differ"] == []
    assert len(found["compared"]) > 30
    assert (found["message"], found["card"]) == ("P2ImMessageReceiveV1", "P2CardActionTrigger")


def test_what_has_no_model_is_none(found):
    """An unknown type, and schema 1.0, of which lark-oapi has no models."""
    assert (found["unknown"], found["old"]) == (None, None)
