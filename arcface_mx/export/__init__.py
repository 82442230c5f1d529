"""Write trained networks for use elsewhere: MXNet, ONNX, int8, model card."""

from arcface_mx.export.export import ExportOptions, export_model

__all__ = ["ExportOptions", "export_model"]
