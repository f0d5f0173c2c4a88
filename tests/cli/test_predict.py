"""nas-predict as typed: an overlay and a mask per photo, at the photo's own size."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import nas
from nas.cli.predict import main
from nas.export import Predictor, WindowPredictor, load_checkpoint
from nas.tasks.data.files import IMAGE_SUFFIXES
from tests.cli.conftest import COLOURS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path, data_folder: Path) -> Path:
    """Photos of several shapes and kinds."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = cv2.imread(str(data_folder / "images" / "test" / "0.png"))
    cv2.imwrite(str(folder / "same.png"), image)
    cv2.imwrite(str(folder / "wide.JPG"), cv2.resize(image, (333, 61)))
    cv2.imwrite(str(folder / "tall.jpeg"), cv2.resize(image, (37, 91)))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    return {p.name: cv2.imread(str(p), cv2.IMREAD_UNCHANGED).shape for p in sorted(folder.iterdir())}


def test_a_folder_gives_overlays_masks_and_a_legend(trained, photos, typed, tmp_path) -> None:
    out = tmp_path / "new" / "out"
    ended = typed(main, trained.parent, photos, "--out", out, "--device", "cpu")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"{out}: 3 photos segmented",
        "  each resized to 32x48 (height x width), as the training images were",
    ]
    found = sizes(out)
    legend = found.pop("legend.png")
    assert legend[2] == 3
    assert found == {
        "same_mask.png": (40, 56),
        "same_overlay.png": (40, 56, 3),
        "tall_mask.png": (91, 37),
        "tall_overlay.jpg": (91, 37, 3),
        "wide_mask.png": (61, 333),
        "wide_overlay.jpg": (61, 333, 3),
    }


def test_an_output_folder_above_the_photos_hides_none_of_them(trained, photos, typed, tmp_path) -> None:
    for out in (photos.parent, tmp_path):
        ended = typed(main, trained.parent, photos, "--out", out, "--device", "cpu")
        assert ended.code == 0 and "3 photos segmented" in ended.out


def test_masks_hold_class_indices_and_overlays_their_colours(trained, photos, typed, tmp_path) -> None:
    out = tmp_path / "out"
    typed(main, trained, photos / "same.png", "--out", out, "--opacity", 1, "--device", "cpu")
    loaded = load_checkpoint(trained)
    image = cv2.imread(str(photos / "same.png"))[..., ::-1]
    mask = cv2.imread(str(out / "same_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, Predictor.of(loaded).predict(image))
    painted = cv2.imread(str(out / "same_overlay.png"))[..., ::-1]
    assert loaded.palette[0] == (0, 0, 0)  # in black, which leaves the photo as it is
    expected = np.where(mask[..., None] == 0, image, np.array(loaded.palette, np.uint8)[mask])
    np.testing.assert_array_equal(painted, expected)


def test_overlays_have_a_legend_of_what_appears(trained, photos, typed, tmp_path) -> None:
    image = cv2.imread(str(photos / "same.png"))
    cv2.imwrite(str(tmp_path / "large.png"), cv2.resize(image, (560, 400)))
    typed(main, trained, tmp_path / "large.png", "--out", tmp_path / "out", "--opacity", 0, "--device", "cpu")
    painted = cv2.imread(str(tmp_path / "out" / "large_overlay.png"))
    corner = painted[-60:, :60].astype(int)
    assert (corner.min(-1) > 200).mean() > 0.4  # white paper under the names
    assert (np.abs(painted.astype(int) - cv2.imread(str(tmp_path / "large.png"))).max(-1) > 9).mean() < 0.3


def test_windows(trained, photos, typed, tmp_path) -> None:
    whole, windows, higher = (tmp_path / name for name in ("whole", "windows", "higher"))
    options = ("--write", "masks", "--device", "cpu")
    typed(main, trained, photos / "wide.JPG", "--out", whole, *options)
    ended = typed(main, trained, photos / "wide.JPG", "--out", windows, *options, "--window")
    assert "each scaled to a height of 32 and seen in windows of 32x48 that overlap" in ended.out
    typed(main, trained, photos / "wide.JPG", "--out", higher, *options, "--window", "--height", 64)
    found = [cv2.imread(str(out / "wide_mask.png"), cv2.IMREAD_UNCHANGED) for out in (whole, windows, higher)]
    assert all(mask.shape == (61, 333) for mask in found)
    image = cv2.imread(str(photos / "wide.JPG"))[..., ::-1]
    for mask, height in zip(found[1:], (None, 64), strict=True):
        expected = WindowPredictor.of(load_checkpoint(trained), height=height).predict(image)
        np.testing.assert_array_equal(mask, expected)
    assert (found[0] != found[1]).any()


def test_photos_of_other_proportions_are_counted(trained, photos, typed, tmp_path) -> None:
    with safe_open(trained, framework="pt") as file:
        metadata = file.metadata()
    provenance = json.loads(metadata["provenance"])
    provenance["data"]["native"] = [40, 56]
    own = tmp_path / "own.safetensors"
    save_file(load_file(trained), own, {**metadata, "provenance": json.dumps(provenance)})
    ended = typed(main, own, photos, "--out", tmp_path / "out", "--device", "cpu")
    assert "2 photos of other proportions than the first training image (40x56): --window keeps them" in ended.out


def test_masks_agree_with_the_ground_truth(trained, data_folder, typed, tmp_path) -> None:
    out = tmp_path / "out"
    typed(main, trained, data_folder / "images" / "test", "--out", out, "--write", "masks")
    right = known = 0
    for file in (data_folder / "masks" / "test").iterdir():
        truth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        guess = cv2.imread(str(out / f"{file.stem}_mask.png"), cv2.IMREAD_UNCHANGED)
        right += (guess == truth)[truth != 255].sum()
        known += (truth != 255).sum()
    assert right / known > 0.7


@pytest.mark.parametrize(("kind", "ending"), [("masks", "_mask.png"), ("overlays", "_overlay.png")])
def test_one_kind_only(trained, photos, typed, tmp_path, kind, ending) -> None:
    out = tmp_path / "out"
    typed(main, trained, photos / "same.png", "--out", out, "--write", kind)
    assert set(sizes(out)) == {f"same{ending}", "legend.png"}


def test_photos_of_one_name_do_not_overwrite_each_other(trained, photos, typed, tmp_path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (again / "same.png").write_bytes((photos / "same.png").read_bytes())
    out = tmp_path / "out"
    args = [photos / "same.png", again, photos / "same.png"]
    assert typed(main, trained, *args, "--out", out, "--write", "masks").code == 0
    assert set(sizes(out)) == {"same_mask.png", "same_2_mask.png", "legend.png"}


def test_subfolders_are_repeated_in_the_output(trained, photos, typed, tmp_path) -> None:
    for inside in ("ulm", "bonn", ".thumbs"):
        (photos / inside).mkdir()
        (photos / inside / "same.png").write_bytes((photos / "same.png").read_bytes())
    out = photos / "out"
    for _ in range(2):  # the second time the folder holds the outputs of the first
        ended = typed(main, trained, photos, "--out", out, "--write", "masks")
        assert ended.out.startswith(f"{out}: 5 photos segmented\n")
    found = {str(p.relative_to(out)) for p in out.rglob("*.png")}
    masks = {f"{name}_mask.png" for name in ("same", "tall", "wide", "bonn/same", "ulm/same")}
    assert found == {*masks, "legend.png"}


def test_unreadable_photos_are_named_and_skipped(trained, photos, typed, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes((photos / "tall.jpeg").read_bytes()[:300])
    (photos / "empty.png").touch()
    ended = typed(main, trained, photos, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "3 photos segmented, 2 skipped" in ended.out
    skipped = [line for line in ended.err.splitlines() if "skipped" in line]
    assert len(skipped) == 2
    assert "broken.jpg" in skipped[0]
    assert "empty.png" in skipped[1]


def test_one_missing_argument_does_not_stop_the_others(trained, photos, typed, tmp_path) -> None:
    (tmp_path / "bare").mkdir()
    missing = (tmp_path / "gone.png", tmp_path / "bare")
    ended = typed(main, trained, missing[0], photos, missing[1], "--out", tmp_path / "out", "--write", "masks")
    assert ended.code == 1
    assert "3 photos segmented, 2 skipped" in ended.out
    assert ended.err.splitlines() == [
        f"skipped: {missing[0]}: there is no such file or folder",
        f"skipped: {missing[1]} holds no images: known are {', '.join(IMAGE_SUFFIXES)}",
    ]
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 3
    ended = typed(main, trained, *missing, "--out", tmp_path / "none")
    assert ended.code == 2
    assert "0 photos segmented, 2 skipped" in ended.out and ended.err.count("skipped: ") == 2
    assert typed(main, trained, photos, "--out", tmp_path / "out").code == 0


def test_the_help_explains_masks_and_exit_codes(typed) -> None:
    out = typed(main, "--help").out
    assert max(map(len, out.splitlines())) <= 80
    shown = " ".join(out.split())
    assert "The value of a pixel of a mask is the number of its class: 0, 1, ... in the order of the legend" in shown
    assert "0 if everything was segmented, 1 if something was skipped, 2 if nothing was segmented" in shown


def test_nothing_readable_is_a_failure(trained, typed, tmp_path) -> None:
    (tmp_path / "a.png").write_text("no image")
    ended = typed(main, trained, tmp_path / "a.png", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "0 photos segmented, 1 skipped" in ended.out


def test_files_that_are_no_images_are_named_and_skipped(trained, photos, typed, tmp_path) -> None:
    os.mkfifo(photos / "pipe.png")
    (photos / "zero.jpg").symlink_to("/dev/zero")
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    ended = typed(main, trained, photos, tmp_path / "photos" / "pipe.png", "--out", tmp_path / "out")
    assert ended.code == 1
    assert "3 photos segmented, 3 skipped" in ended.out
    for said in ("pipe.png is not a regular file", "zero.jpg is not a regular file", "phone.heic"):
        assert said in ended.err
    (photos / "only").mkdir()
    (photos / "only" / "phone.heic").write_bytes((photos / "phone.heic").read_bytes())
    for alone in (photos / "pipe.png", photos / "only", photos / "phone.heic"):
        ended = typed(main, trained, alone, "--out", tmp_path / "none")
        assert ended.code == 2
        assert ended.err.startswith("skipped: ") and ended.err.count("\n") == 1
        assert "0 photos segmented, 1 skipped" in ended.out


def test_linked_folders_are_followed_and_loops_are_not(trained, photos, typed, tmp_path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(photos)
    (photos / "back").symlink_to(root)
    ended = typed(main, trained, root, "--out", tmp_path / "out", "--write", "masks")
    assert ended.code == 0 and "3 photos segmented" in ended.out
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*_mask.png")}
    assert found == {f"linked/{name}_mask.png" for name in ("same", "tall", "wide")}


def test_an_image_too_large_is_named_and_skipped(trained, photos, typed, tmp_path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (photos / "huge.png").write_bytes(image)
    ended = typed(main, trained, photos, "--out", tmp_path / "out", "--device", "cpu")
    assert "3 photos segmented, 1 skipped" in ended.out
    assert "huge.png is too large" in ended.err and ended.err.count("\n") == 1


def test_windows_that_exceed_the_memory_are_one_line(trained, photos, typed, tmp_path) -> None:
    photo = photos / "same.png"
    options = ("--window", "--height", 100_000_000, "--device", "cpu")  # 10^16 pixels: more than can be addressed
    ended = typed(main, trained, photo, "--out", tmp_path / "out", *options)
    assert ended.code == 2
    assert ended.err == (
        f"skipped: {photo} needs more memory than there is: give a smaller --height or leave out --window\n"
    )


@pytest.mark.parametrize(
    ("kind", "more"), [("both", "scale it down, cut it into tiles or use --write masks"), ("masks", "scale it down or")]
)
def test_one_photo_that_exceeds_the_memory_does_not_stop_the_others(
    trained, photos, typed, tmp_path, monkeypatch, kind, more
) -> None:
    predict = Predictor.predict

    def allocate(self: Predictor, image: np.ndarray) -> np.ndarray:
        if image.shape[:2] == (61, 333):
            torch.empty(1 << 55)  # raises torch's own error
        return predict(self, image)

    monkeypatch.setattr(Predictor, "predict", allocate)
    ended = typed(main, trained, photos, "--out", tmp_path / "out", "--write", kind, "--device", "cpu")
    assert ended.code == 1
    assert "2 photos segmented, 1 skipped" in ended.out
    assert ended.err.startswith(f"skipped: {photos / 'wide.JPG'} needs more memory than there is: {more}")
    assert ended.err.count("\n") == 1


def test_a_skipped_name_is_on_a_line_of_its_own_above_a_progress_bar(trained, photos, tmp_path) -> None:
    """In a pseudo-terminal, since the bar is drawn nowhere else."""
    (photos / "broken.png").write_bytes(b"nothing")
    command = [sys.executable, "-m", "nas.cli.predict", trained, photos, "--out", tmp_path / "out", "--device", "cpu"]
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # The bar is redrawn after every photo, however quick a prediction is.
    redrawn = {**os.environ, "TQDM_MININTERVAL": "0"}
    with subprocess.Popen(
        list(map(str, command)), stderr=end, stdout=subprocess.PIPE, cwd=ROOT, env=redrawn
    ) as process:
        os.close(end)
        shown = b""
        with suppress(OSError):  # the terminal is closed at the end
            while part := os.read(terminal, 4096):
                shown += part
        assert process.wait() == 1
    os.close(terminal)
    assert re.search(rb"[1-4]/4 ", shown)
    line = next(line for line in re.split(rb"[\r\n]+", shown) if b"broken.png" in line)
    assert line.startswith(b"skipped: ") and b"it/s" not in line and b"%|" not in line


def film(path: Path, shape: tuple[int, int], frames: int = 6) -> list[np.ndarray]:
    """Write a Motion JPEG of moving blocks, and return its frames as RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, shape[::-1])
    for number in range(frames):
        frame = np.full((*shape, 3), COLOURS[0][::-1], np.uint8)
        frame[10:30, 5 + 3 * number : 25 + 3 * number] = COLOURS[1][::-1]
        writer.write(frame)
    writer.release()
    capture = cv2.VideoCapture(str(path))
    return [capture.read()[1][..., ::-1] for _ in range(frames)]


def test_a_video_becomes_a_video(trained, typed, tmp_path) -> None:
    film(tmp_path / "clip.avi", (120, 160))
    ended = typed(main, trained, tmp_path / "clip.avi", "--out", tmp_path / "out", "--device", "cpu")
    assert ended.code == 0 and ended.err == ""
    assert "1 video segmented" in ended.out
    (written,) = (tmp_path / "out").glob("clip_*")
    assert written.name in ("clip_overlay.mp4", "clip_overlay.avi")
    capture = cv2.VideoCapture(str(written))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10, rel=0.01)
    read = [capture.read() for _ in range(7)]
    assert [there for there, _ in read] == [True] * 6 + [False]
    assert read[0][1].shape == (120, 160, 3)


def test_the_masks_of_a_video_are_files(trained, typed, tmp_path) -> None:
    frames = film(tmp_path / "clip.avi", (60, 80))
    out = tmp_path / "out"
    typed(main, trained, tmp_path / "clip.avi", "--out", out, "--write", "masks", "--device", "cpu")
    predictor = nas.predictor(trained)
    for number, frame in enumerate(frames):
        mask = cv2.imread(str(out / "clip_masks" / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert (mask == predictor.predict(np.ascontiguousarray(frame))).mean() > 0.99
    assert len(list((out / "clip_masks").iterdir())) == len(frames)


def test_a_video_that_cannot_be_read_is_one_line(trained, photos, tmp_path, capfd) -> None:
    film(tmp_path / "whole.avi", (60, 80))
    (tmp_path / "cut.avi").write_bytes((tmp_path / "whole.avi").read_bytes()[:700])
    (tmp_path / "head.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))
    (tmp_path / "text.mkv").write_text("no video")
    capfd.readouterr()
    for name in ("cut.avi", "head.mp4", "text.mkv"):
        with pytest.raises(SystemExit) as ended:
            main([str(trained), str(tmp_path / name), str(photos / "same.png"), "--out", str(tmp_path / "out")])
        assert ended.value.code == 1
        shown = capfd.readouterr()  # codecs write to the descriptor directly
        assert f"skipped: {tmp_path / name} cannot be read as a video" in shown.err
        assert shown.err.count("\n") == 1
        assert "1 photo segmented, 1 skipped" in shown.out


def test_files_of_others_are_not_overwritten(trained, photos, typed, tmp_path) -> None:
    """Inputs, existing files, and the targets of links."""
    truth = photos / "same_mask.png"
    truth.write_bytes((photos / "same.png").read_bytes())
    before = {path: path.read_bytes() for path in photos.iterdir() if path.is_file()}
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "inside").symlink_to(photos)
    (photos / "inside").mkdir()
    (photos / "inside" / "same.png").write_bytes((photos / "same.png").read_bytes())
    for args, says in (
        ([photos / "same.png", truth, "--out", photos], "one of the files that are read"),
        ([photos / "same.png", "--out", photos], "is there already and is no prediction"),
        ([photos, "--out", linked], "is a link to another folder"),
    ):
        ended = typed(main, trained, *args)
        assert ended.code == 2
        assert says in ended.err and ended.err.count("\n") == 1
    out = tmp_path / "out"
    typed(main, trained, photos / "same.png", "--out", out)
    for name, link in (("same_mask.png", "symlink_to"), ("same_overlay.png", "hardlink_to")):
        (out / name).unlink()
        getattr(out / name, link)(truth)
    assert typed(main, trained, photos / "same.png", "--out", out).code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert not (out / "same_mask.png").is_symlink()


def test_names_outside_the_terminals_encoding(trained, photos, tmp_path) -> None:
    (photos / "道路.png").write_bytes((photos / "same.png").read_bytes())
    (photos / "Öl 道.png").write_text("broken")
    command = [sys.executable, "-m", "nas.cli.predict", trained, photos, "--out", tmp_path / "道", "--device", "cpu"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(list(map(str, command)), capture_output=True, cwd=ROOT, env=environment)
    assert ended.returncode == 1
    assert b"4 photos segmented, 1 skipped" in ended.stdout
    assert b"Traceback" not in ended.stderr and b"skipped: " in ended.stderr
    assert (tmp_path / "道" / "道路_overlay.png").is_file()


def test_mistakes_are_one_line(trained, photos, typed, tmp_path) -> None:
    (tmp_path / "bare").mkdir()
    for args, says in (
        ([tmp_path / "none.jpg"], "none.jpg: there is no such file or folder"),
        ([tmp_path / "bare"], "holds no images"),
        ([photos, "--out", photos], "also read from"),
        ([photos, "--out", trained], "is a file"),
        ([photos, "--device", "tpu"], "use cpu or cuda"),
        ([photos, "--opacity", "2"], "--opacity"),
        ([photos, "--height", "64"], "--height is for --window"),
        ([], "Missing argument"),
    ):
        ended = typed(main, trained, *args)
        assert ended.code == 2
        assert says in ended.err
        assert ended.err.startswith("nas-predict: error: ") and ended.err.count("\n") == 1
