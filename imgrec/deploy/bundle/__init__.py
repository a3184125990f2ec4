"""Bundles (exported model.onnx): read and run with onnxruntime; no torch, Lightning or Hydra."""

from imgrec.deploy.bundle.bundle import Bundle, bundle_from_bytes, load_bundle, read_bundle
from imgrec.deploy.bundle.document import BundleInfo

__all__ = ["Bundle", "BundleInfo", "bundle_from_bytes", "load_bundle", "read_bundle"]
