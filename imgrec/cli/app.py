"""`imgrec`: finds the verb and hands over."""

import sys
from importlib import import_module
from pathlib import Path

from imgrec import __version__
from imgrec.cli.failure import report
from imgrec.errors import ConfigError, ImgrecError, did_you_mean

__all__ = ["VERBS", "main"]

# verb -> (module with `main`, what it does)
VERBS = {
    "train": ("imgrec.cli.verbs.train", "train a classifier, and test it"),
    "evaluate": ("imgrec.cli.verbs.evaluate", "score a checkpoint, or a model with weights, on any data"),
    "compare": ("imgrec.cli.verbs.compare", "tell whether one run is better than another on the same images"),
    "report": ("imgrec.cli.verbs.report", "build the page of an evaluation or a sweep again"),
    "audit": ("imgrec.cli.verbs.audit", "look for broken files, duplicates, leaks and wrong labels before training"),
    "split": ("imgrec.cli.verbs.split", "divide data into train, val and test, or folds, without leaks"),
    "baselines": ("imgrec.cli.verbs.baselines", "what classical machine learning reaches on the same images"),
    "explain": ("imgrec.cli.verbs.explain", "show where a network looked, and whether that can be trusted"),
    "prepare": ("imgrec.cli.verbs.prepare", "decode images once, to train many times faster"),
    "export": (
        "imgrec.cli.verbs.export",
        "a checkpoint as one ONNX file, checked against the checkpoint on real images",
    ),
    "predict": ("imgrec.cli.verbs.predict", "what a model says of images, videos, archives or a camera, as a table"),
    "benchmark": ("imgrec.cli.verbs.benchmark", "latency and throughput of models on this machine, side by side"),
    "serve": ("imgrec.cli.verbs.serve", "answer images over HTTP with exported models"),
    "keys": ("imgrec.cli.verbs.keys", "make, list and revoke the keys of a server; check its audit log"),
}


def main() -> None:
    """Run `imgrec <verb> ...`; ends the process with 0, or with the code of the error."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage())
    elif arguments[0] == "--version":
        sys.stdout.write(f"imgrec {__version__}\n")
    else:
        try:
            run_verb(arguments[0], arguments[1:])
        except ImgrecError as error:
            raise SystemExit(report(error)) from None


def usage() -> str:
    """Return what `imgrec --help` prints."""
    width = max(len(verb) for verb in VERBS)
    verbs = "\n".join(f"  {verb:{width}}  {help_text}" for verb, (_, help_text) in VERBS.items())
    return (
        "imgrec: from a folder of images to an image classifier.\n\n"
        f"Usage: imgrec VERB ...\n\nVerbs:\n{verbs}\n\n"
        "imgrec VERB --help lists what a verb takes. imgrec --version prints the version.\n"
    )


def run_verb(verb: str, arguments: list[str]) -> None:
    """Run `main` of the verb's file. Raises: ConfigError: there is no such verb."""
    if verb not in VERBS:
        raise ConfigError(f"There is no verb {verb!r}.{did_you_mean(verb, VERBS)} Verbs: {', '.join(VERBS)}.")
    module = import_module(VERBS[verb][0])
    # Lightning starts the other processes of a run, and a sweep its jobs, with `python sys.argv[0] sys.argv[1:]`. That
    # must be a file that trains, so it is the verb's own, not the console script, which would look for a verb again.
    assert module.__file__ is not None
    sys.argv = [str(Path(module.__file__).resolve()), *arguments]
    module.main()
