"""nas-predict: class maps of photos, as overlays and index masks at each photo's own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.errors import run
from nas.errors import UserError
from nas.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from nas.export import Checkpoint

__all__ = ["command", "main"]

KINDS = ("both", "overlays", "masks")


@click.command(context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
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
@click.option("--device", help="cpu or cuda; by default cuda where there is one.")
@click.option("--space", type=click.Path(path_type=Path), help="The space file, if it defines components of its own.")
def command(
    checkpoint: Path,
    inputs: tuple[Path, ...],
    out: Path,
    kind: str,
    opacity: float,
    window: bool,
    height: int | None,
    device: str | None,
    space: Path | None,
) -> int:
    """Segment photos, and the photos of folders, with a checkpoint or a run's best one.

    Writes NAME_overlay (JPEG for JPEG photos, else PNG), NAME_mask.png (the class index of each pixel)
    and legend.png. Folders are read with those inside them, which are found again in the output. Photos
    that cannot be read are named and skipped; the exit code is 2 if that leaves none.
    """
    if height is not None and not window:
        raise UserError("--height is for --window: without it each photo is resized to the training size")
    photos = _photos(inputs, out)
    from nas.cli.evaluate import pick_device
    from nas.export import Predictor, WindowPredictor, legend, load_checkpoint

    place = pick_device(device)
    loaded = load_checkpoint(checkpoint, space)
    predictor = WindowPredictor.of(loaded, place, height) if window else Predictor.of(loaded, place)
    _make_folder(out)
    done = 0
    for photo, image, name in _read(photos):
        mask = predictor.predict(image)
        for target, picture in _pictures(loaded, photo, name, image, mask, kind, opacity):
            _write(out / target, picture)
        done += 1
    if done:
        _write(out / "legend.png", legend(loaded.classes, loaded.palette))
    skipped = len(photos) - done
    click.echo(f"{out}: {counted(done, 'photo')} segmented" + (f", {skipped} skipped" if skipped else ""))
    return 0 if done else 2


def _photos(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """The image files among and inside the inputs, each once, and what is to be found again of each one's path."""
    from tasks.data.files import IMAGE_SUFFIXES

    photos: dict[Path, tuple[Path, Path]] = {}
    for path in inputs:
        if path.is_dir():
            target = out.resolve()
            if path.resolve() == target:
                raise UserError(f"--out is {path}, which is also read from: choose another folder")
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
            # What an earlier call wrote below the folder is none of its photos.
            written = target if target.is_relative_to(path.resolve()) else None
            shown = [p for p in inside if not _hidden(p.relative_to(path)) and written not in p.resolve().parents]
            if not shown:
                raise UserError(f"{path} holds no images: known are {', '.join(IMAGE_SUFFIXES)}")
            photos.update((p.resolve(), (p, p.relative_to(path))) for p in shown)
        elif path.exists():
            photos[path.resolve()] = path, Path(path.name)
        else:
            raise UserError(f"{path}: there is no such file or folder")
    return list(photos.values())


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(photos: Sequence[tuple[Path, Path]]) -> Iterator[tuple[Path, np.ndarray, str]]:
    """Each photo that can be read, with its pixels and a name of its own; the others are named on stderr."""
    from tqdm import tqdm

    from tasks.data.files import BrokenImageError, read_image

    taken: set[str] = set()
    bar = tqdm(photos, unit="photo", leave=False, disable=None)
    for photo, kept in bar:
        name, copies = str(kept.with_suffix("")), 1
        while name in taken:
            copies += 1
            name = f"{kept.with_suffix('')}_{copies}"
        taken.add(name)
        try:
            image = read_image(photo)
        except BrokenImageError as error:
            bar.clear()
            click.echo(f"skipped: {error}", err=True)
        else:
            yield photo, image, name


def _pictures(
    checkpoint: Checkpoint,
    photo: Path,
    name: str,
    image: np.ndarray,
    mask: np.ndarray,
    kind: str,
    opacity: float,
) -> Iterator[tuple[str, np.ndarray]]:
    from nas.export import overlay

    if kind != "masks":
        suffix = ".jpg" if photo.suffix.lower() in (".jpg", ".jpeg") else ".png"
        yield f"{name}_overlay{suffix}", overlay(image, mask, checkpoint.palette, opacity)
    if kind != "overlays":
        yield f"{name}_mask.png", mask


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"--out {out} is a file: choose a folder") from None


def _write(path: Path, picture: np.ndarray) -> None:
    """Write class indices H x W or RGB H x W x 3."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, picture if picture.ndim == 2 else picture[..., ::-1])
    path.write_bytes(data.tobytes())


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-predict`."""
    run(command, args)


if __name__ == "__main__":
    main()
