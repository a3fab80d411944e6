"""A Feishu of our own for SDKs on this machine: discovery, WebSocket, the way to the API."""
