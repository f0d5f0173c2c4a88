"""groups.csv: groups of images in tables as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.tasks.data import load_data
from nas.tasks.data.doctor import examine, findings
from nas.tasks.data.doctor.text import facts
from nas.tasks.data.image_groups import in_groups, read_image_groups
from nas.tasks.data.items import FileItem

ROWS = (("aa.png", "patient 7"), ("ab.png", "patient 7"), ("ac.png", "Żółw"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["image{}group", "File{}Patient", "filename{}site", None])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_any_separator_encoding_and_header(
    tmp_path: Path, separator: str, encoding: str, head: str | None, end: str
) -> None:
    lines = [separator.join(row) for row in ROWS]
    if head is not None:
        lines.insert(0, head.format(separator))
    (tmp_path / "groups.csv").write_bytes((end.join(lines) + end).encode(encoding))
    assert read_image_groups(tmp_path / "groups.csv") == ROWS


def test_header_names_the_columns(tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text('age,patient,image\n61,"Doe, J.",aa\n58,Roe,ab\n')
    assert read_image_groups(file) == (("aa", "Doe, J."), ("ab", "Roe"))
    file.write_text("image,age,doctor\naa,61,x\n")
    with pytest.raises(UserError, match="which column is the group"):
        read_image_groups(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"image,group\naa.png\n", "row 2 .* lacks an image or a group"),
        (b"image,group\naa.png,\n", "row 2 .* lacks an image or a group"),
        (b"image,group\n\xff\xe9,x\n", "cannot be read as a table of groups: save it in UTF-8"),
    ],
)
def test_invalid_tables_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "groups.csv").write_bytes(content)
    with pytest.raises(UserError, match=why):
        read_image_groups(tmp_path / "groups.csv")


def test_images_are_found_like_those_of_lists() -> None:
    items = [FileItem(name, Path(f"{name}.png")) for name in ("train/aa", "train/ab", "test/aa", "test/é")]

    def grouped(*rows: tuple[str, str]) -> list[str | None]:
        return [item.group for item in in_groups(items, rows, "groups.csv")[0]]

    assert grouped(("train\\aa.png", "p"), ("ab", "q")) == ["p", "q", None, None]
    assert grouped(("C:\\data\\images\\test\\aa.PNG", "p"), ("e\u0301.png", "q")) == [None, None, "p", "q"]
    with pytest.raises(UserError, match="aa is in several folders"):
        grouped(("aa", "p"))
    with pytest.raises(UserError, match=r"ab\.png is in p and in q"):
        grouped(("ab", "p"), ("ab.png", "q"))
    with pytest.raises(UserError, match="no row names an image of this data set; the first of 1 names zz"):
        grouped(("zz", "p"))


def test_counts_and_unknown_names_are_reported(make_folder, write_image) -> None:
    root = make_folder(8)
    write_image(root / "unlabelled" / "u.png", seed=100)
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name},site {place // 2}" for place, name in enumerate(names[:6])]
    (root / "groups.csv").write_text("\n".join(["image,site", *rows, "unlabelled/u,site 9"]))
    note, unknown = "7 of 9 images are in 4 groups, by groups.csv", "not in this data set"
    summary = load_data(f"folder:{root}", progress=False).summary
    assert summary is not None and f"{note}." in summary.lines()
    assert not any(unknown in warning for warning in summary.warnings)
    with (root / "groups.csv").open("a") as file:
        file.write("".join(f"\nzz{n}.png,site 0" for n in (1, 2, 2, 3, 4, 5, 6, 7)))
    warning = f"groups.csv names 7 images {unknown}: zz1.png, zz2.png, zz3.png, zz4.png, zz5.png and 2 more"
    seen = examine(f"folder:{root}")
    assert ("read", note) in facts(seen)
    assert [found.severity for found in findings(seen) if warning in found.what] == ["warning"]
    summary = load_data(f"folder:{root}", progress=False).summary
    assert summary is not None and any(warning in each for each in summary.warnings)


def test_groups_and_their_unlabelled_images_stay_on_one_side(make_folder, write_image) -> None:
    root = make_folder(24)
    for n in range(8):
        write_image(root / "unlabelled" / f"u{n}.png", seed=100 + n)
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name},site {place % 8}" for place, name in enumerate(names)]
    rows += [f"unlabelled/u{n}.png,site {n}" for n in range(8)]
    (root / "groups.csv").write_text("\n".join(["image,site", *rows]))
    data = load_data(f"folder:{root}", progress=False)
    of = dict(row.rsplit(",", 1) for row in rows)
    tested = {of[name] for name in data.test.names}
    assert len(data.test) == 6 and len(tested) == 2
    assert not tested & {of[name] for name in data.labelled.names}
    assert {of[f"{name}.png"] for name in data.unlabelled.names} == set(of.values()) - tested
    assert data.summary is not None and data.summary.groups == 6
    assert ("unlabelled images of the groups of test images", 2) in [
        (out.reason, out.count) for out in data.summary.left_out
    ]


def test_group_divided_by_declared_splits_is_warned_of(make_folder, caplog) -> None:
    root = make_folder()
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n".join(names[:8]))
    (root / "splits" / "test.txt").write_text("\n".join(names[8:]))
    (root / "groups.csv").write_text("\n".join(f"{name},p{place // 3}" for place, name in enumerate(names)))
    data = load_data(f"folder:{root}", progress=False)
    assert data.test.names == tuple(names[8:])
    warning = "the declared splits divide 1 group of groups.csv: p2"
    assert warning in caplog.text
    assert data.summary is not None and any(warning in each for each in data.summary.warnings)


def test_one_group_cannot_be_split(make_folder) -> None:
    root = make_folder()
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "groups.csv").write_text("\n".join(f"{name},p" for name in names))
    with pytest.raises(UserError, match="too few images to hold some out, 12 images of 1 group: at least 3 are needed"):
        load_data(f"folder:{root}", progress=False)
