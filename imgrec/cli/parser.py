"""The parser of a verb's words: its errors read as all others do."""

import argparse
from typing import Any, NoReturn

from imgrec.errors import ConfigError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong is raised as a ConfigError, and options are written in full.

    An abbreviation that is one option's today may be two options' in the next version. Line breaks of the description
    and of the epilog are kept.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words. Raises: ConfigError: always."""
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. {self.prog} --help lists what there is.")
