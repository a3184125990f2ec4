"""Files that `imgrec export` wrote before the modules moved still open, and give the same logits."""

import json
from pathlib import Path

import numpy as np
import pytest

import imgrec
from imgrec.data.images.lazy_image import image_from_bytes
from imgrec.deploy.predict.open_model import open_model
from project import PROJECT

BEFORE = PROJECT / "tests" / "fixtures" / "before_layout"
EXPECTED = json.loads((BEFORE / "expected.json").read_text())


@pytest.mark.parametrize("name", ["model.onnx", "model_image.onnx", "model.pt2", "model.safetensors", "best.ckpt"])
def test_logits_are_those_of_before(name):
    model = open_model(BEFORE / name)
    logits = [
        model.run([model.prepare(image_from_bytes((BEFORE / path).read_bytes(), name=path))])[0]
        for path in EXPECTED["logits_of_best_ckpt"]
    ]
    np.testing.assert_allclose(logits, list(EXPECTED["logits_of_best_ckpt"].values()), atol=1e-5)
    assert list(model.class_names) == EXPECTED["class_names"]
    assert model.decisions.temperature == pytest.approx(EXPECTED["temperature"])


def test_predictions_are_those_of_the_older_table():
    older = [json.loads(line) for line in (BEFORE / "predict.jsonl").read_text().splitlines()]
    model = imgrec.load(BEFORE / "model.onnx")
    for row, prediction in zip(older, model.predict([BEFORE / row["path"] for row in older]), strict=True):
        assert prediction.prediction == row["label"]
        assert prediction.confidence == pytest.approx(row["probability"], abs=1e-5)
        assert prediction.prediction_sets["lac_90"] == row["set:lac_90"]
        assert Path(prediction.path) == BEFORE / row["path"]
