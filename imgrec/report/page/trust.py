"""Whether confidence can be believed, and what it may decide: calibration, decisions, foreign pictures."""

from typing import Any

from imgrec.report.page.blocks import Block, Facts
from imgrec.report.page.numbers import short

__all__ = ["calibration_blocks", "decisions_blocks", "ood_blocks"]


def calibration_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `calibration.json` says."""
    return [_plain(data)]


def decisions_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `decisions.json` says."""
    return [_plain(data)]


def ood_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `ood.json` says."""
    return [_plain(data)]


def _plain(data: dict[str, Any]) -> Facts:
    return Facts([(name, short(value)) for name, value in data.items() if not isinstance(value, dict | list)])
