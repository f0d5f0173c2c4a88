"""The shipped pretext tasks pass the contract."""

from __future__ import annotations

from typing import Any

from nas.tasks.pretext import Colorization, Denoising, Inpainting, Jigsaw, Rotation
from tests.contracts.task_contract import TaskContract


class TestInpainting(TaskContract):
    range = (0.0, 1.0)

    def task(self) -> Any:
        return Inpainting()


class TestDenoising(TaskContract):
    def task(self) -> Any:
        return Denoising()


class TestColorization(TaskContract):
    random = False
    range = (0.0, 1.0)

    def task(self) -> Any:
        return Colorization()


class TestColorizationRebalanced(TaskContract):
    random = False
    range = (0.0, 1.0)

    def task(self) -> Any:
        return Colorization(grid=20, rebalance=True)


class TestJigsaw(TaskContract):
    def task(self) -> Any:
        return Jigsaw(permutations=8)


class TestJigsawOfFour(TaskContract):
    def task(self) -> Any:
        return Jigsaw(grid=2)


class TestRotation(TaskContract):
    def task(self) -> Any:
        return Rotation()
