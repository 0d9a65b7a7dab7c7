"""Rounds in, medians and ratios out: the table that is printed and the JSON that is kept."""

import json
import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.settings import Settings

FOLDER = Path(__file__).parent / "results"


class Results:
    """Every value by measure, target and round."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, measure: str, target: str, value: float | None) -> None:
        """Keep one round's value; None is nothing."""
        if value is not None:
            self._values[measure][target].append(value)

    def median(self, measure: str, target: str) -> float | None:
        """Median of all rounds, or None where nothing was measured."""
        values = self._values[measure].get(target)
        return statistics.median(values) if values else None

    def ratio(self, measure: str, target: str, reference: str) -> float | None:
        """Median of the rounds' own ratios."""
        ours, theirs = self._values[measure].get(target, []), self._values[measure].get(reference, [])
        ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b]
        return statistics.median(ratios) if ratios else None

    def table(self) -> str:
        """Return the printed table: medians, and ratios of each round's own values."""
        head = ["measure", *self._settings.targets, "pgb/direct", "ilk/direct", "ilk/pgb"]
        rows = [head]
        for measure in self._values:
            cells = [_short(self.median(measure, target)) for target in self._settings.targets]
            ratios = [
                self.ratio(measure, "pgbouncer", "direct"),
                self.ratio(measure, "interlock", "direct"),
                self.ratio(measure, "interlock", "pgbouncer"),
            ]
            rows.append([measure, *cells, *["" if r is None else f"{r:.2f}" for r in ratios]])
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def write(self) -> Path:
        """Write everything as JSON and return the file."""
        now = datetime.now(UTC)  # noqa: TID251 - a result is dated by the machine that measured it
        content: Mapping[str, Any] = {
            "at": now.isoformat(timespec="seconds"),
            "machine": machine(),
            "settings": asdict(self._settings),
            "values": self._values,
            "medians": {
                measure: {target: self.median(measure, target) for target in targets}
                for measure, targets in self._values.items()
            },
        }
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{now:%Y%m%dT%H%M%SZ}.json"
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        (FOLDER / "latest.json").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        return path


def machine() -> dict[str, Any]:
    """Name what it was measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
