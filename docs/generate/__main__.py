"""Write what is generated into `docs/`; with `--check`, say what is out of date instead."""

from __future__ import annotations

import sys

from docs.generate.pages import generated, outdated


def main() -> int:
    if "--check" in sys.argv[1:]:
        for path in outdated():
            print(f"{path} is out of date; run: python -m docs.generate", file=sys.stderr)
        return 1 if outdated() else 0
    for path, text in generated().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
