"""What lies where in a tar file: one pass over its headers, nothing is unpacked."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hotstart.data.headers import Unreadable

BLOCK = 512
HEAD_BYTES = 2**13
"""To read at each header: small files behind it come along."""
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "zstd"}
_SAMPLE = re.compile(rb"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)


class Member(NamedTuple):
    """A regular file in a tar; position and size of its content in bytes."""

    name: bytes
    position: int
    size: int


class CutShort(Unreadable):
    """A tar that ends within the content of its file `name`."""

    def __init__(self, name: bytes) -> None:
        super().__init__("truncated: the tar ends within it")
        self.name = name


def members(file: BinaryIO) -> Iterator[Member]:
    """The regular files of a tar, open at its start, in order; all of them are whole.

    Raises `Unreadable`, after all that can be used, where the tar is damaged or ends too early.
    """
    size = os.fstat(file.fileno()).st_size
    before = -1
    try:
        tar = tarfile.open(  # noqa: SIM115 - the file is closed by whoever opened it
            fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape"
        )
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            if tar.offset <= before or member.size < 0:
                raise Unreadable(f"damaged: the file at byte {member.offset} has no length")
            before = tar.offset
            if not member.isreg() or member.issparse():
                continue
            name = member.name.encode("utf-8", "surrogateescape")
            if member.offset_data + member.size > size:
                raise CutShort(name)
            yield Member(name, member.offset_data, member.size)
    except Unreadable:
        raise
    except Exception as error:  # a damaged header makes tarfile raise a dozen types
        raise Unreadable(_why(file, size, str(error))) from None
    file.seek(tar.offset)
    end = file.read(BLOCK)
    if len(end) < BLOCK:
        raise Unreadable("truncated: the mark of its end is missing, files may be missing too")
    if any(end):
        raise Unreadable(f"damaged: no file begins at byte {tar.offset}, the rest is not read")


def _why(file: BinaryIO, size: int, told: str) -> str:
    if not size:
        return "empty: the file has 0 bytes"
    file.seek(0)
    start = file.read(8)
    for mark, kind in COMPRESSED.items():
        if start.startswith(mark):
            return f"compressed by {kind}: no file in it can be found; unpack it to a plain tar"
    if told == "unexpected end of data":
        return "truncated: its end is missing"
    return "damaged, or not a tar" + (f": {told.splitlines()[0][:120]}" if told else "")


def sample_of(name: bytes) -> tuple[bytes, str] | None:
    """Key and ending of a file in a tar; None for a hidden file and for one without a dot.

    As WebDataset has it, the key is the path up to the first dot of the file's own name, and the
    ending, in lower case, is all that follows it.
    """
    match = _SAMPLE.fullmatch(name.removeprefix(b"./"))
    return None if match is None else (match[1], match[2].decode("utf-8", "replace").lower())
