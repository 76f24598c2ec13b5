"""Downstream tasks: what an encoder is worth to someone with labels."""
