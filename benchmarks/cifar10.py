"""The test set of CIFAR-10 and published weights, for benchmarks. Both lie in $IMGREC_DATA, or ../shared/data."""

import os
from dataclasses import replace
from pathlib import Path

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import FolderData
from imgrec.studies.robustness.subsample import stratified_sample

DATA = Path(os.environ.get("IMGREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "akamaster_resnet20-12fca82f.th"


def test_images(count: int) -> FolderData:
    """Return `count` images of the test set, the classes in proportion."""
    data = FolderData(
        test=str(DATA / "cifar10" / "test"), preprocess=Preprocess(size=32, mode="none"), eval_batch_size=250
    )
    split = data.split("test")
    data._splits = replace(data.splits, test=split.subset(stratified_sample(split.labels, count, seed=1)))
    return data
