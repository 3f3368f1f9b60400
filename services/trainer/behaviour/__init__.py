"""The self-supervised behaviour transformer: torch for training, ONNX for serving."""
