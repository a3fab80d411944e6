"""The consumer library: read events from the daemon's socket and settle them."""
