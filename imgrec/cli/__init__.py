"""The command line: `imgrec <verb>`. One verb is one file; each imports what it needs when it runs."""

from imgrec.cli.app import main

__all__ = ["main"]
