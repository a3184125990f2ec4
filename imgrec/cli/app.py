"""`imgrec`: the table of verbs, and the entry that runs one of them."""

import sys
from importlib import import_module
from pathlib import Path

from imgrec import __version__
from imgrec.cli.failure import report
from imgrec.errors import ConfigError, ImgrecError, did_you_mean

__all__ = ["VERBS", "main"]

# verb -> (module with `main`, help)
VERBS = {
    "train": ("imgrec.cli.verbs.train", "train a classifier, and evaluate it"),
    "evaluate": ("imgrec.cli.verbs.evaluate", "evaluate a checkpoint, or a model with weights, on any data"),
    "compare": ("imgrec.cli.verbs.compare", "compare runs on the same images, with intervals and tests"),
    "report": ("imgrec.cli.verbs.report", "build the report of an evaluation or a sweep again"),
    "audit": ("imgrec.cli.verbs.audit", "find broken files, duplicates, leaks and label errors before training"),
    "split": ("imgrec.cli.verbs.split", "split data into train, val and test, or folds, without leaks"),
    "baselines": ("imgrec.cli.verbs.baselines", "evaluate classical machine learning on the same images"),
    "explain": ("imgrec.cli.verbs.explain", "saliency maps, with checks of their faithfulness"),
    "prepare": ("imgrec.cli.verbs.prepare", "decode images once, for faster training"),
    "export": (
        "imgrec.cli.verbs.export",
        "export a checkpoint as an ONNX file, checked against the checkpoint on real images",
    ),
    "predict": ("imgrec.cli.verbs.predict", "predictions for images, videos, archives or a camera, as a table"),
    "benchmark": ("imgrec.cli.verbs.benchmark", "measure latency and throughput of models on this machine"),
    "serve": ("imgrec.cli.verbs.serve", "serve exported models over HTTP"),
    "keys": ("imgrec.cli.verbs.keys", "create, list and revoke the keys of a server; check its audit log"),
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
        "imgrec VERB --help lists the arguments of a verb. imgrec --version prints the version.\n"
    )


def run_verb(verb: str, arguments: list[str]) -> None:
    """Run `main` of the module of a verb.

    Raises:
        ConfigError: There is no such verb.
    """
    if verb not in VERBS:
        raise ConfigError(f"There is no verb {verb!r}.{did_you_mean(verb, VERBS)} Verbs: {', '.join(VERBS)}.")
    module = import_module(VERBS[verb][0])
    # Lightning starts the other processes of a run, and a sweep its jobs, with `python sys.argv[0] sys.argv[1:]`. So
    # argv[0] is the file of the verb, not the console script, for which argv[1] is a verb.
    assert module.__file__ is not None
    sys.argv = [str(Path(module.__file__).resolve()), *arguments]
    module.main()
