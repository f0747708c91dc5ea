"""Rebuilding windows of whole hours from the raw rows under a new revision, beside live traffic."""
