"""Encoders (timm, torchvision), heads, decoders, the EMA teacher."""

from hotstart.encoders.build import (
    build_encoder,
    encoder_kind,
    load_encoder,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.encoder import Encoder, EncoderSpec, map_shape
from hotstart.encoders.heads import (
    ChannelWiseLinear,
    ConvDecoder,
    ConvDiscriminator,
    ConvGenerator,
    JointDiscriminator,
    PyramidDecoder,
    mlp,
)
from hotstart.encoders.teacher import Teacher, decay_for, ema_schedule

__all__ = [
    "ChannelWiseLinear",
    "ConvDecoder",
    "ConvDiscriminator",
    "ConvGenerator",
    "Encoder",
    "EncoderSpec",
    "JointDiscriminator",
    "PyramidDecoder",
    "Teacher",
    "build_encoder",
    "decay_for",
    "ema_schedule",
    "encoder_kind",
    "load_encoder",
    "map_shape",
    "mlp",
    "resolve_spec",
    "save_encoder",
]
