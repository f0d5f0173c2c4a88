"""Walks over a space: closing, parameters, sizes and errors, as properties of random spaces."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.space import (
    Choice,
    Component,
    Float,
    Int,
    Mix,
    Recipe,
    Repeat,
    SpaceError,
    candidate_hash,
    check,
    close,
    crossover,
    draw,
    enumerate_candidates,
    from_genes,
    from_json,
    genes_of,
    is_open,
    locate,
    mutate,
    parameters,
    size,
    to_json,
)


@dataclass(frozen=True)
class Leaf(Component):
    """A part without parts."""

    value: Any = 0
    weight: Any = 1.0


@dataclass(frozen=True)
class Branch(Component):
    """A part with parts."""

    left: Any = None
    right: Any = ()


@dataclass(frozen=True)
class OtherLeaf(Component):
    """A second kind of leaf."""

    value: Any = 0
    weight: Any = 1.0


values = st.sampled_from([0, 1, "text", True, False, None, 2.5, (1, 2)])
ints = st.builds(
    lambda lo, n, step: Int(lo, lo + n, step=step), st.integers(-3, 3), st.integers(0, 5), st.integers(1, 3)
)
floats = st.builds(lambda lo, n: Float(lo, lo + n), st.floats(0.01, 1), st.floats(0, 2))
steps = st.builds(lambda n: Float(0.0, n * 0.25, step=0.25), st.integers(1, 4))


def nodes(discrete: bool) -> st.SearchStrategy[Any]:
    base = values | ints | steps if discrete else values | ints | steps | floats

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        leaf = st.builds(Leaf, value=inner)
        choice = st.lists(st.sampled_from([0, 1, 2, "a", "b", None]), min_size=1, max_size=3, unique_by=repr)
        mixed = st.builds(lambda a, b: Choice(Leaf(a), Branch(b), "none"), inner, inner)
        mix = st.builds(lambda a, b: Mix(Leaf(a), OtherLeaf(b), weight=Int(1, 2)), inner, inner)
        repeat = st.builds(lambda a, lo, n: Repeat(a, Int(lo, lo + n)), inner, st.integers(0, 1), st.integers(0, 1))
        pair = st.builds(Branch, left=inner, right=st.tuples(inner))
        return leaf | choice.map(lambda c: Choice(*c)) | mixed | mix | repeat | pair

    return st.recursive(base, extend, max_leaves=4)


def recipe(node: Any) -> Recipe:
    return Recipe(encoder=node, decoder=Leaf(), method=Leaf())


@given(nodes(False), st.integers(0, 1000))
@settings(deadline=None)
def test_a_closed_space_has_nothing_open_and_its_genes_reproduce_it(node: Any, seed: int) -> None:
    space = recipe(node)
    candidate, genes = genes_of(space, draw(random.Random(seed)))
    assert not is_open(candidate)
    assert close(space, from_genes(genes)) == candidate
    known = {p.path for p in parameters(space)}
    assert set(genes) <= known


@given(nodes(False), st.integers(0, 1000))
@settings(deadline=None)
def test_json_round_trip_keeps_the_candidate_and_its_hash(node: Any, seed: int) -> None:
    candidate = close(recipe(node), draw(random.Random(seed)))
    again = from_json(to_json(candidate))
    assert again == candidate
    assert candidate_hash(again) == candidate_hash(candidate)


@given(nodes(False), st.integers(0, 1000))
@settings(deadline=None)
def test_every_candidate_is_located_in_its_space(node: Any, seed: int) -> None:
    space = recipe(node)
    candidate = close(space, draw(random.Random(seed)))
    genes = locate(space, candidate)
    assert genes is not None
    assert close(space, from_genes(genes)) == candidate


@given(nodes(True))
@settings(deadline=None)
def test_size_is_the_number_of_enumerated_candidates(node: Any) -> None:
    space = recipe(node)
    counted = size(space)
    assert not counted.continuous
    if counted.discrete <= 500:
        assert sum(1 for _ in enumerate_candidates(space)) == counted.discrete


@given(nodes(False), st.integers(0, 1000))
@settings(deadline=None)
def test_a_mutant_keeps_all_genes_but_those_redrawn(node: Any, seed: int) -> None:
    space, rng = recipe(node), random.Random(seed)
    _, parent = genes_of(space, draw(rng))
    _, mutant = genes_of(space, mutate(parent, rng, changes=1))
    shared = [path for path in mutant if path in parent]
    changed = [path for path in shared if mutant[path] != parent[path] or type(mutant[path]) is not type(parent[path])]
    assert len(changed) <= 1


@given(nodes(False), st.integers(0, 1000))
@settings(deadline=None)
def test_a_child_takes_each_gene_from_a_parent_that_has_it(node: Any, seed: int) -> None:
    space, rng = recipe(node), random.Random(seed)
    _, one = genes_of(space, draw(rng))
    _, other = genes_of(space, draw(rng))
    _, child = genes_of(space, crossover(one, other, rng))
    for path, value in child.items():
        parents = [p[path] for p in (one, other) if path in p]
        assert not parents or value in parents


def test_paths_are_those_of_the_fields_and_the_chosen_options() -> None:
    space = Recipe(
        encoder=Branch(right=Repeat(Branch(left=Choice(Leaf(), OtherLeaf(value=Int(2, 6)))), times=Int(1, 2))),
        decoder=Choice("a", "b"),
        pretext=Mix(Leaf(value=Float(0.1, 0.4))),
    )
    assert [p.path for p in parameters(space)] == [
        "encoder.right.times",
        "encoder.right.0.left",
        "encoder.right.0.left.OtherLeaf.value",
        "encoder.right.1.left",
        "encoder.right.1.left.OtherLeaf.value",
        "decoder",
        "pretext.Leaf",
        "pretext.Leaf.value",
        "pretext.Leaf.weight",
    ]
    conditions = {p.path: p.conditions for p in parameters(space)}
    assert conditions["encoder.right.1.left.OtherLeaf.value"] == (
        "encoder.right.times > 1",
        "encoder.right.1.left is OtherLeaf",
    )
    assert conditions["pretext.Leaf.weight"] == ("pretext.Leaf is on",)


def test_options_of_one_class_are_told_apart_by_their_fields() -> None:
    choice = Choice(Leaf(), Leaf(value=3), OtherLeaf())
    assert choice.labels == ("Leaf()", "Leaf(value=3)", "OtherLeaf")
    assert close(choice, lambda path, domain: "Leaf(value=3)") == Leaf(value=3)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (Choice(), "decoder is an empty Choice"),
        (Mix(), "decoder is an empty Mix"),
        (Int(5, 3), "decoder has lo > hi"),
        (Float(0.5, 0.1), "decoder has lo > hi"),
        (Float(0, 1, log=True), "decoder is a log domain from 0"),
        (Int(0, 4, log=True), "decoder is a log domain from 0"),
        (Int(1, 4, step=0), "decoder has a step of 0"),
        (Float(0.1, math.inf), "decoder has bounds"),
        (Int(1, 2.5), "decoder has bounds"),  # type: ignore[arg-type]
        (Choice("a", "a"), "decoder has two options called"),
        (Mix(Leaf(), Leaf()), "decoder has two parts called"),
        (Repeat(Leaf(), times=-1), "decoder repeats -1 times"),
        (Repeat(Leaf(), times=Int(3, 1)), "decoder.times has lo > hi"),
        (Branch(left=Choice(Leaf(Choice()))), "decoder.left.Leaf.value is an empty Choice"),
        (Choice("a", "b", prior="c"), "decoder has a prior of 'c', which is not one of its values"),
        (Int(1, 9, step=2, prior=4), "decoder has a prior of 4"),
        (Float(0.1, 0.5, prior=1.0), "decoder has a prior of 1.0"),
    ],
)
def test_an_unusable_domain_is_named_by_its_path(field: Any, message: str) -> None:
    with pytest.raises(SpaceError, match="^" + message.replace("(", r"\(")) as error:
        check(Recipe(encoder=Leaf(), decoder=field))
    assert "\n" not in str(error.value)


def test_a_prior_may_be_an_option_or_its_label() -> None:
    parts = Leaf(value=1), Leaf(value=2)
    by_option, by_label = Choice(*parts, prior=parts[1]), Choice(*parts, prior=Choice(*parts).labels[1])
    assert by_option.prior == by_label.prior == by_option.labels[1]
    assert by_option.problem() is None
    assert Choice(True, 2, prior=1).problem()


def test_two_parameters_on_one_path_are_refused() -> None:
    clash = Branch(left=Choice(Branch(left=Choice(1, 2)), "Branch.left"))
    check(Recipe(encoder=clash, decoder=Leaf()))
    # The option's own path, "x.Leaf", meets the on-off parameter of a Mix of the same name below it.
    class_named = Choice(Mix(Leaf()), Leaf())
    labels = class_named.labels
    assert len(set(labels)) == 2
    both = Recipe(encoder=Choice(Branch(left=Int(1, 2)), _Named(Int(1, 2))), decoder=Leaf())
    with pytest.raises(SpaceError, match=r"encoder\.Branch\.left is the path of two parameters"):
        check(both)


class _Named(Choice):
    """A nested choice whose label imitates a component's."""

    def __init__(self, domain: Int) -> None:
        super().__init__("only")
        self.domain = domain

    def __repr__(self) -> str:
        return "Branch.left"


def test_a_value_outside_its_domain_is_refused_with_the_path() -> None:
    with pytest.raises(SpaceError, match="decoder: 'z' is not one of 'a', 'b'"):
        close(Recipe(encoder=Leaf(), decoder=Choice("a", "b")), lambda path, domain: "z")
    with pytest.raises(SpaceError, match=r"decoder: 9 is not in Int\(1, 4\)"):
        close(Recipe(encoder=Leaf(), decoder=Int(1, 4)), lambda path, domain: 9)


def test_hash_ignores_what_has_no_effect() -> None:
    plain = Recipe(encoder=Leaf(), decoder=Leaf(), method=Leaf())
    same = [
        replace(plain, pretext_statistics="shared"),
        replace(plain, pretext=(Leaf(weight=0),)),
        replace(plain, baselines=(plain,), constraints=(lambda c: True,)),
        replace(plain, labelled_batch=8.0),
    ]
    assert {candidate_hash(c) for c in same} == {candidate_hash(plain)}
    two = replace(plain, pretext=(Leaf(1), OtherLeaf(2)))
    assert candidate_hash(two) == candidate_hash(replace(plain, pretext=(OtherLeaf(2), Leaf(1))))
    assert candidate_hash(two) != candidate_hash(plain)
    assert candidate_hash(replace(plain, norm="group")) != candidate_hash(plain)


def test_json_of_another_schema_or_an_unknown_part_is_refused() -> None:
    text = to_json(Recipe(encoder=Leaf(), decoder=Leaf()))
    with pytest.raises(SpaceError, match="schema 99"):
        from_json(text.replace('"schema": 1', '"schema": 99'))
    with pytest.raises(SpaceError, match=r"recipe\.encoder: component 'Nothing' is unknown"):
        from_json(text.replace('"Leaf"', '"Nothing"', 1))
    with pytest.raises(SpaceError, match="not a recipe"):
        from_json("[1, 2]")
    with pytest.raises(SpaceError, match="Leaf has no field 'valeu'"):
        from_json(text.replace('"value"', '"valeu"', 1))


def test_an_open_space_cannot_be_written_as_json() -> None:
    with pytest.raises(SpaceError, match="close it first"):
        to_json(Recipe(encoder=Choice(1, 2), decoder=Leaf()))
