"""The links to Feishu: discovery, connection, supervision, fleet."""
