"""Penstock: every answer is a stream, and a stream is a log."""

__version__ = "0.1.0"
