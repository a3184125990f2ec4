"""imgrec: from a folder of images to an image classifier that you can trust and ship.

    model = imgrec.load("best.ckpt")
    model.predict("photo.jpg").prediction

Names are imported when they are first used: `import imgrec` loads no torch. `docs/python.md` shows each of them.
"""

import os

import lazy_loader

# albumentations looks online for a newer release when it is imported; imgrec does nothing online unless asked to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"

_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Import a public name, the heavy libraries behind it without what they load for nothing."""
    if name in _NEED_LIGHTNING:
        from imgrec.core.system.lean_imports import lean_imports

        with lean_imports():
            return _attribute(name)
    return _attribute(name)


_NEED_LIGHTNING = frozenset({"train", "evaluate", "TrainingRun"})
