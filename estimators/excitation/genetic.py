"""A genetic minimiser for costs without gradients: tournament, blend crossover, mutation, elitist (μ + λ) selection.

Blend crossover (BLX-α): Eshelman and Schaffer 1993. Genes live in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLEND = 0.35
"""α: how far beyond its parents a child's gene may lie, in parts of their distance."""
SPREAD = 0.15
"""Standard deviation of a mutation, in parts of a gene's range, at first; a quarter of it in the last generation."""


@dataclass(frozen=True, slots=True)
class Evolved:
    """What came of a search."""

    genes: Array
    cost: float
    first: Array
    """The best genes of the first, random generation."""
    evaluations: int
    finished: bool
    """False where somebody asked to stop before the last generation."""


def minimise(
    cost: Callable[[Array, float], float],
    size: int,
    rng: np.random.Generator,
    *,
    population: int = 40,
    generations: int = 60,
    mutation: float = 0.15,
    each: Callable[[int, float], bool] | None = None,
) -> Evolved:
    """The genes (size,) of least ``cost(genes, bound)`` that were found.

    A cost need not be found out any more once it is known to reach ``bound``: such genes are dropped; what is returned
    for them must reach ``bound`` too.
    ``each(generation, least)`` is told after each generation, the random first one included (counted 0), and ends the
    search by returning False. ``mutation``: share of genes that mutate. Same ``rng`` state, same result.
    """
    people = rng.random((population, size))
    costs = np.array([cost(genes, np.inf) for genes in people])
    first = people[int(np.argmin(costs))].copy()
    evaluations, finished = population, True
    for generation in range(generations):
        if each is not None and not each(generation, float(costs.min())):
            finished = False
            break
        fade = generation / max(generations - 1, 1)
        children = np.array([_child(people, costs, rng, mutation, SPREAD * (1.0 - 0.75 * fade)) for _ in people])
        bound = float(costs.max())
        theirs = np.array([cost(genes, bound) for genes in children])
        evaluations += population
        people, costs = np.vstack((people, children)), np.concatenate((costs, theirs))
        best = np.argsort(costs, kind="stable")[:population]
        people, costs = people[best], costs[best]
    else:
        if each is not None:
            each(generations, float(costs.min()))
    least = int(np.argmin(costs))
    return Evolved(people[least].copy(), float(costs[least]), first, evaluations, finished)


def _child(people: Array, costs: Array, rng: np.random.Generator, mutation: float, spread: float) -> Array:
    mother, father = (people[_winner(costs, rng)] for _ in range(2))
    low, high = np.minimum(mother, father), np.maximum(mother, father)
    room = BLEND * (high - low)
    child = rng.uniform(low - room, high + room)
    mutant = rng.random(child.size) < mutation
    child[mutant] += rng.normal(0.0, spread, int(mutant.sum()))
    inside: Array = np.clip(child, 0.0, 1.0)
    return inside


def _winner(costs: Array, rng: np.random.Generator) -> int:
    """The best of three drawn at random."""
    drawn = rng.integers(0, costs.size, 3)
    return int(drawn[np.argmin(costs[drawn])])
