"""Run every fuzz target under atheris, which is guided by coverage, for some seconds each.

    python -m venv .venv-fuzz && .venv-fuzz/bin/pip install -c constraints.txt -e '.[fuzz]'
    .venv-fuzz/bin/python tests/fuzz/run_atheris.py --seconds 60 [--only NAME]

atheris has wheels for some versions of Python only. Each target runs in a process of its own, from
its valid inputs, by the mutations of `harness.mutate` and libFuzzer's in turns. Prints a table and,
as its last line, one JSON object; inputs that fail are kept in the folder that is named.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process; atheris ends it."""
    import atheris

    with atheris.instrument_imports(include=["privet"]):
        from tests.fuzz.harness import Target, check, mutate
        from tests.fuzz.targets import targets

    target: Target = targets()[name]

    def once(data: bytes) -> None:
        check(target, data)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return mutate(target, bytes(data), random.Random(seed))[:max_size]

    corpus = Path(arguments[0])
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments], once, custom_mutator=mutator)
    atheris.Fuzz()


def run(name: str, seconds: int, folder: Path) -> dict[str, Any]:
    """Fuzz one target in a process of its own."""
    corpus = folder / name.replace(" ", "-")
    corpus.mkdir(parents=True)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}.", "-max_len=65536"]
    ran = subprocess.run(
        [sys.executable, __file__, "--target", name, str(corpus), *options, "-rss_limit_mb=2048"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    counts = [int(n) for n in re.findall(r"(?m)^#(\d+)\s", ran.stderr)]
    done = re.findall(r"Done (\d+) runs", ran.stderr)
    finding = None
    if ran.returncode != 0:
        lines = ran.stderr.splitlines()
        told = [x for x in lines if "Error" in x or x.startswith("==")]
        finding = told[0][:300] if told else (lines or ["no output"])[-1][:300]
    covered = re.findall(r"cov: (\d+)", ran.stderr)
    return {
        "target": name,
        "executions": int(done[-1]) if done else max(counts, default=0),
        "coverage": int(covered[-1]) if covered else 0,
        "finding": finding,
    }


def main() -> int:
    """All targets, one after the other."""
    if sys.argv[1:2] == ["--target"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    try:
        import atheris  # noqa: F401 - only whether it is there
    except ImportError as error:
        sys.exit(f"atheris is not there ({error}): see the first lines of this file.")
    from tests.fuzz.targets import targets

    folder, found = Path(tempfile.mkdtemp(prefix="privet-atheris-")), []
    for name in targets():
        if options.only in name:
            found.append(run(name, options.seconds, folder))
            one = found[-1]
            print(f"{one['executions']:>9} executions  {one['coverage']:>6} edges  "
                  f"{name:28} {one['finding'] or ''}", flush=True)  # fmt: skip
    bad = [one for one in found if one["finding"]]
    print(f"{len(bad)} of {len(found)} targets have findings; inputs are in {folder}")
    total = sum(one["executions"] for one in found)
    print(json.dumps({"executions": total, "targets": found, "pass": not bad}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
