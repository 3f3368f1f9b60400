"""``python -m protos.openapi IMAGE OUTPUT [--check]``: writes the document, or proves that the one there is fresh.

Both check that it is valid OpenAPI.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml
from openapi_spec_validator import validate

from protos.openapi.contract import read
from protos.openapi.document import document


def main() -> int:
    """0 when written, or fresh and valid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    made = document(read(arguments.image.read_bytes()))
    validate(made)
    text = yaml.dump(made, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    if not arguments.check:
        arguments.output.write_text(text)
        return 0
    if not arguments.output.exists() or arguments.output.read_text() != text:
        sys.stderr.write(f"{arguments.output} is stale: run `make protos` and commit the result\n")
        return 1
    return 0


class _Plain(yaml.SafeDumper):
    """Without anchors, which many tools do not follow."""

    def ignore_aliases(self, data: object) -> bool:
        return True


if __name__ == "__main__":
    sys.exit(main())
