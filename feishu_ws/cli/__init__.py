"""The commands. One file per command; the only place that exits."""
