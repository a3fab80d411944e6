"""The generated module is what the compiler makes of pbbp2.proto."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["pbbp2_pb2.py", "pbbp2_pb2.pyi"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("proto", ROOT / "tests/tools/proto.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    target = tmp_path_factory.mktemp("generated")
    tool.generate(target)
    return target / "feishu_ws/wire"


@pytest.mark.parametrize("name", NAMES)
def test_checked_in_code_is_current(generated, name):
    """Generating again changes nothing."""
    assert (generated / name).read_text() == (ROOT / "feishu_ws/wire" / name).read_text()
