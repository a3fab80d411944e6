"""`feishu-ws run`: the daemon, in the foreground."""

import argparse
import os

from feishu_ws.config import load
from feishu_ws.daemon import main


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it; return the exit code.

    Raises:
        FeishuWsError: What kept it from starting, or made it give up.
    """
    return main(load(args.config, os.environ))
