"""Speed and memory of the network against the plain formulation of it.

    python performance/crossblock.py [--repeats 7] [--threads 2] [--toy]

Both run by turns, in one process, on random inputs of 128 x 128 in float32; a figure is the median,
with the least and the most. Memory is the peak of a fresh process, less what it had after importing
and making the network. Every ratio is plain / ours.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/fixtures")]
from plain_universeg import plain_universeg  # noqa: E402

from universeg import UniverSeg  # noqa: E402

SEED = 0
SIZE = 128


def inputs(support: int, queries: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    query = torch.rand(queries, 1, SIZE, SIZE, generator=generator)
    images = torch.rand(1, support, 1, SIZE, SIZE, generator=generator)
    return query, images, (images > 0.5).float()


def network() -> UniverSeg:
    torch.manual_seed(SEED)
    return UniverSeg()


def predict(support: int, plain: bool) -> Callable[[], torch.Tensor]:
    ours, given = network(), inputs(support)
    weights = ours.state_dict()

    @torch.inference_mode()
    def run() -> torch.Tensor:
        return plain_universeg(weights, *given) if plain else ours(*given)

    return run


def predict_bfloat16(support: int) -> Callable[[], torch.Tensor]:
    run = predict(support, plain=False)

    def with_autocast() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run().float()

    return with_autocast


def train(support: int, plain: bool) -> Callable[[], torch.Tensor]:
    """One step's gradients, of all parameters in a row."""
    ours, given = network(), inputs(support)
    parameters = dict(ours.named_parameters())

    def run() -> torch.Tensor:
        logits = plain_universeg(parameters, *given) if plain else ours(*given)
        ours.zero_grad()
        logits.sigmoid().mean().backward()
        return torch.cat([p.grad.flatten() for p in parameters.values() if p.grad is not None])

    return run


def many_queries(support: int, count: int, encoded: bool) -> Callable[[], torch.Tensor]:
    ours, (queries, images, labels) = network(), inputs(support, count)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        if encoded:
            return ours(queries, images, labels)
        return torch.cat([ours(query[None], images, labels) for query in queries])

    return run


def compare(title: str, slow: Callable, fast: Callable, repeats: int) -> None:
    difference = (slow() - fast()).norm() / slow().norm()
    times: dict[Callable, list[float]] = {slow: [], fast: []}
    for _ in range(repeats):
        for run, seconds in times.items():
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    ratio = statistics.median(times[slow]) / statistics.median(times[fast])
    least = min(times[slow]) / min(times[fast])
    spread = "   ".join(
        f"{statistics.median(t) * 1e3:6.0f} ms ({min(t) * 1e3:.0f}-{max(t) * 1e3:.0f})"
        for t in times.values()
    )
    print(
        f"{title:42} {spread}   {ratio:5.2f} x (of the least: {least:.2f})   "
        f"relative difference {difference:.0e}   load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def peak_of(make: Callable, support: int, plain: bool, threads: int) -> float:
    """MB that a fresh process takes beyond what it has after importing.

    To be asked for first: a process starts with the peak of the one that started it.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (make, support, plain, threads))


def _peak(make: Callable, support: int, plain: bool, threads: int) -> float:
    torch.set_num_threads(threads)
    run = make(support, plain)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--toy", action="store_true", help="a support of two, a few queries, once")
    asked = parser.parse_args()
    sizes, queries = ((1, 2), 2) if asked.toy else ((1, 16, 64), 100)
    repeats = 1 if asked.toy else asked.repeats
    torch.set_num_threads(asked.threads)
    print(f"PyTorch {torch.__version__}, {asked.threads} threads, seed {SEED}")
    for name, make, support in (
        ("predict", predict, sizes[-1]),
        ("train a step", train, sizes[1]),
    ):
        peaks = [peak_of(make, support, plain, asked.threads) for plain in (True, False)]
        print(
            f"peak memory to {name}, S={support}: plain {peaks[0]:.0f} MB, ours {peaks[1]:.0f} MB"
        )
    for support in sizes:
        title = f"predict, S={support}: plain / ours"
        compare(title, predict(support, True), predict(support, False), repeats)
    few, many = sizes[1], sizes[-1]
    title = f"train a step, S={few}: plain / ours"
    compare(title, train(few, True), train(few, False), repeats)
    for support in sizes:
        title = f"{queries} queries, S={support}: one by one / shared"
        single, shared = (many_queries(support, queries, encoded) for encoded in (False, True))
        compare(title, single, shared, repeats=2)
    title = f"predict, S={many}: ours / ours in bfloat16"
    compare(title, predict(many, False), predict_bfloat16(many), repeats)


if __name__ == "__main__":
    main()
