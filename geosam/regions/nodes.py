"""Nodes of trees with their kin: what is measured of a node looks at its parents, its sibling and its surroundings.

The trees of a tile end where they wait for what lies beyond. `Nodes.under` sets them beneath the larger tile's, so that
a node is measured alike wherever edges of tiles lie.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from geosam.regions.graph import AREA, HEIGHT

WIDE = 8
"""A node's surroundings are the first ancestor of at least so many times its area."""

GENERATIONS = 2
"""Ancestors that are looked at whatever their size: parent and grandparent."""


@runtime_checkable
class Kindred(Protocol):
    """Anything that knows nodes as `Nodes` does, such as `geosam.regions.merging.Merges`."""

    @property
    def sums(self) -> Float64[np.ndarray, "n d"]: ...  # noqa: D102 - as of `Nodes`
    @property
    def past(self) -> Float64[np.ndarray, "n 7"]: ...  # noqa: D102
    @property
    def outline(self) -> Float64[np.ndarray, "n 2"]: ...  # noqa: D102
    @property
    def parent(self) -> Int64[np.ndarray, "n"]: ...  # noqa: D102
    @property
    def sibling(self) -> Int64[np.ndarray, "n"]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes of trees.

    Attributes
    ----------
    sums, past, outline
        As of `geosam.regions.graph.RegionGraph`.
    parent
        The node that each became part of; -1 for a root.
    sibling
        The node that each was merged with; itself for a root.
    """

    sums: Float64[np.ndarray, "n d"]
    past: Float64[np.ndarray, "n 7"]
    outline: Float64[np.ndarray, "n 2"]
    parent: Int64[np.ndarray, "n"]
    sibling: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.sums)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Nodes":
        """The inverse of `to_arrays`; other arrays are left aside."""
        return cls(**{each.name: arrays[each.name] for each in fields(cls)})

    @property
    def height(self) -> Float64[np.ndarray, "n"]:
        """The cost at which each node was made."""
        return self.past[:, HEIGHT]

    def under(self, above: "Nodes", roots: Int64[np.ndarray, "r"], at: Int64[np.ndarray, "r"]) -> "Nodes":
        """These nodes, and after them those above; root ``roots[k]`` is the node ``at[k]`` there."""
        n = len(self)
        parent, sibling = (np.concatenate([own, n + far]) for own, far in zip(self._kin, above._kin, strict=True))
        parent[n:][above.parent < 0] = -1
        parent[roots], sibling[roots] = parent[n + at], sibling[n + at]
        alone = parent[roots] < 0
        sibling[roots[alone]] = roots[alone]
        sums, past = np.concatenate([self.sums, above.sums]), np.concatenate([self.past, above.past])
        return Nodes(sums, past, np.concatenate([self.outline, above.outline]), parent, sibling)

    def around(self, rows: Int64[np.ndarray, "r"]) -> tuple["Nodes", Int64[np.ndarray, "r"]]:
        """Only some nodes and what is measured around them and below: their siblings and so many of their ancestors.

        Returns
        -------
        The nodes, and where those asked for are among them.
        """
        wanted = np.zeros(len(self), bool)
        wanted[rows] = wanted[self.sibling[rows]] = True
        enough, here = WIDE * self.sums[rows, AREA], rows
        generation = 0
        while len(here):
            here = self.parent[here]
            up = here >= 0
            here, enough = here[up], enough[up]
            wanted[here] = True
            generation += 1
            if generation >= GENERATIONS:
                further = self.sums[here, AREA] < enough
                here, enough = here[further], enough[further]
        kept = np.flatnonzero(wanted)
        number = np.full(len(self) + 1, -1)  # its last entry is that of none, -1
        number[kept] = np.arange(len(kept))
        sibling = number[self.sibling[kept]]
        sibling = np.where(sibling < 0, np.arange(len(kept)), sibling)
        part = Nodes(self.sums[kept], self.past[kept], self.outline[kept], number[self.parent[kept]], sibling)
        return part, number[rows]

    @property
    def _kin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.parent, self.sibling


def parents(children: Int64[np.ndarray, "m 2"], leaves: int) -> Int64[np.ndarray, "nm"]:
    """The node that each became part of; -1 for a root."""
    above = np.full(leaves + len(children), -1)
    above[children.ravel()] = np.repeat(np.arange(leaves, len(above)), 2)
    return above


def siblings(children: Int64[np.ndarray, "m 2"], leaves: int) -> Int64[np.ndarray, "nm"]:
    """The node that each was merged with; itself for a root."""
    sibling = np.arange(leaves + len(children))
    sibling[children[:, 0]] = children[:, 1]
    sibling[children[:, 1]] = children[:, 0]
    return sibling
