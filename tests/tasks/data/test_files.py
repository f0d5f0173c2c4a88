"""Image files in folders with links, accents and unsupported formats; lists of stems in every encoding."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.tasks.data import load_data, open_source
from nas.tasks.data.files import describe_unsupported, list_images, unsupported_images, walk_images
from nas.tasks.data.stems import read_stems
from nas.tasks.data.texts import read_text


def decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk_images(root)]


def test_links_to_folders_are_followed_without_loops(tmp_path: Path, write_image, caplog) -> None:
    root, store = tmp_path / "photos", tmp_path / "store"
    write_image(root / "own.jpg")
    write_image(store / "day" / "b.png")
    write_image(store / "a.png")
    (root / "album").symlink_to(store)
    assert names(root) == ["own.jpg", "album/a.png", "album/day/b.png"]
    assert not caplog.text
    (store / "day" / "back").symlink_to(root)
    (root / "self").symlink_to(".")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "ring").symlink_to("ring")
    assert names(root) == ["own.jpg", "album/a.png", "album/day/b.png"]
    for link in ("photos/album/day/back", "photos/self"):
        assert f"{link} links to a parent folder of its own: not followed" in caplog.text
    assert "gone.jpg links to" in caplog.text and "which does not exist" in caplog.text


def test_links_to_splits(make_folder, tmp_path: Path) -> None:
    store, root = make_folder(), tmp_path / "linked"
    for part in ("images", "masks"):
        for split in ("train", "val"):
            (root / part / split).mkdir(parents=True)
        (root / part / "train" / "site").symlink_to(store / part)
        (root / part / "val" / "site").symlink_to(make_folder(3, "other") / part)
    data = load_data(f"folder:{root}", progress=False)
    assert data.test.names == ("val/site/aa", "val/site/ab", "val/site/ac")
    assert len(data.labelled) == 9  # three of the twelve are copies of val images


def test_hidden_files_and_files_of_tools_are_skipped(tmp_path: Path, write_image) -> None:
    for name in ("a.png", ".b.png", "@eaDir/a.png", ".cache/a.png", "sub/._a.png", "sub/c.JPG", "notes.txt"):
        write_image(tmp_path / name) if not name.endswith(".txt") else (tmp_path / name).write_text("")
    assert names(tmp_path) == ["a.png", "sub/c.JPG"]


def test_accents_match_in_any_unicode_form(tmp_path: Path, write_image, write_mask) -> None:
    root, name = tmp_path / "set", "Zürich_é"
    for letter in "abcdefghi":
        write_image(root / "images" / decomposed(f"año/{name}_{letter}.png"))
        write_mask(root / "masks" / f"año/{name}_{letter}.png", [[0, 1] * 8] * 12)
    (root / "splits").mkdir()
    listed = [f"año/{name}_{letter}" for letter in "abcdefghi"]
    (root / "splits" / "train.txt").write_text("\n".join(listed[:6]))
    (root / "splits" / "val.txt").write_text(decomposed("\n".join(listed[6:])))
    data = load_data(f"folder:{root}", progress=False)
    assert data.test.names == tuple(listed[6:])
    assert list(list_images(root / "images" / decomposed("año"))) == [f"{name}_{letter}" for letter in "abcdefghi"]


def test_names_that_differ_only_in_unicode_form_are_refused(tmp_path: Path, write_image) -> None:
    for name in ("é.png", decomposed("é.png")):
        write_image(tmp_path / name)
    if len(list(tmp_path.iterdir())) == 2:  # else the file system takes both for one name
        with pytest.raises(UserError, match="share a stem; rename one"):
            list_images(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lists_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = '# ours\r\ntrain\\café_1.png\r\n\r\n C:\\data\\images\\train\\b.JPG \r\n"c d"\r\n'
    (tmp_path / "list.txt").write_bytes(decomposed(text).encode(encoding))
    assert read_stems(tmp_path / "list.txt") == ("train/café_1", "C:/data/images/train/b", "c d")


def test_list_with_backslashes(tmp_path: Path, make_folder, write_image, write_mask) -> None:
    root = tmp_path / "set"
    for n in range(9):
        write_image(root / "images" / "day" / f"{chr(97 + n)}.png")
        write_mask(root / "masks" / "day" / f"{chr(97 + n)}.png", [[0, 1] * 8] * 12)
    (root / "some.txt").write_bytes("images\\day\\a.png,masks\\day\\a.png\r\nday\\b.png\r\n".encode("utf-16"))
    (root / "splits").mkdir()
    (root / "splits" / "val.txt").write_text("\n".join("hi"))
    (root / "splits" / "ranking.txt").write_text("\n".join("fg"))
    data = load_data(f"folder:{root}", labels=str(root / "some.txt"), progress=False)
    assert data.labelled.names == ("day/a", "day/b")


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(UserError, match=r"list\.txt cannot be read as a list of stems: save it in UTF-8"):
        read_text(tmp_path / "list.txt", "a list of stems")


def test_unsupported_formats_are_counted_with_advice(tmp_path: Path, write_image) -> None:
    for n in range(3):
        (tmp_path / f"IMG_{n}.HEIC").write_bytes(b"x")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "old.gif").write_bytes(b"x")
    write_image(tmp_path / "read.jpg")
    line = describe_unsupported(unsupported_images(tmp_path))
    assert "4 images left out (3 HEIC, 1 GIF), the first is" in line and "IMG_0.HEIC" in line
    assert "HEIC: convert to JPEG" in line and "GIF: convert to PNG" in line


def test_folder_of_unsupported_formats_is_refused(make_folder) -> None:
    root = make_folder()
    for path in (root / "masks").iterdir():
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(UserError, match=r"masks/ holds no image .*12 images left out \(12 GIF\).* GIF: convert to PNG"):
        open_source(f"folder:{root}")


def test_folder_of_annotation_files_is_refused_with_their_number(make_folder) -> None:
    root = make_folder()
    for path in (root / "masks").iterdir():
        path.rename(path.with_suffix(".json"))
    with pytest.raises(UserError, match=r"masks/ holds no image .* but 12 \.json: convert them to masks"):
        open_source(f"folder:{root}")
