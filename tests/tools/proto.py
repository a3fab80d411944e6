"""Regenerate feishu_ws/wire/pbbp2_pb2.py(i) from pbbp2.proto, or into another directory."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]


def generate(target: Path) -> None:
    """Write the generated module and its type stub below `target`."""
    status = protoc.main(
        [
            "protoc",
            f"-I{ROOT}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            str(ROOT / "feishu_ws/wire/pbbp2.proto"),
        ]
    )
    if status:
        sys.exit(f"protoc ended with {status}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
