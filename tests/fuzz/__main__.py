"""``python -m tests.fuzz --cases 500 --seed 1``: try many damaged inputs, and print what is not as it should be."""

import argparse
import collections
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> int:
    """Run the cases; 0 if nothing was found."""
    asked = _asked()
    _prepare()
    with tempfile.TemporaryDirectory(prefix="geosam-fuzz-") as folder:
        home = Path(asked.keep or folder)
        base = home / "sound"
        if not base.is_dir():
            _apart(partial(_write_sound, base, home / "cache"))
        before, begin = _sizes(base), time.monotonic()
        numbers = [asked.case] if asked.case is not None else range(asked.start, asked.start + asked.cases)
        work = partial(_try, asked=asked, home=home)
        counts: collections.Counter[str] = collections.Counter()
        wrong = 0
        with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
            for number, kind, codes, found in pool.imap_unordered(work, numbers):
                counts[f"{kind} {'+'.join(map(str, codes))}"] += 1
                wrong += bool(found)
                for each in found:
                    _say(f"{kind} {number}: {each}")
                    _say(f"    again: python -m tests.fuzz --seed {asked.seed} --case {number} --keep FOLDER")
        if _sizes(base) != before:
            _say(f"a sound input was changed: {sorted(_sizes(base).items() ^ before.items())[:4]}")
            wrong += 1
        if asked.verbose:
            _say("\n".join(f"{count:6} {name}" for name, count in sorted(counts.items())))
        took = time.monotonic() - begin
        _say(f"{sum(counts.values())} cases, seed {asked.seed}: {wrong} wrong, {took:.0f} s")
    return bool(wrong)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument("--kind", help="only cases of this kind; their numbers mean other cases then")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a command hangs")
    parser.add_argument("--keep", help="folder in which the files of the cases stay")
    parser.add_argument("--verbose", action="store_true", help="count the exit codes of each kind")
    return parser.parse_args()


def _prepare() -> None:
    """Import once what every case needs; small networks stand in for the built-in one."""
    import torch

    import geosam.catalog.run
    import geosam.cli
    import geosam.evaluation
    import geosam.pipeline.request
    import geosam.training
    import geosam.training.finetuning
    from tests.fuzz import judge, kinds  # noqa: F401 - so that each case finds them loaded
    from tests.fuzz.sound import Network

    torch.set_num_threads(1)
    real = geosam.pipeline.request.load_model

    def load(name: object, **how: object) -> object:
        return Network() if str(name) == "nano" else real(name, **how)

    geosam.pipeline.request.load_model = load
    geosam.training.train = _train


def _train(config: object, output: Path, **_: object) -> Path:
    """Take the place of a training: read its configuration and lay out its network, no more."""
    from geosam.models.weights import shapes_of
    from geosam.training.config import read_config, spec_of

    shapes_of(spec_of(read_config(config)))
    return output


def _write_sound(base: Path, cache: Path) -> None:
    os.environ["GEOSAM_CACHE"] = str(cache)
    from tests.fuzz.sound import write_all

    write_all(base)


def _apart(work) -> None:
    """Do something in a process of its own, so that none of its threads are in those that are forked later."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the sound inputs could not be written")


def _try(number: int, *, asked: argparse.Namespace, home: Path) -> tuple[int, str, list[int | None], list[str]]:
    from tests.fuzz.cases import contents
    from tests.fuzz.child import run_words
    from tests.fuzz.judge import judge_end, judge_outputs
    from tests.fuzz.kinds import make

    folder = home / f"{asked.seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            case = make(asked.kind, asked.seed, number, home / "sound", folder)
        except Exception:  # what a library refuses to write is no case; its errors may not even travel
            return number, "unmade", [], []
    before, found, codes = contents(case.inputs), [], []
    for words in case.commands:
        ended = run_words(words, case.out, case.cache, asked.limit)
        codes.append(ended.code)
        found += [f"{wrong}\n    geosam {' '.join(map(repr, words))}" for wrong in judge_end(case, words, ended)]
    if codes and all(code == 0 for code in codes):
        found += judge_outputs(case)
    after = contents(case.inputs)
    if after != before:
        found.append(f"inputs changed: {sorted({name for name, _ in after.items() ^ before.items()})[:5]}")
    if not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return number, case.kind, codes, found


def _sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file that was written on purpose; runs may leave a lock."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def _say(text: str) -> None:
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
