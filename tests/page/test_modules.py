"""The page's modules import each other in one direction: main → view → net → model."""

import re
from graphlib import TopologicalSorter
from os.path import normpath
from pathlib import Path

STATIC = Path(__file__).parents[2] / "todoapp" / "page" / "static"
LAYERS = ["model", "net", "view", "."]
IMPORT = re.compile(r'^import\b[^"]*"([^"]+)"', re.MULTILINE)
MODULES = {path.relative_to(STATIC): path.read_text() for path in STATIC.rglob("*.js")}
IMPORTS = {
    module: {Path(normpath(module.parent / name)) for name in IMPORT.findall(text)}
    for module, text in MODULES.items()
}


def test_no_import_cycle() -> None:
    assert sum(map(len, IMPORTS.values())) > 20
    assert set().union(*IMPORTS.values()) < set(MODULES)
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError


def test_imports_run_from_view_to_net_to_model() -> None:
    for module, imports in IMPORTS.items():
        for imported in imports:
            layers = LAYERS.index(str(imported.parent)), LAYERS.index(str(module.parent))
            assert layers[0] <= layers[1], f"{module} imports {imported}"
