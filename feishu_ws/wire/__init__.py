"""pbbp2 frames, reassembly, session and the native socket's lines. Pure: no I/O, no clock."""
