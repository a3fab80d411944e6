"""Telemetry runs on whatever loop the daemon has: uvloop where it installs, else asyncio's."""

import asyncio
import importlib.util


def pytest_asyncio_loop_factories(config, item):
    factories = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
