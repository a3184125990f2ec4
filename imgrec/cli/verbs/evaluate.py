"""`imgrec evaluate` and `python evaluate.py`: compose the configuration and evaluate."""

from typing import Any


def evaluate(config: Any) -> dict[str, Any]:
    """Evaluate; return the metrics."""
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.evaluate_job import run_evaluation
    return run_evaluation(config)


def main() -> None:
    """Read the command line and evaluate."""
    from imgrec.cli.hydra.entry import run

    run(evaluate, config_name="evaluate")


if __name__ == "__main__":
    main()
