"""A map of one image with all that is known about its worth."""

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
from imgrec.studies.explain.methods import Heat, Method
from imgrec.studies.explain.network import FromLogits, as_predict, device_of, softmax, to_images
from imgrec.studies.explain.randomize import STAGES, randomized
from imgrec.studies.explain.similarity import rank_correlation, structural_similarity
from imgrec.studies.explain.verdict import CHANGED_BELOW, Verdict, judge

__all__ = ["NUM_RANDOMIZED", "Examination", "Examiner", "Stage"]

# Networks shuffled whole, over which the correlation is averaged: a map of 7 x 7 cells correlates by chance by 0.3.
NUM_RANDOMIZED = 3


class Stage(NamedTuple):
    """How alike the map is to that of a network shuffled down to a stage; `spearman` is None for an empty map."""

    stage: str
    spearman: float | None
    ssim: float


@dataclass(frozen=True)
class Examination:
    """One map and its checks.

    image: the image as the network sees it. probability: of the target. heat, randomized: the map, and that of the
    network shuffled whole. curves, random: of the map and of random orders. faithfulness: None for an empty map.
    stages: of the cascade, the head first; the last one is the mean over `NUM_RANDOMIZED` networks.
    """

    method: str
    image: UInt8Array
    target: int
    probability: float
    heat: Heat
    randomized: FloatArray
    curves: Curves
    random: Sequence[Curves]
    faithfulness: Faithfulness | None
    stages: Sequence[Stage]
    verdict: Verdict

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the method says about how the map was made."""
        return self.heat.facts

    @property
    def has_changed(self) -> bool:
        """Whether little of the map was left when the network was shuffled whole; an empty one cannot change."""
        return self.faithfulness is not None and (self.stages[-1].spearman or 0.0) < CHANGED_BELOW


class Examiner:
    """Makes the maps of a network and checks them.

    network: in evaluation mode, images (N, 3, H, W) of 0 to 255 to logits; not changed. methods: one map each.
    baseline: what stands for nothing, see `make_baseline`; of the maps and of the checks alike.
    num_random: random orders an image; seed: of these and of the shuffled weights. Every image is checked by itself:
    what comes out does not depend on the others.
    from_logits: how logits become probabilities: task and temperature of what is explained.
    Raises: ConfigError: a value that cannot be.
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
        """Return a map of the image (H, W, 3) for class `target` by each method, checked."""
        baseline = make_baseline(image, self.baseline)
        heats = [self._heat(method, self.network, image, baseline=baseline, target=target) for method in self.methods]
        cells = make_cells(*image.shape[:2])
        orders = [map_order(heat.values, cells, seed=self.seed) for heat in heats]
        orders += random_orders(cells, count=self.num_random, seed=self.seed)
        curves = measure_orders(
            image, orders, baseline=baseline, predict=self.predict, target=target, batch_size=self.batch_size
        )
        others = self._randomized_heats(image, baseline=baseline, target=target)
        return [
            self._examination(
                image, target, heat=heat, method=method, curves=one, random=curves[len(heats) :], others=other
            )
            for method, heat, one, other in zip(self.methods, heats, curves, others, strict=False)
        ]

    def _heat(
        self, method: Method, network: nn.Module, image: UInt8Array, *, baseline: UInt8Array, target: int
    ) -> Heat:
        return method(network, image, baseline=baseline, target=target, from_logits=self.from_logits)

    def _randomized_heats(
        self, image: UInt8Array, *, baseline: UInt8Array, target: int
    ) -> list[list[tuple[str, FloatArray]]]:
        """Return, for each method, its maps of shuffled networks with the name of the stage."""
        heats: list[list[tuple[str, FloatArray]]] = [[] for _ in self.methods]
        for stage, network in self._shuffled(image):
            for method, kept in zip(self.methods, heats, strict=True):
                kept.append((stage, self._heat(method, network, image, baseline=baseline, target=target).values))
        return heats

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
        heat: Heat,
        method: Method,
        curves: Curves,
        random: Sequence[Curves],
        others: Sequence[tuple[str, FloatArray]],
    ) -> Examination:
        is_empty = bool(np.ptp(heat.values) == 0)
        faithfulness = None if is_empty else compare(curves, random)
        stages = [_stage(name, heat.values, [values for stage, values in others if stage == name]) for name in STAGES]
        return Examination(
            method=method.name,
            image=image,
            target=target,
            probability=float(curves.deletion[0]),
            heat=heat,
            randomized=others[-1][1],
            curves=curves,
            random=random,
            faithfulness=faithfulness,
            stages=stages,
            # A shuffled network whose map is empty has another map than the original: no correlation.
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
    return Stage(name, spearman, float(np.mean([structural_similarity(values, other) for other in others])))
