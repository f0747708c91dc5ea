"""The metrics worker: events to windows, raw rows, spend and loss accounting."""
