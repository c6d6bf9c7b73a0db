"""What the launcher of a Dataflow Flex Template runs: a template's parameters in, a job submitted, the exit code out.

Parameters are strings, `--name=value` each, where a command line has switches and repeated flags; all else is
`nightscore score --no_wait`. Must return after that has submitted the job: the launcher waits for this process.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from pipeline.cli import score
from pipeline.cli.beam_import import for_any_job
from pipeline.cli.command import calm, to_exit_code
from pipeline.cli.console import complain
from pipeline.errors import UsageError

IMAGE = "NIGHTSCORE_IMAGE"
"""Environment variable: the image that this process runs in. Workers get the same, unless another one is named."""

_BETWEEN = re.compile(r"\s*\n\s*|[,\s]+(?=gs://)")
_BOOLEANS = {"true": True, "false": False, "": None}


def main(argv: Sequence[str] | None = None) -> int:
    """Submit the job that a template's parameters describe and return the exit code.

    A parameter that neither Nightscore nor Beam knows is passed over, with a line that says so: Dataflow refuses what
    the template's metadata lacks, so it is one that the service has added since.
    """
    parameters = list(sys.argv[1:] if argv is None else argv)
    calm()
    with for_any_job():
        from pipeline.beam import job  # Apache Beam, which knows its own flags

    known = job.flags()
    for name, has_value, _ in (parameter.partition("=") for parameter in parameters):
        if has_value and name not in known:
            complain(f"nightscore launch: {name} is unknown and passed over")

    def body() -> int:
        flags = list(as_flags(parameters, known))
        image = os.environ.get(IMAGE)
        if image and not any(flag.startswith("--sdk_container_image=") for flag in flags):
            flags.append(f"--sdk_container_image={image}")
        return score.main([*flags, "--no_wait"])

    return to_exit_code("launch", body)


def as_flags(parameters: Sequence[str], known: Mapping[str, bool]) -> Iterator[str]:
    """Yield a template's parameters as a command line has them; what is not `--name=value` stays as it is.

    >>> known = {"--input": True, "--limit": True, "--no_canary": False}
    >>> list(as_flags(["--input=gs://b/a,gs://b/c", "--limit=", "--no_canary=true", "--new=1"], known))
    ['--input=gs://b/a', '--input=gs://b/c', '--no_canary']

    Args:
        parameters: as the launcher passes them; one with an empty value is as good as absent.
        known: flag -> whether it takes a value.

    Raises:
        UsageError: the value of a flag that takes none is neither true nor false.
    """
    for parameter in parameters:
        name, has_value, value = parameter.partition("=")
        if not has_value:
            yield parameter
        elif name == "--input":
            yield from (f"--input={pattern}" for pattern in patterns(value))
        elif known.get(name) and value:
            yield parameter
        elif name in known and not known[name]:
            yield from _switch(name, value, known)


def _switch(name: str, value: str, known: Mapping[str, bool]) -> Iterator[str]:
    """Yield a flag that takes no value if it is on; if it is off, the flag that says so where there is one."""
    if value.lower() not in _BOOLEANS:
        raise UsageError(f"{name} {value!r} is neither true nor false")
    is_on = _BOOLEANS[value.lower()]
    off = f"--no_{name.removeprefix('--')}"
    if is_on:
        yield name
    elif is_on is False and off in known:
        yield off


def patterns(value: str) -> list[str]:
    r"""Return the patterns in a template's one parameter for them.

    Each is on a line of its own, or begins with gs:// behind a comma or a space. Other commas and spaces are part of
    a name; a line break cannot be, in Cloud Storage.

    >>> patterns("gs://b/cats, dogs/*.png,gs://b/more\ngs://b/a.tar")
    ['gs://b/cats, dogs/*.png', 'gs://b/more', 'gs://b/a.tar']
    """
    return [pattern for pattern in _BETWEEN.split(value.strip()) if pattern]


if __name__ == "__main__":
    sys.exit(main())
