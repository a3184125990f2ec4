"""The lines of JavaScript in docs/export.md, run as they stand there by Node.js, where it and onnxruntime-node are.

NODE_PATH is the folder of Node.js packages: `npm install --prefix FOLDER onnxruntime-node`, then
NODE_PATH=FOLDER/node_modules.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exported import PREPROCESS, bundle_bytes, graph, sample_images
from imgrec.deploy.bundle import bundle_from_bytes
from imgrec.deploy.export.image_stage import add_image_stage
from project import PROJECT

PROGRAM = """
const ort = require("onnxruntime-node");
const fs = require("node:fs");
const [width, height] = process.argv.slice(3).map(Number);
const canvas = {width, height};
const context = {getImageData: () => ({data: fs.readFileSync(process.argv[2]), width, height})};
(async () => {
LINES
process.stdout.write(JSON.stringify([...logits.data]));
})();
"""


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None or subprocess.run([found, "-e", "require('onnxruntime-node')"], capture_output=True).returncode:
        pytest.skip("Node.js or its package onnxruntime-node is not here")
    return found


def test_the_lines_of_the_document_give_the_logits_that_python_gives(node: str, tmp_path: Path):
    text = (PROJECT / "docs" / "export.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```javascript\n(.*?)```", text, re.DOTALL)
    (tmp_path / "program.js").write_text(PROGRAM.replace("LINES", lines))
    model = graph()
    add_image_stage(model, PREPROCESS)
    data = bundle_bytes(model, input="image")
    (tmp_path / "model.onnx").write_bytes(data)
    bundle = bundle_from_bytes(data, name="model.onnx", threads=1)
    for image in sample_images(4, size=61).images:
        opaque = np.full(image.shape[:2], 255, dtype=np.uint8)
        np.dstack([image, opaque]).tofile(tmp_path / "canvas.bin")
        arguments = [node, "program.js", "canvas.bin", str(image.shape[1]), str(image.shape[0])]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=True)
        assert np.abs(np.array(json.loads(done.stdout)) - bundle.run([image])[0]).max() < 1e-5
