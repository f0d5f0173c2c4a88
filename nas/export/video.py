"""Reading and writing of video files, frame by frame, with OpenCV."""

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
"""Suffixes and codecs for writing. The first codec that this build of OpenCV has is used."""

DEFAULT_RATE = 25.0
"""Frames per second assumed for a video that does not state its rate."""


@dataclass(frozen=True)
class VideoReader:
    """Iterable over the frames of a video file, upright, as RGB H x W x 3 uint8, without sound.

    Attributes:
        path: the file.
        frames: number of frames that the file states; None if it does not.
        rate: frames per second.
    """

    path: Path
    frames: int | None
    rate: float

    @classmethod
    def open(cls, path: Path) -> VideoReader:
        """Open a video file and check that its first frame can be read.

        Raises:
            UserError: the file cannot be read.
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
        return cls(path, int(count) if count >= 1 else None, rate if known else DEFAULT_RATE)

    def __iter__(self) -> Iterator[np.ndarray]:
        import cv2

        with _quiet():
            capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                with _quiet():
                    found, frame = capture.read()
                if not found:
                    return
                yield np.ascontiguousarray(frame[..., ::-1])
        finally:
            capture.release()


class VideoWriter:
    """Context manager that writes RGB frames, H x W x 3 uint8 of one size, to `stem` plus the suffix of a container.

    The file appears when the block ends. If it ends early, the file has the frames so far. Without frames there is no
    file.

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
            UserError: there is no codec, or the folder is read-only.
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
    """Suppress what OpenCV and FFmpeg write to stderr. Errors are reported as a UserError instead."""
    try:
        stderr = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
