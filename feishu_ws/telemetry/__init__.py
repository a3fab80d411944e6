"""Logs, metrics, health and the service manager. Watches, and never steers."""
