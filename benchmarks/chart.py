"""Charts of results.json; `python -m benchmarks.chart` redraws them."""

import json
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.datasets import ROOT
from benchmarks.report import OURS, RESULTS, TITLES, duration, figures, select

CHART = ROOT / "docs" / "benchmark.png"
CURVE = ROOT / "docs" / "curve.png"
CONNECTIONS = 16
COLUMNS = 2
HIGHLIGHT = "#c8460a"
# Assigned by position, so that a server has the same colour in every panel.
COLOURS = ("#4878a8", "#a85a7b", "#7b6aa8", "#5a9a8a", "#a8884a", "#8a8f98")


def draw() -> None:
    """Draw both charts from results.json."""
    mpl.use("agg")
    results = json.loads(RESULTS.read_text())
    draw_servers(results)
    draw_curve(results["curve"])


def draw_servers(results: dict[str, Any]) -> None:
    """Draw docs/benchmark.png: the servers side by side."""
    names = [server["name"] for server in results["servers"]]
    lines = -(-len(TITLES) // COLUMNS)
    figure, panels = pyplot.subplots(lines, COLUMNS, figsize=(10, 2.1 * lines + 0.8), dpi=100)
    for scenario, axes in zip(TITLES, panels.flat, strict=True):
        draw_panel(axes, scenario, names, results["runs"])
    figure.suptitle(
        f"CPU time per request at {CONNECTIONS} connections, lower is better\n"
        "dark: the server's processes; light: PostgreSQL's",
        fontsize=12,
    )
    figure.tight_layout()
    figure.savefig(CHART)
    pyplot.close(figure)


def draw_panel(axes: Axes, scenario: str, names: list[str], runs: list[dict[str, Any]]) -> None:
    """Draw a bar for each server, or a note if it completed no request."""
    others = iter(COLOURS)
    longest = 0.0
    for place, name in enumerate(names):
        colour = HIGHLIGHT if name == OURS else next(others)
        found = figures(select(runs, scenario=scenario, server=name, connections=CONNECTIONS))
        if found is None:
            axes.text(0, place, " nothing completed", va="center", fontsize=9)
            continue
        axes.barh(place, found.server_cpu, color=colour)
        axes.barh(place, found.postgres_cpu, left=found.server_cpu, color=colour, alpha=0.4)
        errors = f" ({found.errors:,} errors)" if found.errors else ""
        axes.text(found.cpu, place, f" {duration(found.cpu)}{errors}", va="center", fontsize=9)
        longest = max(longest, found.cpu)
    axes.set_title(TITLES[scenario], fontsize=10, loc="left", fontweight="bold")
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    # Leave space for the labels next to the bars.
    axes.set_xlim(0, (longest or 1) * 1.25)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if name == OURS else "normal")


def draw_curve(datasets: list[dict[str, Any]]) -> None:
    """Draw docs/curve.png: CPU time per request by the number of todos, both logarithmic."""
    figure, axes = pyplot.subplots(figsize=(10, 6), dpi=100)
    numbers = [dataset["todos"] for dataset in datasets]
    seconds = {
        name: [
            dataset["costs"][name]["server_cpu"] + dataset["costs"][name]["postgres_cpu"]
            for dataset in datasets
        ]
        for name in datasets[-1]["costs"]
    }
    # In the order of their ends, like the lines.
    for name in sorted(seconds, key=lambda name: -seconds[name][-1]):
        axes.loglog(
            numbers, seconds[name], marker="o", label=f"{name}: {duration(seconds[name][-1])}"
        )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_title("CPU time per request by the number of todos (the service and PostgreSQL)")
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.set_ylabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(CURVE)
    pyplot.close(figure)


if __name__ == "__main__":
    draw()
