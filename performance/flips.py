"""Flipped bits anywhere in a store: each is refused when it is opened, or found by `verify`.

    python performance/flips.py [--count 10000] [--seed 0] [--toy]

A small store is written, and one bit after the other is flipped in it, in its files by turns and at
places drawn from the seed, and mended again. What nobody notices is printed; the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

from scale import write_store

from megamedical.errors import StoreError
from megamedical.store.verification import verify

SUBJECTS = 8


def outcome(store: Path) -> str:
    """What comes of a store as it now is."""
    try:
        return "found" if verify(store).problems else "unseen"
    except StoreError:
        return "refused"


def flip(store: Path, count: int, seed: int) -> Counter[str]:
    """How often each outcome comes; what is unseen is told."""
    lots, outcomes = random.Random(seed), Counter[str]()
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)
    for number in range(count):
        path = files[number % len(files)]
        before = path.read_bytes()
        place, bit = lots.randrange(len(before)), lots.randrange(8)
        content = bytearray(before)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        found = outcome(store)
        outcomes[found] += 1
        if found == "unseen":
            print(f"{path.relative_to(store)}: bit {bit} of byte {place}")
        path.write_bytes(before)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--toy", action="store_true", help="a flip in each file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "store"
        write_store(store, SUBJECTS)
        assert outcome(store) == "unseen"
        outcomes = flip(store, 12 if options.toy else options.count, options.seed)
        assert outcome(store) == "unseen"
    print(", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items())))
    if outcomes["unseen"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
