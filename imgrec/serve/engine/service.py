"""The server without HTTP: limits per caller, decoding, inference, predictions."""

import asyncio
import hmac
import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.errors import ImgrecError
from imgrec.serve.access.audit_log import AuditLog
from imgrec.serve.access.budgets import DailyBudgets
from imgrec.serve.access.gate import Caller, Gate
from imgrec.serve.access.key_ring import KeyRing
from imgrec.serve.access.keys import Output
from imgrec.serve.access.throttle import Throttle
from imgrec.serve.access.tokens import TokenReader
from imgrec.serve.engine.admission import Admission
from imgrec.serve.engine.batcher import Batcher
from imgrec.serve.engine.decoder import DecodePool
from imgrec.serve.engine.metrics import Metrics
from imgrec.serve.engine.models import Models, ServedModel, load_model
from imgrec.serve.http.refusals import Refusal
from imgrec.serve.http.responses import describe
from imgrec.serve.settings import Settings

__all__ = ["Result", "Service"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Result:
    """The prediction for one image as plain data, or why there is none."""

    content: dict[str, Any] | None
    refusal: Refusal | None = None

    @property
    def outcome(self) -> str:
        """`ok`, or the code of the refusal."""
        return "ok" if self.refusal is None else self.refusal.code


class Service:
    """One server's parts, put together. `launch` starts processes, `start` waits for them, `stop` ends all.

    Raises: ImgrecError of every kind that a wrong setting causes.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = DecodePool(workers=settings.decode_workers, limits=settings.decode)
        self.keys = KeyRing(settings.keys)
        tokens = None if settings.jwt is None else TokenReader(settings.jwt)
        self.gate = Gate(self.keys, tokens)
        self.admission = Admission(
            max_images=settings.max_batch * settings.queue_batches, max_bytes=settings.max_upload_memory
        )
        self.metrics = Metrics()
        self.audit: AuditLog | None = None
        self.is_ready = False
        self.is_stopping = False
        self._rates = Throttle()
        self._budgets: DailyBudgets | None = None
        self._salt = secrets.token_bytes(32)  # in memory alone: hashes of two runs cannot be compared
        self._inference_threads = ThreadPoolExecutor(settings.threads, "inference")
        self._side_thread = ThreadPoolExecutor(1, "side")
        self._models: Models | None = None
        self._reloading = asyncio.Lock()
        self._explaining = asyncio.Lock()

    @property
    def models(self) -> Models:
        """The models; only after `load`."""
        assert self._models is not None
        return self._models

    # From start to stop

    def launch(self) -> None:
        """Start the decoding processes and do not wait for them."""
        self.pool.launch()

    def load(self) -> None:
        """Read all models, and open the audit log. Raises: ImgrecError."""
        settings = self.settings
        if settings.audit_log is not None:
            self.audit = AuditLog(settings.audit_log)
        self._models = Models(
            self._read_models(),
            executor=self._inference_threads,
            workers=settings.threads,
            max_batch=settings.max_batch,
            on_batch=self._note_batch,
        )
        self.metrics.watch("waiting_images", "Images that wait for inference.", lambda: self.models.waiting)
        self.metrics.watch("images_in_progress", "Images being worked on.", lambda: self.admission.images)
        self.metrics.watch("decoder_restarts", "Decoding processes lost.", lambda: self.pool.restarts)

    async def start(self) -> None:
        """Wait for the decoding processes. Raises: ImgrecError: one cannot start."""
        await self.pool.connect()
        self.is_ready = True

    async def stop(self) -> None:
        """End what was started. Requests have been answered by now."""
        self.is_ready, self.is_stopping = False, True
        await self.pool.close()
        self._inference_threads.shutdown()
        self._side_thread.shutdown()
        if self.audit is not None:
            self.audit.close()
        if self._budgets is not None:
            self._budgets.close()

    async def reload(self) -> bool:
        """Read all model files again and serve what is new; on any error everything stays as it was."""
        async with self._reloading:
            try:
                models = await self._aside(self._read_models)
            except ImgrecError as error:
                sys.stderr.write(f"imgrec: nothing was reloaded: {error}\n")
                self.metrics.note_reload(is_ok=False)
                return False
            self.models.swap(models)
            self.metrics.note_reload(is_ok=True)
            named = ", ".join(f"{model.name} {model.sha256[:12]}" for model in models)
            sys.stderr.write(f"imgrec: reloaded: {named}\n")
            return True

    def _read_models(self) -> list[ServedModel]:
        settings = self.settings
        return [
            load_model(name, path, threads=settings.threads, reject=settings.reject) for name, path in settings.models
        ]

    # One request

    def check_rate(self, caller: Caller) -> None:
        """Count a request of a caller. Raises: Refusal `rate_limited`."""
        if caller.rate is None:
            return
        count, seconds = caller.rate
        wait = self._rates.take(caller.id, count=count, seconds=seconds)
        if wait:
            raise Refusal("rate_limited", retry_after_s=wait)

    def charge(self, caller: Caller, images: int) -> None:
        """Take images from a caller's daily number. Raises: Refusal `budget_used_up`."""
        if caller.daily is None:
            return
        if self._budgets is None:
            self._budgets = DailyBudgets(self.settings.budgets)
        wait = self._budgets.take(caller.id, images, daily=caller.daily)
        if wait:
            raise Refusal("budget_used_up", retry_after_s=wait)

    def model_for(self, caller: Caller, name: str | None) -> tuple[ServedModel, Batcher]:
        """Return a model that the caller may use; without a name the first. Raises: Refusal `unknown_model`."""
        if name is None:
            name = next((model.name for model in self.models.all if caller.may_use(model.name)), "")
        found = self.models.get(name) if caller.may_use(name) else None
        if found is None:
            raise Refusal("unknown_model")
        return found

    def input_hash(self, data: bytes) -> str:
        """Return what stands for an image in the audit log: nobody can tell from it which image it was."""
        return hmac.new(self._salt, data, sha256).hexdigest()

    async def predict(
        self, model: ServedModel, batcher: Batcher, images: Sequence[bytes], *, caller: Caller, output: Output
    ) -> list[Result]:
        """Return one result for each image file; a bad file does not affect the others.

        Raises: Refusal `budget_used_up`.
        """
        self.charge(caller, len(images))

        async def one(data: bytes) -> Result:
            try:
                logits = await batcher.submit(await self.pool.decode(data, model.spec))
            except Refusal as refusal:
                return Result(None, refusal)
            (content,) = describe(logits[None], model.decisions, output=output, reject=model.reject)
            return Result(content)

        results = await asyncio.gather(*map(one, images)) if len(images) > 1 else [await one(images[0])]
        for result in results:
            self.metrics.note_image(result.outcome)
        return results

    async def explain(
        self,
        model: ServedModel,
        data: bytes,
        make: Callable[[UInt8Array, Callable[[UInt8Array], NDArray[np.floating]]], dict[str, Any]],
        *,
        caller: Caller,
    ) -> dict[str, Any]:
        """Return `make(image, run)` for an image file; one at a time, beside the predictions.

        run: images -> logits, batch by batch in turn with everybody else's. Raises: Refusal, `busy` among them.
        """
        if self._explaining.locked():
            raise Refusal("busy", retry_after_s=2)
        self.charge(caller, 1)
        async with self._explaining:
            image = await self.pool.decode(data, model.spec)

            def run(images: UInt8Array) -> NDArray[np.floating]:
                return self._inference_threads.submit(model.bundle.run, images).result()

            return await self._aside(lambda: make(image, run))

    async def _aside(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._side_thread, work)

    def _note_batch(self, images: int, seconds: float) -> None:
        self.metrics.note_batch(images, seconds)
        self.admission.note_batch(images, seconds / self.settings.threads)  # as many run side by side
