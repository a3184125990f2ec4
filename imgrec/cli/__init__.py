"""The command line: `imgrec VERB`. A verb is a module, which imports what it needs when it runs."""

from imgrec.cli.app import main

__all__ = ["main"]
