"""How an encoder of sound hears, for whoever has its network alone."""

LOG_MEL = """\
import torch

def log_mel(sounds, mels={mels}, window={window} * 16000, hop={hop} * 16000):
    window, hop = round(window), round(hop)
    bins = 1 << (window - 1).bit_length()
    windows = sounds.unfold(-1, window, hop) * torch.hann_window(window)
    of_bins = 1127 * torch.log1p(torch.linspace(0, 8000, bins // 2 + 1).double() / 700)
    low, high = (1127 * torch.log1p(torch.tensor([125.0, 7500.0]).double() / 700)).tolist()
    edges = torch.linspace(low, high, mels + 2).double()
    filters = 1 - (of_bins[:, None] - edges[1:-1]).abs() / (edges[1] - edges[0])
    heard = torch.fft.rfft(windows, bins).abs() @ filters.clamp(min=0).float()
    return torch.log(heard + 0.01).transpose(1, 2).unsqueeze(1)
"""
"""`hotstart.augment.sound.log_mel` in one piece; in braces what the encoder's spec says."""
