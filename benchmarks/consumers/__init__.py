"""The ways to consume the same topic, each a process of its own that prints what it did."""
