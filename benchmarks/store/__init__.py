"""Bytes per event of a store with ten million events, and how long analysts' queries take there."""
