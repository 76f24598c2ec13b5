"""Encoders read by their maps: any timm CNN, what is built like one, and a narrow ResNet."""

from __future__ import annotations

from typing import Any, ClassVar

import timm
import torch
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.func import functional_call

from hotstart.encoders.encoder import Encoder, EncoderSpec, Kind
from hotstart.encoders.networks import (
    WHAT_WORKS,
    cuts_patches,
    only_size,
    size_options,
    stage_ends,
)
from hotstart.errors import UsageError

OUTPUT_STRIDES = (8, 16, 32)
SOUND = "sound:"
"""`sound:NAME` is the architecture of the CNN NAME, for spectrograms of one channel."""


def resnet10_narrow(**options: Any) -> ResNet:
    """`resnet10t` at half the width: stages of 32, 64, 128 and 256 channels, 1.2 M weights."""
    return ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm means the class, its annotation an instance
        (1, 1, 1, 1),
        stem_width=16,
        stem_type="deep_tiered",
        avg_down=True,
        channels=(32, 64, 128, 256),
        **options,
    )


def create_cnn(spec: EncoderSpec, **options: Any) -> Any:
    """The timm network of `spec`, without its classifier."""
    model: Any
    name = spec.name.removeprefix(SOUND)
    if name == "resnet10_narrow":
        model = resnet10_narrow(num_classes=0, **options)
    else:
        sized = size_options(name, spec.size)
        model = timm.create_model(name, num_classes=0, **sized, **options)
    if spec.stem == "small":
        shrink_stem(model, spec.name, options.get("in_chans", 3))
    return model


def has_small_stem(model: Any) -> bool:
    """Whether `shrink_stem` knows the network."""
    return isinstance(model, ResNet)


def shrink_stem(model: Any, name: str, channels: int = 3) -> None:
    """One 3x3 convolution of stride 2 in place of stem and max-pooling, for pictures of 32-64 px.

    SimCLR's CIFAR-10 stem (arXiv:2002.05709, B.9) has stride 1; stride 2 costs a quarter of that.
    """
    if not has_small_stem(model):
        raise UsageError(
            f"--stem small: known for ResNets and ViTs, got {name!r}; use --stem timm, "
            "or a resnet such as resnet10t"
        )
    stem = nn.Conv2d(channels, model.bn1.num_features, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1 = stem
    model.maxpool = nn.Identity()


class CnnEncoder(Encoder):
    """A timm network with a map for each of its stages; `h` is what its classifier would read.

    That is the last map, globally pooled. Not only CNNs: Swin and other hierarchical transformers
    are read the same way, and BEiT and EVA, whose maps are those of up to six of their blocks.

    Raises UsageError for a network that cannot be read stage by stage.
    """

    kind: ClassVar[Kind] = "cnn"
    channels: ClassVar[int] = 3
    """Of what it reads."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        try:
            self.model = create_cnn(spec, in_chans=self.channels)
        except (AssertionError, RuntimeError, TypeError, ZeroDivisionError) as error:
            raise UsageError(
                f"{spec.name} cannot be built for pictures of {spec.size} px ({str(error)[:200]}); "
                + WHAT_WORKS
            ) from None
        self.normalise_as(self.model)
        if not getattr(self.model, "feature_info", None):
            raise UsageError(f"{spec.name}: timm tells no stages of it; {WHAT_WORKS}")
        self.dim = int(getattr(self.model, "head_hidden_size", self.model.num_features))
        info = self.model.feature_info
        info = info if isinstance(info, list) else info.info
        self._taken = stage_ends(len(info))
        info = [info[stage] for stage in self._taken]
        self.stage_dims = tuple(stage["num_chs"] for stage in info)
        self._shrink = 2 if spec.stem == "small" else 1
        # The stem's own stride (the first entry of a ResNet) is 2 with either stem.
        self.stage_strides = tuple(
            max(stage["reduction"] // self._shrink, 2) if self._shrink > 1 else stage["reduction"]
            for stage in info
        )
        self._twins: dict[int, tuple[nn.Module]] = {}
        name = spec.name.removeprefix(SOUND)
        if name != "resnet10_narrow":
            self.only_px = only_size(name, spec.size)
        if cuts_patches(self.model) and self.only_px is None:
            self.multiple_px = int(self.model.patch_embed.patch_size[0])
        self._ends_in_map = self._probe()

    def _probe(self) -> bool:
        """Whether the network's own last output is a map, found out with one black picture.

        Raises UsageError unless it gives `h` and the maps that it claims.
        """
        step = self.stage_strides[-1]
        side = self.only_px or max(round(self.spec.size / step), 1) * step
        device = next(self.model.parameters()).device
        self.model.eval()
        try:
            with torch.no_grad():
                black = torch.zeros(1, self.channels, side, side, device=device)
                last, maps = self.model.forward_intermediates(black, indices=self._taken)
                h = self.model.forward_head(last, pre_logits=True)
            claimed = [(1, self.dim), *((1, dim) for dim in self.stage_dims)]
            found = [tuple(h.shape), *(tuple(each.shape[:2]) for each in maps)]
            problem = f"{found} for {claimed}" if found != claimed or maps[-1].ndim != 4 else ""
        except Exception as error:  # Whatever a network that we do not know may raise.
            problem = f"{type(error).__name__}: {str(error)[:200]}"
        if problem:
            raise UsageError(
                f"{self.spec.name} cannot be read stage by stage at {side} px ({problem}); "
                + WHAT_WORKS
            )
        self.model.train()
        return bool(last.ndim == 4 and last.shape[2:] == maps[-1].shape[2:])

    def forward(self, images: Tensor) -> Tensor:
        h: Tensor = self.model(self.normalise(images))
        return h

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        last, maps = self.model.forward_intermediates(self.normalise(images), indices=self._taken)
        return self.head(last), maps

    def head(self, maps: Tensor) -> Tensor:
        h: Tensor = self.model.forward_head(maps, pre_logits=True)
        return h

    def feature_map(self, images: Tensor, stride: int) -> Tensor:
        """The last map, its resolution kept at `stride` by dilation where the network's is coarser.

        The same weights serve at every stride (Yu & Koltun 2016, arXiv:1511.07122).
        """
        if stride >= self.stage_strides[-1]:
            if not self._ends_in_map:
                return self.forward_stages(images)[1][-1]
            last: Tensor = self.model.forward_features(self.normalise(images))
            return last
        twin = self._dilated(stride)
        state = {
            f"model.{name}": tensor
            for name, tensor in (*self.model.named_parameters(), *self.model.named_buffers())
        }
        dilated: Tensor = functional_call(twin, state, (self.normalise(images),))
        return dilated

    def _dilated(self, stride: int) -> nn.Module:
        """The same architecture at another output stride; it borrows this encoder's weights."""
        if stride not in self._twins:
            allowed = [wide // self._shrink for wide in OUTPUT_STRIDES]
            if stride not in allowed:
                raise UsageError(f"{self.spec.name}: stride {stride} asked, it offers {allowed}")
            try:
                with torch.device("meta"):
                    twin = create_cnn(
                        self.spec, in_chans=self.channels, output_stride=stride * self._shrink
                    )
            except (TypeError, NotImplementedError, AssertionError):
                raise UsageError(
                    f"{self.spec.name} cannot be read at stride {stride}; its own is "
                    f"{self.stage_strides[-1]}; ResNets can"
                ) from None
            # In a tuple, so that the twin and its empty weights are no part of this module.
            self._twins[stride] = (_MapOnly(twin),)
        (module,) = self._twins[stride]
        module.train(self.training)
        return module


class _MapOnly(nn.Module):
    """`forward` of a timm network up to its last map."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Tensor:
        last: Tensor = self.model.forward_features(images)
        return last
