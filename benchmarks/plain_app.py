"""What serving a model with FastAPI looks like in most tutorials: one request, one decode, one run of the network.

Two ways of writing it, both with Pillow and onnxruntime as they come, one process and all of its options at their
defaults: `/async`, where everything is done on the event loop (the way of most tutorials), and `/sync`, where decoding
and network run in threads (the way of those who read on: FastAPI does that for a plain `def`). Nothing is tuned and
nothing is held back: the same `Preprocess` as imgrec serve, uvicorn's own choice of loop, no log of requests.

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


def answer(data: bytes) -> dict[str, object]:
    image = preprocess(np.array(Image.open(BytesIO(data)).convert("RGB")))
    logits = session.run(None, {"images": image[None]})[0][0]
    powers = np.exp(logits - logits.max())
    return {"label": int(logits.argmax()), "probabilities": (powers / powers.sum()).tolist()}


@app.post("/async")
async def on_the_loop(request: Request) -> dict[str, object]:
    return answer(await request.body())


@app.post("/sync")
async def in_threads(request: Request) -> dict[str, object]:
    return await run_in_threadpool(answer, await request.body())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
