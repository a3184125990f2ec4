"""`imgrec train` and `python train.py`: compose the configuration and train."""

from collections.abc import Mapping
from typing import Any


def train(config: Any) -> Mapping[str, Any]:
    """Train and evaluate; return the contents of `result.json`."""
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.train_job import run_training
    return run_training(config)


def main() -> None:
    """Read the command line and train."""
    from imgrec.cli.hydra.entry import run

    run(train, config_name="train")


if __name__ == "__main__":
    main()
