"""Videos are read frame by frame and written with the first available codec."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.errors import UserError
from nas.export import video
from nas.export.video import VideoReader, VideoWriter


def frames(count: int = 5, shape: tuple[int, int] = (40, 64)) -> list[np.ndarray]:
    """Plain red frames of increasing brightness."""
    return [np.full((*shape, 3), (30 + 40 * i, 0, 0), np.uint8) for i in range(count)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 40))
    for frame in frames():
        writer.write(frame[..., ::-1])
    writer.release()
    return path


def test_frames_are_rgb_in_order(clip) -> None:
    film = VideoReader.open(clip)
    assert (film.frames, film.rate) == (5, 12.5)
    read = list(film)
    assert [frame.shape for frame in read] == [(40, 64, 3)] * 5
    for frame, original in zip(read, frames(), strict=True):
        assert np.abs(frame.mean((0, 1)) - original.mean((0, 1))).max() < 8


@pytest.mark.parametrize("first", ["mp4v", "none"])
def test_a_written_video_can_be_read(tmp_path, monkeypatch, first, capfd) -> None:
    monkeypatch.setattr(video, "CONTAINERS", ((".mp4", first), *video.CONTAINERS[1:]))
    with VideoWriter(tmp_path / "a.b", 10) as writer:
        for frame in frames():
            writer.write(frame)
    assert [path.name for path in tmp_path.iterdir()] == [writer.path.name]
    assert writer.path.name == ("a.b.avi" if first == "none" else writer.path.name)
    read = list(VideoReader.open(writer.path))
    for frame, original in zip(read, frames(), strict=True):
        assert np.abs(frame.mean((0, 1)) - original.mean((0, 1))).max() < 12
    assert capfd.readouterr() == ("", "")


def test_a_video_that_ends_early_keeps_its_frames(tmp_path) -> None:
    def interrupted() -> None:
        with VideoWriter(tmp_path / "a", 10) as writer:
            writer.write(frames()[0])
            writer.write(frames()[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (written,) = tmp_path.iterdir()
    assert len(list(VideoReader.open(written))) == 2


def test_without_frames_there_is_no_file(tmp_path) -> None:
    with VideoWriter(tmp_path / "a", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_a_codec_it_raises_an_error(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(video, "CONTAINERS", ((".mp4", "none"),))
    with pytest.raises(UserError, match="cannot be written"), VideoWriter(tmp_path / "a", 10) as writer:
        writer.write(frames()[0])
    assert list(tmp_path.iterdir()) == []
