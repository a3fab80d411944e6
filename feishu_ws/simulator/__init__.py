"""A Feishu that misbehaves on request; used by the demo, the tests and users."""
