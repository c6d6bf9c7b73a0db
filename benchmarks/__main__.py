"""`python -m benchmarks NAME`: measure a workload; `table`: write the page about what was measured."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import ROOT, portable
from benchmarks.comparison import load_results
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Setting
from benchmarks.table import quoted, table, write_page
from benchmarks.workloads import DEFAULT, WORKLOADS

RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code: 1 where something could not be measured."""
    asked = _parser().parse_args(argv)
    setting = _setting(asked)
    if asked.name == "table":
        _show(setting)
        return 0
    failed = 0
    for name, peer in measurements(asked.name, asked.peer):
        try:
            for result in WORKLOADS[name].measure(setting, peer):
                path = result.save(setting.results)
                path.write_text(portable(path.read_text(encoding="utf-8"), setting), encoding="utf-8")
                print(f"{table([result])}{path}", flush=True)
        except BenchmarkError as error:
            failed += 1
            print(f"{name} {peer}: {error}", file=sys.stderr, flush=True)
    _show(setting)
    return 1 if failed else 0


def _show(setting: Setting) -> None:
    """Write the page about the results, and quote it in the README if they are the ones that are kept."""
    print(write_page(setting.results))
    if setting.results == RESULTS:
        README.write_text(quoted(README.read_text(encoding="utf-8"), load_results(RESULTS)), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="\n".join(f"  {name:16} {workload.images}" for name, workload in WORKLOADS.items()),
        epilog="default: what the tf.data loop does as well, beside it; all: everything beside everybody",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=(*WORKLOADS, "default", "all", "table"))
    parser.add_argument("--peer", action="append", default=[], help="beside whom (default: its first peer); or all")
    parser.add_argument("--pairs", type=int, default=5, help="to measure, after one that does not count (default: 5)")
    parser.add_argument("--small", action="store_true", help="few images, to see that it works")
    parser.add_argument(
        "--work", type=Path, default=_work(), help="folder for files that are kept (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, help="folder for the figures (default: benchmarks/results)")
    parser.add_argument("--data_dir", help="folder with MNIST's four IDX files (default: the Keras cache)")
    return parser


def _work() -> Path:
    cache = Path.home() / ".cache"
    return (cache if cache.is_dir() else Path(tempfile.gettempdir())) / "nightscore-bench"


def _setting(asked: argparse.Namespace) -> Setting:
    work = asked.work.absolute()
    results = asked.results or (work / "results-small" if asked.small else RESULTS)
    return Setting(work, results.absolute(), asked.data_dir, max(asked.pairs, 1), asked.small)


def measurements(name: str, peers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield which workloads are measured beside whom."""
    names = {"default": DEFAULT, "all": tuple(WORKLOADS)}.get(name, (name,))
    for one in names:
        known = WORKLOADS[one].peers
        everybody = name == "all" or "all" in peers
        yield from ((one, peer) for peer in (known if everybody else [p for p in known if p in peers] or known[:1]))


if __name__ == "__main__":
    sys.exit(main())
