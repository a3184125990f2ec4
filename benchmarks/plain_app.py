"""A model served by FastAPI as in most tutorials: one request, one decoded image, one forward pass.

Written in two ways, both with Pillow and onnxruntime in one process with default options: `/async`, where everything
runs on the event loop, as in most tutorials; and `/sync`, where decoding and inference run in threads, as FastAPI does
for a plain `def`. Nothing is tuned and nothing is handicapped: the same `Preprocess` as imgrec serve, uvicorn's default
loop, no access log.

    python benchmarks/plain_app.py MODEL PORT
"""

import sys
from io import BytesIO

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from imgrec.data.images.preprocess import Preprocess

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
preprocess = Preprocess(size=224)
app = FastAPI()


def classify(data: bytes) -> dict[str, object]:
    image = preprocess(np.array(Image.open(BytesIO(data)).convert("RGB")))
    logits = session.run(None, {"images": image[None]})[0][0]
    powers = np.exp(logits - logits.max())
    return {"label": int(logits.argmax()), "probabilities": (powers / powers.sum()).tolist()}


@app.post("/async")
async def on_the_loop(request: Request) -> dict[str, object]:
    return classify(await request.body())


@app.post("/sync")
async def in_threads(request: Request) -> dict[str, object]:
    return await run_in_threadpool(classify, await request.body())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
