"""The AstrBot plugin: package data that `feishu-ws astrbot install` copies into AstrBot.

Below `plugin/` nothing imports `feishu_ws` or anything that AstrBot does not bring along:
it runs in AstrBot's Python, where neither this package nor msgspec is installed, and a
plugin that names requirements has AstrBot run pip. Hence its own small client.
"""
