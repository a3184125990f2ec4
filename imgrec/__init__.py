"""imgrec: from a folder of images to an image classifier that you can trust and ship."""

import os

# albumentations asks the network for a newer release when it is imported; imgrec never does that behind your back.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
