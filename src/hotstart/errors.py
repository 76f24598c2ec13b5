"""Every error that Hotstart raises on purpose.

A message says what came, what is allowed, and what to do about it. The command line prints the
message alone; anything else that escapes is a bug and shows its stack trace.
"""


class HotstartError(Exception):
    """Root of the tree: catch this to catch all of Hotstart's own errors."""


class UsageError(HotstartError):
    """A setting or argument that is not allowed."""


class DataError(HotstartError):
    """Data that cannot be found, read, or used for what was asked."""


class ExportError(HotstartError):
    """What was exported does not give the encoder's features, and was not kept."""


class TrainingError(HotstartError):
    """Training that cannot start or go on (loss not finite, checkpoint of another run)."""
