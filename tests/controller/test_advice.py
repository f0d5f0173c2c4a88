"""Warnings about methods and data, given once, before anything is trained."""

from __future__ import annotations

import pytest

from nas.runs.run import Run
from tests.shell import ALONE, SHORT, SMALL, Shell

FUSED = SMALL.replace("Choice(Supervised(), CutMix())", "Fusion(S4GAN(threshold=1.0), MLMT())")


def test_without_unlabelled_images_one_warning_says_so(shell: Shell) -> None:
    ended = shell.run("search", "--space", "small.py", "--budget", "2", "--name", "one", "--labels", "all", *ALONE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("No unlabelled images: CutMix will train on the labelled images only.") == 1
    assert "unlabelled images" not in ended.stderr


@pytest.mark.slow
def test_few_labels_for_s4gan_give_a_warning(shell: Shell) -> None:
    shell.space.write_text(FUSED)
    ended = shell.run("search", "--space", "small.py", "--budget", "2", "--name", "one", "--labels", "10", *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("S4GAN collapses under about 5 % labels; labelled here: 10 of 360 images.") == 1
    trained = [t for t in Run(shell.folder / "runs" / "one").study().trials if "baseline" not in t.user_attrs]
    assert any("collapses" in text for t in trained for text in t.user_attrs.get("warnings", []))


@pytest.mark.parametrize(
    "method", ["Fusion(S4GAN(), CutMix())", "Fusion(MLMT(), MLMT())", "Fusion(Choice(S4GAN(), MLMT()), MLMT())"]
)
def test_a_fusion_that_does_not_fit_is_one_line(shell: Shell, method: str) -> None:
    shell.space.write_text(SMALL.replace("Choice(Supervised(), CutMix())", method))
    ended = shell.run("search", "--space", "small.py", *SHORT)
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "Fusion" in line and "small.py" in line
    assert not (shell.folder / "runs").exists()
