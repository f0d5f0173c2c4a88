"""nas-predict: segment photos and videos, and write overlays and index masks at their own size."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas import interrupt
from nas.cli.errors import run
from nas.cli.inputs import Input, find_inputs
from nas.cli.options import CONTEXT, device_option, pick_device, space_option
from nas.cli.pictures import KINDS, Pictures
from nas.errors import UserError
from nas.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from nas.export import Checkpoint, Predictor
    from nas.export.video import VideoReader

__all__ = ["command", "main"]

SOME_SKIPPED, ALL_SKIPPED = 1, 2
"""Exit codes."""

MAX_ASPECT_CHANGE = 1.25
"""Ratio of the aspect ratios of a photo and the first training image above which the photo counts as distorted."""


@click.command(context_settings=CONTEXT)
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.argument(
    "arguments", metavar="PHOTO_VIDEO_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), default="overlays", show_default=True, help="Folder to write.")
@click.option("--write", "kind", type=click.Choice(KINDS), default="both", show_default=True)
@click.option(
    "--opacity",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="How much the classes' colours hide the photo.",
)
@click.option(
    "--window",
    is_flag=True,
    help="Keep each photo's proportions and slide windows of the training size over it, overlapping by a quarter. "
    "By default each photo is resized to the training size, as the training images were.",
)
@click.option(
    "--height",
    type=click.IntRange(min=8),
    help="With --window: height in pixels to which each photo is scaled; by default that of the training images.",
)
@device_option
@space_option
def command(
    checkpoint: Path,
    arguments: tuple[Path, ...],
    out: Path,
    kind: str,
    opacity: float,
    window: bool,
    height: int | None,
    device: str | None,
    space: Path | None,
) -> int:
    """Segment photos, the photos of folders, and videos with a checkpoint or a run's best one.

    Writes NAME_overlay (JPEG for JPEG photos, else PNG), NAME_mask.png and legend.png. The value of a pixel of a mask
    is the number of its class: 0, 1, ... in the order of the legend. A viewer shows such a mask as nearly black.

    Folders are read with their subfolders, and the output has the same subfolders. For a video, NAME_overlay.mp4 is
    written, without sound, or with --write masks a folder NAME_masks of the frames' masks.

    Inputs that are missing or cannot be read are skipped and named at the end. Exit code: 0 if everything was
    segmented, 1 if something was skipped, 2 if nothing was segmented.
    """
    if height is not None and not window:
        raise UserError("--height is for --window: without it each photo is resized to the training size")
    inputs, skipped = find_inputs(arguments, out)
    from nas.export import Predictor, WindowPredictor, background_classes, load_checkpoint

    place = pick_device(device)
    loaded = load_checkpoint(checkpoint, space)
    predictor = WindowPredictor.of(loaded, place, height) if window else Predictor.of(loaded, place)
    bare = background_classes(loaded.classes, loaded.palette)
    pictures = Pictures(out, kind, opacity, loaded.classes, loaded.palette, bare)
    pictures.prepare(inputs, [checkpoint] if space is None else [checkpoint, space])
    with interrupt.deferred():
        done, shapes = _segment(inputs, predictor, pictures, skipped)
    count = sum(skipped.values())
    click.echo(f"{out}: {_counted(done)} segmented" + (f", {count} skipped" if count else ""))
    if done:
        click.echo(f"  {_preprocessing_text(predictor)}")
        if not window:
            _log_distorted(shapes, loaded)
    for line in skipped:
        click.echo(f"skipped: {line}", err=True)
    return ALL_SKIPPED if not done else SOME_SKIPPED if count else 0


def _segment(
    inputs: Sequence[Input], predictor: Predictor, pictures: Pictures, skipped: dict[str, int]
) -> tuple[list[Input], list[tuple[int, ...]]]:
    """Segment inputs and write their pictures; messages about inputs that cannot be read are added to `skipped`.

    Returns:
        The inputs that were segmented, and the shapes of the photos among them.
    """
    from tqdm import tqdm

    from nas.export.video import VideoReader

    done: list[Input] = []
    shapes: list[tuple[int, ...]] = []
    remedy = _remedy(predictor, pictures.kind)
    for source in tqdm(inputs, unit="photo", leave=False, disable=None):
        interrupt.check()
        with _skipping(source, skipped, remedy):
            if source.video:
                film = VideoReader.open(source.path)
                pictures.write_video(source, _frames(film, predictor), film.rate)
            else:
                image = predictor.preprocessing.read(source.path)
                pictures.write_photo(source, image, predictor.predict(image))
                shapes.append(image.shape)
            done.append(source)
    return done, shapes


@contextmanager
def _skipping(source: Input, skipped: dict[str, int], remedy: str) -> Iterator[None]:
    """Context manager that skips an input that cannot be read or needs too much memory, with a message in `skipped`.

    Args:
        remedy: what to do about too little memory.
    """
    from nas.pool.worker import is_out_of_memory

    try:
        yield
    except UserError as error:
        line = str(error)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        line = f"{source.path} needs more memory than there is: {remedy}"
    else:
        return
    skipped[line] = skipped.get(line, 0) + 1


def _remedy(predictor: Predictor, kind: str) -> str:
    """What to do about too little memory for a photo."""
    from nas.export import WindowPredictor

    ways = ["use --device cpu"] if predictor.network.mean.device.type == "cuda" else []
    if isinstance(predictor, WindowPredictor):
        ways += ["give a smaller --height", "leave out --window"]
    else:
        ways += ["scale it down", "cut it into tiles", *["use --write masks"] * (kind != "masks")]
    return f"{', '.join(ways[:-1])} or {ways[-1]}"


def _frames(film: VideoReader, predictor: Predictor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the frames of a video and their class indices."""
    from tqdm import tqdm

    count = 0
    for image in tqdm(film, film.path.name, total=film.frames, unit="frame", leave=False, disable=None):
        interrupt.check()
        yield image, predictor.predict(image)
        count += 1
    if film.frames and count < 0.9 * film.frames:
        tqdm.write(f"{film.path} ends after {count} of {film.frames} frames", file=sys.stderr)


def _counted(done: Sequence[Input]) -> str:
    videos = sum(source.video for source in done)
    kinds = [counted(len(done) - videos, "photo")] if len(done) > videos or not videos else []
    return " and ".join([*kinds, counted(videos, "video")] if videos else kinds)


def _preprocessing_text(predictor: Predictor) -> str:
    """Describe how photos were resized for the network."""
    from nas.export import WindowPredictor

    height, width = predictor.preprocessing.size
    if isinstance(predictor, WindowPredictor):
        return f"each scaled to a height of {predictor.height} and seen in windows of {height}x{width} that overlap"
    return f"each resized to {height}x{width} (height x width), as the training images were"


def _log_distorted(shapes: Sequence[tuple[int, ...]], checkpoint: Checkpoint) -> None:
    """Print how many photos were distorted, having another aspect ratio than the first training image."""
    data: Any = checkpoint.provenance.get("data")
    native = data.get("native") if isinstance(data, dict) else None
    if not native:
        return
    ratios = [(shape[1] / shape[0]) / (native[1] / native[0]) for shape in shapes]
    distorted = sum(max(ratio, 1 / ratio) > MAX_ASPECT_CHANGE for ratio in ratios)
    if distorted:
        click.echo(
            f"  {counted(distorted, 'photo')} of other proportions than the first training image "
            f"({native[0]}x{native[1]}): --window keeps them"
        )


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-predict`."""
    run(command, args)


if __name__ == "__main__":
    main()
