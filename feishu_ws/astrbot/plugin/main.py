"""The plugin itself: importing the adapter registers the platform `feishu_ws`."""

from astrbot.api.star import Star  # type: ignore[import-not-found]

from . import adapter

__all__ = ["FeishuWs", "adapter"]


class FeishuWs(Star):  # type: ignore[misc]
    """Brings the platform; has no commands of its own."""
