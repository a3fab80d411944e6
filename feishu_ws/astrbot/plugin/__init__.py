"""Feishu through the feishu-ws daemon, for AstrBot."""
