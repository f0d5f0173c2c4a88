"""Video files, frame by frame, by the codecs that OpenCV brings."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nas import interrupt
from nas.errors import UserError

__all__ = ["VIDEO_SUFFIXES", "VideoReader", "VideoWriter"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")

CONTAINERS = ((".mp4", "mp4v"), (".avi", "MJPG"))
"""What is written: the first that this build of OpenCV has."""

USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""


@dataclass(frozen=True)
class VideoReader:
    """The frames of a video file, as RGB, H x W x 3 uint8, upright; sound is left out.

    Attributes:
        path: the file.
        frames: how many frames it says to have; None where it does not say.
        rate: frames a second.
    """

    path: Path
    frames: int | None
    rate: float

    @classmethod
    def open(cls, path: Path) -> VideoReader:
        """See that a file is a video, by its first frame.

        Raises:
            UserError: it cannot be read.
        """
        import cv2

        with _quiet():
            capture = cv2.VideoCapture(str(path))
            readable = capture.isOpened() and capture.read()[0]
            count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
            capture.release()
        if not readable:
            raise UserError(f"{path} cannot be read as a video: its codec is unknown, or it is damaged")
        known = math.isfinite(rate) and 0 < rate <= 1000
        return cls(path, int(count) if count >= 1 else None, rate if known else USUAL_RATE)

    def __iter__(self) -> Iterator[np.ndarray]:
        import cv2

        with _quiet():
            capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                with _quiet():
                    there, frame = capture.read()
                if not there:
                    return
                yield np.ascontiguousarray(frame[..., ::-1])
        finally:
            capture.release()


class VideoWriter:
    """A context that writes RGB frames, H x W x 3 uint8 of one size, to `stem` with the suffix of a known container.

    The file appears when the block ends, with the frames so far where it ends early, and not at all if there is none.

    Attributes:
        path: the file.
    """

    def __init__(self, stem: Path, rate: float) -> None:
        self._stem = stem
        self._rate = rate
        self._writer: Any = None
        self.path = Path(f"{stem}{CONTAINERS[0][0]}")

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame.

        Raises:
            UserError: no codec is there, or the folder cannot be written.
        """
        if self._writer is None:
            self._writer = self._opened(frame.shape[0], frame.shape[1])
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def _opened(self, height: int, width: int) -> Any:
        import cv2

        for suffix, codec in CONTAINERS:
            self.path = Path(f"{self._stem}{suffix}")
            interrupt.temporary_files.add(self._temporary)
            with _quiet():
                fourcc = cv2.VideoWriter.fourcc(*codec)
                writer = cv2.VideoWriter(str(self._temporary), fourcc, self._rate, (width, height))
            if writer.isOpened():
                return writer
            self._temporary.unlink(missing_ok=True)
        raise UserError(f"{self.path} cannot be written: OpenCV has no codec for it, or the folder is read-only")

    @property
    def _temporary(self) -> Path:
        return self.path.with_name(f".{os.getpid()}.{self.path.name}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            self._temporary.replace(self.path)
            interrupt.temporary_files.discard(self._temporary)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what OpenCV and FFmpeg write to the terminal from it: what is wrong is told in a line of ours."""
    try:
        terminal = os.dup(2)
    except OSError:  # closed: nothing can be written to it
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
