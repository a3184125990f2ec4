"""Saliency maps of one image with the checks of their faithfulness."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from imgrec.core.config.checks import check_choice, check_count
from imgrec.studies.explain.arrays import FloatArray, UInt8Array
from imgrec.studies.explain.baseline import BASELINES, make_baseline
from imgrec.studies.explain.cells import make_cells
from imgrec.studies.explain.faithfulness import Curves, Faithfulness, compare, map_order, measure_orders, random_orders
from imgrec.studies.explain.methods import Method, SaliencyMap
from imgrec.studies.explain.network import FromLogits, as_predict, device_of, softmax, to_images
from imgrec.studies.explain.randomize import STAGES, randomized
from imgrec.studies.explain.similarity import rank_correlation
from imgrec.studies.explain.verdict import CHANGED_BELOW, Verdict, judge

__all__ = ["NUM_RANDOMIZED", "Examination", "Examiner", "Stage"]

# Fully shuffled networks, over which the correlation is averaged: maps of 7 x 7 cells correlate by 0.3 by chance.
NUM_RANDOMIZED = 3


class Stage(NamedTuple):
    """Similarity of the map to that of a network shuffled down to a stage; `spearman` is None for a constant map."""

    stage: str
    spearman: float | None


@dataclass(frozen=True)
class Examination:
    """A saliency map and its checks.

    Attributes:
        method: Name of the method.
        image: uint8 (H, W, 3), preprocessed.
        target: Index of the explained class.
        probability: Of the target.
        saliency: The map.
        randomized: (H, W), the map of the fully shuffled network.
        curves: Deletion and insertion curves of the map.
        random: The same of random orders.
        faithfulness: None for a constant map.
        stages: Similarity to the maps of shuffled networks, the head first; the last is the mean over
            `NUM_RANDOMIZED` networks.
        verdict: What the checks amount to.
    """

    method: str
    image: UInt8Array
    target: int
    probability: float
    saliency: SaliencyMap
    randomized: FloatArray
    curves: Curves
    random: Sequence[Curves]
    faithfulness: Faithfulness | None
    stages: Sequence[Stage]
    verdict: Verdict

    def __repr__(self) -> str:
        return f"Examination({self.method}, target={self.target}, verdict={self.verdict.grade!r})"

    @property
    def facts(self) -> Mapping[str, Any]:
        """How the map was made."""
        return self.saliency.facts

    @property
    def has_changed(self) -> bool:
        """Whether the map changed when all weights were shuffled; a constant map cannot."""
        return self.faithfulness is not None and (self.stages[-1].spearman or 0.0) < CHANGED_BELOW


class Examiner:
    """Makes saliency maps and checks them, each image independently of the others.

    Args:
        network: In evaluation mode, images (N, 3, H, W) of 0 to 255 to logits; not changed.
        methods: One map each.
        baseline: Kind of uninformative image, of the maps and of the checks; see `make_baseline`.
        num_random: Random orders per image that deletion and insertion are compared with.
        seed: Of the random orders and of the shuffled weights.
        from_logits: Logits to probabilities, with the task and temperature of the model.
        batch_size: Masked images per forward pass.

    Raises:
        ConfigError: A value out of range.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        methods: Sequence[Method],
        baseline: str = "blurred",
        num_random: int = 9,
        seed: int = 1,
        from_logits: FromLogits = softmax,
        batch_size: int = 32,
    ) -> None:
        check_choice("explain.baseline", baseline, BASELINES)
        check_count("explain.num_random", num_random, at_least=1)
        check_count("explain.batch_size", batch_size, at_least=1)
        self.network = network
        self.methods = methods
        self.baseline = baseline
        self.num_random = num_random
        self.seed = seed
        self.batch_size = batch_size
        self.from_logits = from_logits
        self.predict = as_predict(network, from_logits=from_logits)

    def __call__(self, image: UInt8Array, *, target: int) -> list[Examination]:
        """Return a checked map of the image (H, W, 3) for class `target` by each method."""
        baseline = make_baseline(image, self.baseline)
        maps = [self._map(method, self.network, image, baseline=baseline, target=target) for method in self.methods]
        cells = make_cells(*image.shape[:2])
        orders = [map_order(saliency.values, cells, seed=self.seed) for saliency in maps]
        orders += random_orders(cells, count=self.num_random, seed=self.seed)
        curves = measure_orders(
            image, orders, baseline=baseline, predict=self.predict, target=target, batch_size=self.batch_size
        )
        others = self._randomized_maps(image, baseline=baseline, target=target)
        return [
            self._examination(
                image, target, saliency=saliency, method=method, curves=one, random=curves[len(maps) :], others=other
            )
            for method, saliency, one, other in zip(self.methods, maps, curves, others, strict=False)
        ]

    def _map(
        self, method: Method, network: nn.Module, image: UInt8Array, *, baseline: UInt8Array, target: int
    ) -> SaliencyMap:
        return method(network, image, baseline=baseline, target=target, from_logits=self.from_logits)

    def _randomized_maps(
        self, image: UInt8Array, *, baseline: UInt8Array, target: int
    ) -> list[list[tuple[str, FloatArray]]]:
        """Return for each method its maps of shuffled networks, with the names of the stages."""
        maps: list[list[tuple[str, FloatArray]]] = [[] for _ in self.methods]
        for stage, network in self._shuffled(image):
            for method, kept in zip(self.methods, maps, strict=True):
                kept.append((stage, self._map(method, network, image, baseline=baseline, target=target).values))
        return maps

    def _shuffled(self, image: UInt8Array) -> Iterator[tuple[str, nn.Module]]:
        images = to_images(image[None], device_of(self.network))
        for stage in STAGES:
            for seed in range(self.seed, self.seed + (NUM_RANDOMIZED if stage == STAGES[-1] else 1)):
                yield stage, randomized(self.network, stage, seed=seed, images=images)

    def _examination(
        self,
        image: UInt8Array,
        target: int,
        *,
        saliency: SaliencyMap,
        method: Method,
        curves: Curves,
        random: Sequence[Curves],
        others: Sequence[tuple[str, FloatArray]],
    ) -> Examination:
        is_empty = bool(np.ptp(saliency.values) == 0)
        faithfulness = None if is_empty else compare(curves, random)
        stages = [
            _stage(name, saliency.values, [values for stage, values in others if stage == name]) for name in STAGES
        ]
        return Examination(
            method=method.name,
            image=image,
            target=target,
            probability=float(curves.deletion[0]),
            saliency=saliency,
            randomized=others[-1][1],
            curves=curves,
            random=random,
            faithfulness=faithfulness,
            stages=stages,
            # A constant map of a shuffled network differs from the original: no correlation.
            verdict=judge(
                faithfulness,
                correlation=stages[-1].spearman or 0.0,
                num_random=self.num_random,
                whole=float(curves.deletion[0]),
                nothing=float(curves.deletion[-1]),
            ),
        )


def _stage(name: str, values: FloatArray, others: Sequence[FloatArray]) -> Stage:
    correlations = [rank_correlation(values, other) for other in others]
    known = [value for value in correlations if value is not None]
    spearman = sum(known) / len(correlations) if known else None
    return Stage(name, spearman)
