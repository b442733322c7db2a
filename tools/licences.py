"""`make licences`: whose licence each installed package has, and whether it is one we may use.

A package's own metadata says it; one that says nothing is believed what docs/dependencies.md says.
Exit 1 when a licence is not allowed, or when the page says another one than the package.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "dependencies.md"

# All of them let us pass the program on under MIT. MPL-2.0 asks for changes to its own files only.
ALLOWED = {
    "MIT", "MIT-0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0",
    "Unlicense", "MPL-2.0",
}  # fmt: skip
# LGPL: used as it is, beside the program, so that anybody can put another version in its place.
ALSO = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}

# What older metadata says in other words; a bare "BSD" does not tell which.
_SPDX = {
    "MIT License": "MIT",
    "MIT license": "MIT",
    "BSD License": "BSD",
    "BSD 2-Clause License": "BSD-2-Clause",
    "New BSD": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def licence(metadata: PackageMetadata) -> str:
    """What a package says of its licence, as an SPDX expression; "" when it says nothing."""
    # Not metadata["License"]: for a field that is missing, that is deprecated since Python 3.12.
    expression, said = (
        next(iter(metadata.get_all(field) or []), "") for field in ("License-Expression", "License")
    )
    if expression:
        return expression
    if said and "\n" not in said and said != "Dual License":
        return _SPDX.get(said, said)
    classified = [
        one.rpartition(" :: ")[2]
        for one in metadata.get_all("Classifier") or []
        if one.startswith("License :: ") and not one.endswith("OSI Approved")
    ]
    return " OR ".join(_SPDX.get(one, one) for one in classified)


def documented(page: str) -> dict[str, str]:
    """Package -> licence, as the tables of docs/dependencies.md have it."""
    rows = re.findall(r"^\| ([a-z0-9-]+) \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    return {name: said for name, said in rows if name not in {"package", "---"}}


def faults(installed: Mapping[str, str], page: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each package that may not be used, or of which the page is wrong."""
    for name, said in sorted(installed.items()):
        expression = said or page.get(name, "")
        if not expression:
            yield f"{name}: no licence"
        elif not allowed(name, expression.partition(" (")[0]):
            yield f"{name}: {expression} is not on the list"
        elif name in page and not _same(said, page[name]):
            yield f"{name}: {said}, but docs/dependencies.md says {page[name]}"


def allowed(name: str, expression: str) -> bool:
    """Whether one of the alternatives is a licence that we may use."""
    may = ALLOWED | {ALSO.get(name, "MIT")}
    alternatives = re.split(r" or ", expression, flags=re.IGNORECASE)
    return any({*re.split(r" and ", one, flags=re.IGNORECASE)} <= may for one in alternatives)


def _same(said: str, page: str) -> bool:
    return all(part in page for part in re.split(r" (?:OR|AND) ", said))


def main() -> int:
    """Prints package and licence, then what is wrong."""
    installed = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): licence(one.metadata)
        for one in distributions()
    }
    page = documented(PAGE.read_text(encoding="utf-8"))
    for name, said in sorted(installed.items()):
        print(f"{name:<24} {said or page.get(name, '?')}")
    wrong = list(faults(installed, page))
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
