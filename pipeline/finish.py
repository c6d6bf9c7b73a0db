"""The last step of a run: verdict, summary, report, table, record, and then the sweep.

Everything is written from receipts; nothing is removed unless every unit of the pinned plan has its own.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from pipeline import storage
from pipeline.commit import committed
from pipeline.plan import PlanTotals, read_ids, read_totals
from pipeline.report import report
from pipeline.run import Run
from pipeline.summarize import Summary, figures, verdict

LIBRARIES = ("nightscore", "apache-beam", "tensorflow", "numpy", "pillow", "pyarrow")

_RESULT = re.compile(r"/(?:predictions/part-([0-9a-f]{32})\.(?:parquet|jsonl)|receipts/([0-9a-f]{32})\.json)")
_MARK = re.compile(r"/attempts/(?:[0-9a-f]{32}|canary)\.\d")
_TEMPORARY = re.compile(r"/(?:predictions/|receipts/|attempts/|plan/|runs/)?\.[^/]+\.\d+-\d+-\d+\.tmp")


def start(run: Run) -> None:
    """Write what is known of a run before it starts."""
    content = {
        **run.to_record(),
        "started": _now(),
        "versions": versions(),
        "verdict": None,
    }
    storage.replace(run.record, _json(content))


def finish(summary: Summary, run: Run) -> dict[str, Any]:
    """Write the results of a run and return its record, the content of run.json.

    With a unit unfinished, lost or never heard of, or after a canary's alarm, only the record is written.
    """
    totals = read_totals(run)
    planned = list(dict.fromkeys(read_ids(run)))
    gone = summary.units - len(committed(run).intersection(planned))
    lost = (
        f"{gone} receipts of this run are gone: another run into {run.output} removed them; rerun" if gone > 0 else ""
    )
    code, reasons = verdict(summary, run, None if summary.stopped else totals.total, lost)
    record = _record(summary, run, totals, code, reasons)
    record["complete"] = summary.units == len(planned) and not summary.unfinished and not lost
    if record["complete"]:
        content = figures(summary, run)
        storage.replace(run.result("summary.json"), _json(content))
        storage.replace(run.result("report.html"), report(content, record, summary.thumbnails).encode())
        table = "".join(f"{run.part(unit)}\n" for unit in planned)
        storage.replace(run.result("table.txt"), table.encode(errors="surrogateescape"))
        _write_record(run, record)
        _sweep(run, set(planned))
    else:
        _write_record(run, record)
    return record


def _record(summary: Summary, run: Run, totals: PlanTotals, code: int, reasons: list[str]) -> dict[str, Any]:
    started: dict[str, Any] = json.loads(storage.read(run.record))
    ended = _now()
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started["started"])).total_seconds()
    scored = summary.metrics.images - summary.kept
    return {
        **started,
        "ended": ended,
        "seconds": seconds,
        "images": summary.metrics.images,
        "scored": scored,
        "kept": summary.kept,
        "units_scored": summary.units - summary.kept_units,
        "units_kept": summary.kept_units,
        "images_per_second": round(scored / seconds, 1) if seconds > 0 else None,
        "failed": summary.metrics.failed,
        "unfinished_units": summary.unfinished,
        "plan": asdict(totals),
        "verdict": {"exit_code": code, "reasons": reasons},
    }


def _write_record(run: Run, record: dict[str, Any]) -> None:
    storage.replace(run.record, _json(record))
    storage.replace(run.result("run.json"), _json(record))


def _sweep(run: Run, planned: set[str]) -> None:
    """Remove results of units that are not in the plan, receipts first, and what writers that died left behind."""
    parts: list[str] = []
    for location, unit, is_receipt in leftovers(run):
        if unit in planned:
            continue
        if is_receipt:
            storage.delete(location)
        else:
            parts.append(location)
    for location in parts:
        storage.delete(location)


def leftovers(run: Run) -> Iterator[tuple[str, str, bool]]:
    """Yield what Nightscore itself wrote into OUTPUT, as (location, unit or "", is a receipt)."""
    for found in storage.list_objects(run.output):
        relative = found.location[len(run.output) :]
        match = _RESULT.fullmatch(relative)
        if match:
            yield found.location, match[1] or match[2], match[2] is not None
        elif _TEMPORARY.fullmatch(relative) or _MARK.fullmatch(relative):
            yield found.location, "", False


def versions() -> dict[str, str]:
    """Return what a result may depend on, name -> version, without importing it."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # a worker may run our code without its package's metadata
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _json(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # a name's bytes that are not UTF-8, as JSON's \udcff
