"""What `feishu-ws doctor` looks at: one file per kind of step, probing apart from judging."""
