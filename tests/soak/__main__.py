"""Runs the parts by hand: `PYTHONPATH=tests python -m soak [--share 0.01] [PART[=N] ...]`."""

import argparse
import asyncio
import time

from soak.parts import PARTS


def main():
    """Run what was asked for, everything by default; the first failure ends it."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART[=N]")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual numbers")
    asked = parser.parse_args()
    for word in asked.parts:
        name, _, number = word.partition("=")
        part, usual = PARTS[name]
        count = int(number) if number else max(round(usual * asked.share), 1)
        began = time.monotonic()
        figures = asyncio.run(part(count))
        print(f"{name} {count:,} in {time.monotonic() - began:.0f} s: {figures}", flush=True)


if __name__ == "__main__":
    main()
