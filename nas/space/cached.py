"""Which candidates of a space with `frozen="cached"` are trained on cached features."""

from __future__ import annotations

from nas.space.domains import Domain, values_of
from nas.space.recipe import Recipe
from nas.space.walk import components

__all__ = ["cached_notes", "has_cached"]


def has_cached(space: Recipe) -> bool:
    """Whether an encoder of the space or of a baseline may be `frozen="cached"`."""
    recipes = (space, *space.baselines)
    parts = (part for recipe in recipes for part in components(recipe.encoder))
    return any("cached" in values_of(getattr(part, "frozen", 0)) for part in parts)


def cached_notes(space: Recipe) -> list[str]:
    """Clauses on where `frozen="cached"` is the same as "all", in the space and in its baselines."""
    if not has_cached(space):
        return []
    methods = {type(method).__name__: getattr(method, "needs_images", True) for method in values_of(space.method)}
    caching = [name for name, needs_images in methods.items() if not needs_images]
    optional = isinstance(space.pretext, Domain)
    notes = []
    if not caching or (space.pretext and not optional):
        notes.append('frozen="cached" is the same as "all", since every method or a pretext task reads images')
    elif optional or len(caching) < len(methods):
        which = f"with {' or '.join(caching)}" + (" and no pretext task" if optional else "")
        notes.append(f'used by candidates {which}; for the others frozen="cached" is the same as "all"')
    for i, baseline in enumerate(space.baselines):
        if has_cached(baseline.candidate()) and not baseline.caches_features:
            reader = "a pretext task" if baseline.pretext else type(baseline.method).__name__
            notes.append(f'{space.baseline_name(i)} is trained as with frozen="all", since {reader} reads images')
    return notes
