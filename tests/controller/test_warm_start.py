"""A search that is warm-started from another run, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nas.errors import UserError
from nas.runs.run import COLUMNS, Run
from nas.runs.settings import Settings
from tests.shell import SHORT, Shell


@pytest.mark.slow
def test_the_best_of_another_run_are_tried_after_the_baselines(shell: Shell) -> None:
    first = shell.run("search", "--space", "small.py", "--budget", "6", "--name", "one", *SHORT)
    assert first.returncode == 0, first.stderr
    winners = [
        h
        for h, n in zip(*Run(shell.folder / "runs" / "one").ranking[["hash", "name"]].T.to_numpy(), strict=True)
        if "trial" in n
    ]
    narrower = shell.folder / "narrower.py"
    narrower.write_text(shell.space.read_text().replace("FPN(width=8)", "ASPP(rates=(2,), width=8)"))
    options = ("--space", "narrower.py", "--name", "two", "--warm-start", "runs/one", "--budget", "8", *SHORT)
    second = shell.run("search", *options)
    assert second.returncode == 0, second.stderr
    assert "best candidates of runs/one; points of this space: " in second.stdout
    trials = Run(shell.folder / "runs" / "two").study().get_trials(deepcopy=False)
    tried = [t.user_attrs["hash"] for t in trials]
    usable = [h for h in winners if h in tried]
    fpn = {
        t.user_attrs["hash"]
        for t in Run(shell.folder / "runs" / "one").study().trials
        if t.params.get("decoder") == "FPN"
    }
    assert usable and set(winners) - set(usable) <= fpn
    assert not fpn & set(tried)
    assert tried[1 : 1 + len(usable)] == usable


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"rank,name\n1,x\n", b"\xff\xfe\x00", b'rank,"x\n1'])
def test_a_damaged_ranking_is_refused_in_one_line(shell: Shell, content: bytes) -> None:
    run = shell.folder / "runs" / "one"
    run.mkdir(parents=True)
    Settings("small.py").write(run)
    (run / "ranking.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"ranking.csv cannot be read .*: remove it and resume the run") as error:
        _ = Run(run).ranking
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("digest", ["1234567890123456", "12345678e1234567", "0012345678901234"])
def test_a_hash_may_look_like_a_number(tmp_path: Path, digest: str) -> None:
    Settings("small.py").write(tmp_path)
    given = dict.fromkeys(COLUMNS, 0.5) | {"rank": 1, "name": "trial 3", "hash": digest, "winner": True}
    pd.DataFrame([given]).to_csv(tmp_path / "ranking.csv", index=False)
    assert Run(tmp_path).ranking["hash"].tolist() == [digest]
    for winners in ([""], [False], [True, True]):
        pd.DataFrame([{**given, "winner": w} for w in winners]).to_csv(tmp_path / "ranking.csv", index=False)
        with pytest.raises(UserError, match="it must name one winner"):
            _ = Run(tmp_path).ranking


def test_an_unusable_run_is_refused_in_one_line(shell: Shell) -> None:
    (shell.folder / "empty").mkdir()
    for folder, words in (("nowhere", "there is no such run"), ("empty", "is not a run")):
        ended = shell.run("search", "--space", "small.py", "--warm-start", folder, *SHORT)
        assert ended.returncode == 2
        assert words in ended.stderr and "Traceback" not in ended.stderr and ended.stderr.count("\n") <= 3
    assert not (shell.folder / "runs").exists()
    assert Path(shell.space).exists()
