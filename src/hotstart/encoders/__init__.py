"""Encoders of pictures, clips and sounds (timm, torchvision), heads, decoders, the EMA teacher."""

from hotstart.encoders.audio import AudioEncoder
from hotstart.encoders.build import (
    build_encoder,
    encoder_kind,
    load_encoder,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.clip_generator import ClipGenerator
from hotstart.encoders.conv_lstm import ConvLSTM
from hotstart.encoders.encoder import Encoder, EncoderSpec, SoundSpec, fine_map, map_shape
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
from hotstart.encoders.video import FrameEncoder, VideoEncoder, as_video, clip_map_shape

__all__ = [
    "AudioEncoder",
    "ChannelWiseLinear",
    "ClipGenerator",
    "ConvDecoder",
    "ConvDiscriminator",
    "ConvGenerator",
    "ConvLSTM",
    "Encoder",
    "EncoderSpec",
    "FrameEncoder",
    "JointDiscriminator",
    "PyramidDecoder",
    "SoundSpec",
    "Teacher",
    "VideoEncoder",
    "as_video",
    "build_encoder",
    "clip_map_shape",
    "decay_for",
    "ema_schedule",
    "encoder_kind",
    "fine_map",
    "load_encoder",
    "map_shape",
    "mlp",
    "resolve_spec",
    "save_encoder",
]
