"""What we say to Feishu: tokens, limits, sends, and any other call of its REST API."""
