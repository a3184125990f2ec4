"""The model of serve_load.py served by LitServe with batches, as its documentation recommends. Needs litserve.

python benchmarks/litserve_app.py MODEL PORT
"""

import sys
from io import BytesIO

import litserve
import numpy as np
import onnxruntime
from fastapi import UploadFile
from PIL import Image

from imgrec.data.images.preprocess import Preprocess


class Classify(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        self.preprocess = Preprocess(size=224)

    def decode_request(self, request: UploadFile) -> np.ndarray:
        return self.preprocess(np.array(Image.open(BytesIO(request.file.read())).convert("RGB")))

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"images": images})[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, object]:
        powers = np.exp(output - output.max())
        return {"label": int(output.argmax()), "probabilities": (powers / powers.sum()).tolist()}


if __name__ == "__main__":
    api = Classify(max_batch_size=16, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
