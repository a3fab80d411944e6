"""Keep a Feishu (Lark) long connection alive and lose nothing."""

__version__ = "0.1.0"
