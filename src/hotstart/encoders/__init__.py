"""Encoders (timm, torchvision), heads, decoders, the EMA teacher."""

from hotstart.encoders.build import (
    build_encoder,
    encoder_kind,
    load_encoder,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.encoder import Encoder, EncoderSpec
from hotstart.encoders.heads import (
    ChannelWiseLinear,
    ConvDecoder,
    ConvDiscriminator,
    ConvGenerator,
    JointDiscriminator,
    mlp,
)
from hotstart.encoders.teacher import Teacher, ema_schedule

__all__ = [
    "ChannelWiseLinear",
    "ConvDecoder",
    "ConvDiscriminator",
    "ConvGenerator",
    "Encoder",
    "EncoderSpec",
    "JointDiscriminator",
    "Teacher",
    "build_encoder",
    "ema_schedule",
    "encoder_kind",
    "load_encoder",
    "mlp",
    "resolve_spec",
    "save_encoder",
]
