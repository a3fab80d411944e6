"""`python -m feishu_ws` is `feishu-ws`."""

from feishu_ws.cli.main import main

main()
