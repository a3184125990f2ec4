"""Where the project lies."""

from pathlib import Path

__all__ = ["CONF", "PROJECT"]

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"
