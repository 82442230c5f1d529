"""Cosines of embeddings: of listed pairs, of all pairs block by block, and the nearest entries."""

from __future__ import annotations

from typing import Iterator, Optional, Tuple, Union

import numpy as np

from arcface_mx.util.errors import UserError

BLOCK = 256, 32768  # queries and entries compared at a time: 32 MB of cosines in float32
PAIR_BLOCK = 512  # pairs whose embeddings stay in the processor's cache
DENSE = 32  # cosines computed per listed pair above which single pairs are faster
DENSE_ROWS = 256  # rows of `dense_pair_scores` at a time: 24 MB of cosines with the templates of IJB-C
CHUNK = 128  # entries whose highest cosine is looked at first
NEAREST_BLOCK = 256, 4096  # queries and entries in `nearest`: 4 MB of cosines stay near the processor
MAX_COSINE = 1.005  # of unit vectors; storing them in 16 bits changes their length by less than 1e-3


def lengths(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Euclidean length of each embedding; UserError if one is zero or not finite."""
    if embeddings.ndim != 2:
        raise UserError(f"{name}: the shape is {embeddings.shape}; it must be (images, d)")
    squares = np.einsum("nd,nd->n", embeddings, embeddings)
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if bad.size:
        kind = "a zero vector" if squares[bad[0]] == 0 else "not finite"
        raise UserError(
            f"{name}: the embedding of image {bad[0]} is {kind} ({bad.size} of {len(squares)} embeddings "
            "are zero or not finite); the model is broken or untrained"
        )
    return np.sqrt(squares)


def unit_vectors(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Embeddings divided by their lengths.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
    name : str
        What the error message calls the embeddings.

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    UserError
        If an embedding is zero or not finite.
    """
    return embeddings / lengths(embeddings, name)[:, None]


def pair_scores(embeddings: np.ndarray, left: np.ndarray, right: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Cosines of listed pairs of embeddings.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        They need not be normalised.
    left, right : ndarray of int, shape (P,)
        Rows of the two embeddings of each pair.
    name : str
        What the error message calls the embeddings.

    Returns
    -------
    ndarray of float64, shape (P,)

    Raises
    ------
    UserError
        If an embedding is zero or not finite.
    """
    norms = lengths(embeddings, name).astype(np.float64)
    products = np.empty(len(left))
    for block in blocks(len(left), PAIR_BLOCK):
        products[block] = np.einsum("pd,pd->p", embeddings[left[block]], embeddings[right[block]])
    return products / (norms[left] * norms[right])


def dense_pair_scores(unit: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosines, float32 of shape (P,), of listed pairs of unit rows, where most rows occur in many pairs.

    All rows of a block are multiplied with all partners at once, which takes less time than to fetch
    two rows for each pair. Lists with few pairs a row are passed to `pair_scores`.
    """
    firsts, seconds = (np.flatnonzero(np.bincount(rows, minlength=len(unit))) for rows in (left, right))
    if len(firsts) * len(seconds) > DENSE * len(left):
        return pair_scores(unit, left, right).astype(np.float32)
    place = np.zeros((2, len(unit)), np.int32)
    place[0, firsts], place[1, seconds] = np.arange(len(firsts)), np.arange(len(seconds))
    block = (place[0] // DENSE_ROWS).astype(np.uint16)[left]  # 16 bits: stable sorting is a radix sort
    order = None if np.all(block[1:] >= block[:-1]) else np.argsort(block, kind="stable")
    ends = np.cumsum(np.bincount(block))
    partners = np.ascontiguousarray(unit[seconds].T)
    scores = np.empty(len(left), np.float32)
    for number, rows in enumerate(blocks(len(firsts), DENSE_ROWS)):
        span = slice(ends[number - 1] if number else 0, ends[number])
        pairs = span if order is None else order[span]
        cosines = unit[firsts[rows]] @ partners
        scores[pairs] = cosines[place[0][left[pairs]] - rows.start, place[1][right[pairs]]]
    return scores


class UnitRows:
    """Embeddings, possibly memory-mapped, of which a block is normalised when it is read."""

    def __init__(self, embeddings: np.ndarray, name: str) -> None:
        self._embeddings, self._name = embeddings, name

    def __len__(self) -> int:
        return len(self._embeddings)

    def __getitem__(self, block: slice) -> np.ndarray:
        rows = np.asarray(self._embeddings[block], np.float32)
        return unit_vectors(rows, f"{self._name} from row {block.start} on")


Rows = Union[np.ndarray, UnitRows]


def blocks(count: int, size: int, start: int = 0) -> Iterator[slice]:
    """Slices of at most `size` elements that cover ``range(start, count)``."""
    for first in range(start, count, size):
        yield slice(first, min(first + size, count))


def cosine_blocks(
    queries: Rows, entries: Optional[Rows] = None, block: Tuple[int, int] = BLOCK
) -> Iterator[Tuple[slice, slice, np.ndarray]]:
    """Yield the cosines of all pairs of unit rows as (rows, columns, cosines), one block at a time.

    Without entries the queries are compared with each other, each pair once: a cosine is −inf where
    the number of the row is not below that of the column. The receiver may change the cosines.
    """
    others = queries if entries is None else entries
    for rows in blocks(len(queries), block[0]):
        unit = queries[rows]
        for columns in blocks(len(others), block[1], rows.start if entries is None else 0):
            cosines = unit @ others[columns].T
            if entries is None and columns.start < rows.stop:
                numbers = np.arange(columns.start, columns.stop)
                cosines[np.arange(rows.start, rows.stop)[:, None] >= numbers] = -np.inf
            yield rows, columns, cosines


def nearest(
    queries: np.ndarray,
    entries: np.ndarray,
    k: int,
    block: Tuple[int, int] = NEAREST_BLOCK,
    name: str = "entries",
) -> Tuple[np.ndarray, np.ndarray]:
    """The k entries with the highest cosines to each query, by exact search.

    Parameters
    ----------
    queries : ndarray of float32, shape (q, d)
        Embeddings of length 1.
    entries : ndarray of float32 or float16, shape (n, d)
        Embeddings of length 1, possibly memory-mapped. They are read once, block by block.
    k : int
        At most n.
    block : tuple of int
        How many queries and how many entries are compared at a time.
    name : str
        What the error message calls the entries.

    Returns
    -------
    cosines : ndarray of float32, shape (q, k)
        In falling order.
    rows : ndarray of int64, shape (q, k)
        Which entries they belong to. Equal cosines are in the order of the rows. Which entries are
        left out when several tie for the last place is arbitrary, except that k = 1 gives the
        first.

    Raises
    ------
    UserError
        If a cosine is not finite or above 1, because an entry is no vector of length 1.
    """
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.zeros((len(queries), k), np.int64)
    memory = np.empty(min(block[0], len(queries)) * min(block[1], len(entries)), np.float32)
    for columns, unit in _float_blocks(entries, block[1]):
        for part in blocks(len(queries), block[0]):
            scores = memory[: (part.stop - part.start) * len(unit)].reshape(-1, len(unit))
            np.matmul(queries[part], unit.T, out=scores)
            highest = scores.max(axis=1)
            if not (highest.max() <= MAX_COSINE and scores.min() >= -MAX_COSINE):
                bad = np.flatnonzero(~(np.abs(scores) <= MAX_COSINE).all(axis=0))[0]
                raise UserError(f"{name}: vector {columns.start + bad} does not have length 1; make them again")
            # Only queries with an entry above their k-th best so far go on. After the first blocks these are few.
            better = np.flatnonzero(highest > cosines[part, -1])
            if better.size:
                at = part.start + better
                cosines[at], rows[at] = _merge(cosines[at], rows[at], scores[better], columns.start)
    return cosines, rows


def _float_blocks(entries: np.ndarray, size: int) -> Iterator[Tuple[slice, np.ndarray]]:
    """Yield blocks of rows as (slice, rows in float32). The memory of a converted block is used again."""
    converted = np.empty((0, 0), np.float32)
    for columns in blocks(len(entries), size):
        rows = np.asarray(entries[columns])
        if rows.dtype != np.float32 or not rows.flags.aligned:
            if not converted.size:
                converted = np.empty(rows.shape, np.float32)
            np.copyto(converted[: len(rows)], rows)
            rows = converted[: len(rows)]
        yield columns, rows


def _merge(cosines: np.ndarray, rows: np.ndarray, scores: np.ndarray, first: int) -> Tuple[np.ndarray, np.ndarray]:
    """The k best of the best so far and of the scores of the entries from `first` on, in falling order."""
    k = cosines.shape[1]
    best = np.sort(_best_columns(scores, min(k, scores.shape[1])), axis=1)
    candidates = np.concatenate([cosines, np.take_along_axis(scores, best, 1)], axis=1)
    numbers = np.concatenate([rows, best + first], axis=1)
    falling = np.argsort(-candidates, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, falling, 1), np.take_along_axis(numbers, falling, 1)


def _best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k highest scores of each row, in no order, shape (rows, k)."""
    count = scores.shape[1]
    if k == 1:
        return scores.argmax(axis=1)[:, None]
    if k == count:
        return np.tile(np.arange(k), (len(scores), 1))
    whole = count // CHUNK
    if k >= whole:
        return np.argpartition(scores, -k, axis=1)[:, -k:]
    # The k best lie in the k chunks with the highest maxima; this takes a tenth of the time of
    # partitioning whole rows.
    highest = scores[:, : whole * CHUNK].reshape(len(scores), whole, CHUNK).max(2)
    chunks = np.argpartition(highest, -k, axis=1)[:, -k:]
    inside = (chunks[:, :, None] * CHUNK + np.arange(CHUNK)).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(whole * CHUNK, count), (len(scores), count - whole * CHUNK))
    candidates = np.concatenate([inside, rest], 1)
    best = np.argpartition(np.take_along_axis(scores, candidates, 1), -k, axis=1)[:, -k:]
    return np.take_along_axis(candidates, best, 1)
