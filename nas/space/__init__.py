"""Declarative search spaces: recipes with some fields left open, and the functions that close them."""

from nas.space.candidate import SCHEMA, candidate_hash, from_json, to_json
from nas.space.choosers import (
    crossover,
    draw,
    enumerate_candidates,
    from_genes,
    from_trial,
    genes_of,
    middle,
    mutate,
)
from nas.space.component import Component, SpaceError, field_values
from nas.space.describe import describe, space_to_data, space_to_nni
from nas.space.domains import Choice, Domain, Float, Int, Mix, Repeat, label_of
from nas.space.load import find_shipped, find_space_file, load_space
from nas.space.locate import locate
from nas.space.recipe import Joint, PretrainThenFinetune, Recipe
from nas.space.walk import Choose, Parameter, Size, check, close, is_open, parameters, priors, size

__all__ = [
    "SCHEMA",
    "Choice",
    "Choose",
    "Component",
    "Domain",
    "Float",
    "Int",
    "Joint",
    "Mix",
    "Parameter",
    "PretrainThenFinetune",
    "Recipe",
    "Repeat",
    "Size",
    "SpaceError",
    "candidate_hash",
    "check",
    "close",
    "crossover",
    "describe",
    "draw",
    "enumerate_candidates",
    "field_values",
    "find_shipped",
    "find_space_file",
    "from_genes",
    "from_json",
    "from_trial",
    "genes_of",
    "is_open",
    "label_of",
    "load_space",
    "locate",
    "middle",
    "mutate",
    "parameters",
    "priors",
    "size",
    "space_to_data",
    "space_to_nni",
    "to_json",
]
