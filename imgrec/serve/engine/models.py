"""The models that are served, by name; each can be replaced while it serves."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgrec.deploy.bundle import Bundle, load_bundle
from imgrec.errors import ConfigError, did_you_mean
from imgrec.evaluation.decisions import Decisions
from imgrec.serve.engine.batcher import Batcher

__all__ = ["Models", "ServedModel", "load_model"]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One file, read once. A request holds on to one of these from its first byte to its response.

    spec: the preprocessing as JSON, for the decoding processes.
    reject: the reject rule that every response reports, None = none.
    """

    name: str
    bundle: Bundle
    spec: bytes
    reject: str | None
    loaded: float = field(default_factory=time.time)

    @property
    def decisions(self) -> Decisions:
        """What turns logits into predictions."""
        return self.bundle.decisions

    @property
    def sha256(self) -> str:
        """Digest of the model file, hexadecimal."""
        return self.bundle.sha256


def load_model(name: str, path: Path, *, threads: int, reject: str) -> ServedModel:
    """Read and check a bundle, and run it once. `reject`: as in `Settings`.

    Raises: BundleError: it cannot be used. ConfigError: it cannot be served, or has no such rule.
    """
    # Whoever waits leaves the processor to the decoding processes, which want the same ones.
    bundle = load_bundle(path, threads=threads, spins=False, concurrent=threads > 1)
    if bundle.info.input != "pixels":
        raise ConfigError(
            f"{path} takes images of any size (input {bundle.info.input}), which can fill the memory of a server. "
            "Export it with --input pixels."
        )
    height_width = bundle.preprocess.height_width
    if height_width is None:
        raise ConfigError(f"{path} does not say the size that it takes. Export it with a preprocess.size.")
    bundle.run(np.zeros((1, *height_width, 3), dtype=np.uint8))
    spec = json.dumps(bundle.preprocess.to_dict()).encode()
    return ServedModel(name, bundle, spec, _reject_rule(bundle.decisions, reject, path))


def _reject_rule(decisions: Decisions, reject: str, path: Path) -> str | None:
    rules = list(decisions.reject)
    if reject == "none" or (not reject and not rules):
        return None
    if not reject:
        return rules[-1]
    if reject not in rules:
        near = did_you_mean(reject, rules)
        raise ConfigError(f"{path} has no reject rule {reject!r}.{near} It has: {', '.join(rules) or 'none'}.")
    return reject


class Models:
    """What is served now. `swap` puts new models in place between two requests, all at once.

    executor: where inference runs. The others: as of `Batcher`.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        executor: Executor,
        workers: int,
        max_batch: int,
        on_batch: Callable[[int, float], None],
    ) -> None:
        self._executor = executor
        self._workers, self._max_batch, self._on_batch = workers, max_batch, on_batch
        self._served: dict[str, tuple[ServedModel, Batcher]] = {}
        self.swap(models)

    @property
    def all(self) -> list[ServedModel]:
        """The models in their order."""
        return [model for model, _ in self._served.values()]

    @property
    def waiting(self) -> int:
        """How many images wait for inference."""
        return sum(batcher.waiting for _, batcher in self._served.values())

    def get(self, name: str | None) -> tuple[ServedModel, Batcher] | None:
        """Return a model and what runs it; the first one for None."""
        if name is None:
            return next(iter(self._served.values()))
        return self._served.get(name)

    def swap(self, models: Sequence[ServedModel]) -> None:
        """Serve these from now on. Requests that have begun finish with the model that they started with."""
        self._served = {
            model.name: (
                model,
                Batcher(
                    model.bundle.run,
                    executor=self._executor,
                    workers=self._workers,
                    max_batch=self._max_batch,
                    on_batch=self._on_batch,
                ),
            )
            for model in models
        }
