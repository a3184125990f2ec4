"""`imgrec train` and `python train.py`: compose the configuration and train by it."""

from collections.abc import Mapping
from typing import Any


def train(config: Any) -> Mapping[str, Any]:
    """Train and test as `config` says; return what it came to."""
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.train_job import train as train_by
    return train_by(config)


def main() -> None:
    """Read the command line and train."""
    from imgrec.cli.hydra.entry import run

    run(train, config_name="train")


if __name__ == "__main__":
    main()
