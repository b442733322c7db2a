"""Prints the longest functions of the folders named; for the eye, it is no gate."""

import ast
import sys
from pathlib import Path

SHOWN = 8


def lengths(folder: Path) -> list[tuple[int, str]]:
    """(lines, place) of every function below `folder`."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append((lines, f"{file}:{node.lineno} {node.name}"))
    return found


def main() -> None:
    """The longest few, and how the rest is spread."""
    found = sorted((one for name in sys.argv[1:] for one in lengths(Path(name))), reverse=True)
    if not found:
        return
    short = sum(lines < 32 for lines, _ in found) / len(found)
    middle = found[len(found) // 2][0]
    print(f"{len(found)} functions, median {middle} lines, {short:.0%} under 32. The longest:")
    for lines, place in found[:SHOWN]:
        print(f"  {lines:4} {place}")


if __name__ == "__main__":
    main()
