"""nas-predict: class maps of photos and videos, as overlays and index masks at their own size."""

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

SOME, NOTHING = 1, 2
"""Exit codes where some inputs, or all, were skipped."""

SQUEEZED = 1.25
"""How much wider or narrower than the first training image a photo may be before that is said."""


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

    Folders are read with those inside them, which are found again in the output. Of a video, NAME_overlay.mp4 is
    written, without sound, or with --write masks a folder NAME_masks of the frames' masks.

    What is missing or cannot be read is skipped and named at the end. Exit code: 0 if everything was segmented, 1 if
    something was skipped, 2 if nothing was segmented.
    """
    if height is not None and not window:
        raise UserError("--height is for --window: without it each photo is resized to the training size")
    inputs, left_out = find_inputs(arguments, out)
    from nas.export import Predictor, WindowPredictor, background_classes, load_checkpoint

    place = pick_device(device)
    loaded = load_checkpoint(checkpoint, space)
    predictor = WindowPredictor.of(loaded, place, height) if window else Predictor.of(loaded, place)
    bare = background_classes(loaded.classes, loaded.palette)
    pictures = Pictures(out, kind, opacity, loaded.classes, loaded.palette, bare)
    pictures.prepare(inputs, [checkpoint] if space is None else [checkpoint, space])
    with interrupt.heeded():
        done, shapes = _segment(inputs, predictor, pictures, left_out)
    skipped = sum(left_out.values())
    click.echo(f"{out}: {_counted(done)} segmented" + (f", {skipped} skipped" if skipped else ""))
    if done:
        click.echo(f"  {_way(predictor)}")
        _advise(shapes, loaded, window)
    for line in left_out:
        click.echo(f"skipped: {line}", err=True)
    return NOTHING if not done else SOME if skipped else 0


def _segment(
    inputs: Sequence[Input], predictor: Predictor, pictures: Pictures, left_out: dict[str, int]
) -> tuple[list[Input], list[tuple[int, ...]]]:
    """Predict and write; those done, and the shape of each photo among them. Lines on the others go to `left_out`."""
    from tqdm import tqdm

    from nas.export.video import VideoReader

    done: list[Input] = []
    shapes: list[tuple[int, ...]] = []
    remedy = _remedy(predictor, pictures.kind)
    for source in tqdm(inputs, unit="photo", leave=False, disable=None):
        interrupt.check()
        with _skipping(source, left_out, remedy):
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
def _skipping(source: Input, left_out: dict[str, int], remedy: str) -> Iterator[None]:
    """Go on after an input that cannot be read or is too large for the memory, and add a line on it to those left out.

    Args:
        remedy: what to do where memory did not suffice.
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
    left_out[line] = left_out.get(line, 0) + 1


def _remedy(predictor: Predictor, kind: str) -> str:
    """What to do where memory does not suffice for a photo."""
    from nas.export import WindowPredictor

    ways = ["use --device cpu"] if predictor.network.mean.device.type == "cuda" else []
    if isinstance(predictor, WindowPredictor):
        ways += ["give a smaller --height", "leave out --window"]
    else:
        ways += ["scale it down", "cut it into tiles", *["use --write masks"] * (kind != "masks")]
    return f"{', '.join(ways[:-1])} or {ways[-1]}"


def _frames(film: VideoReader, predictor: Predictor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A video's frames and their class indices."""
    from tqdm import tqdm

    count = 0
    for image in tqdm(film, film.path.name, total=film.frames, unit="frame", leave=False, disable=None):
        interrupt.check()
        yield image, predictor.predict(image)
        count += 1
    if film.frames and count < 0.9 * film.frames:
        tqdm.write(f"{film.path} breaks off after {count} of {film.frames} frames", file=sys.stderr)


def _counted(done: Sequence[Input]) -> str:
    videos = sum(source.video for source in done)
    kinds = [counted(len(done) - videos, "photo")] if len(done) > videos or not videos else []
    return " and ".join([*kinds, counted(videos, "video")] if videos else kinds)


def _way(predictor: Predictor) -> str:
    """How photos were brought to the network, in words."""
    from nas.export import WindowPredictor

    high, wide = predictor.preprocessing.size
    if isinstance(predictor, WindowPredictor):
        return f"each scaled to a height of {predictor.height} and seen in windows of {high}x{wide} that overlap"
    return f"each resized to {high}x{wide} (height x width), as the training images were"


def _advise(shapes: Sequence[tuple[int, ...]], checkpoint: Checkpoint, window: bool) -> None:
    """Say how many photos have other proportions than the first training image, since they were squeezed."""
    data: Any = checkpoint.provenance.get("data")
    native = data.get("native") if isinstance(data, dict) else None
    if window or not native:
        return
    ratios = [(shape[1] / shape[0]) / (native[1] / native[0]) for shape in shapes]
    squeezed = sum(max(ratio, 1 / ratio) > SQUEEZED for ratio in ratios)
    if squeezed:
        click.echo(
            f"  {counted(squeezed, 'photo')} of other proportions than the first training image "
            f"({native[0]}x{native[1]}): --window keeps them"
        )


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-predict`."""
    run(command, args)


if __name__ == "__main__":
    main()
