"""The guard against formula injection in CSV files that a spreadsheet may open."""

__all__ = ["guarded", "is_formula"]

_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"


def guarded(text: str) -> str:
    """Return the text of a cell, with an apostrophe in front where a spreadsheet could evaluate it."""
    return f"'{text}" if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet could evaluate a cell as a formula; a plain number such as "-1.5" is none."""
    if not text.startswith(_STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
