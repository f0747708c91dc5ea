"""Fixtures of the engine tests."""

from tests.support.alert_engine import engine, feed, settings

__all__ = ["engine", "feed", "settings"]
