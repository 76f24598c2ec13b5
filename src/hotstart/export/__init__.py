"""Encoders for other libraries: timm, torchvision, ONNX, safetensors; each checked for parity."""
