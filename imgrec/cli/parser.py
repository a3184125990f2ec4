"""The argument parser of verbs, whose errors are ConfigErrors."""

import argparse
from typing import Any, NoReturn

from imgrec.errors import ConfigError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises ConfigError, without abbreviations of options.

    An abbreviation that is unique today may be ambiguous in the next version. Line breaks of description and epilog
    are kept.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise the message of argparse as a ConfigError."""
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. {self.prog} --help lists the arguments.")
