"""What commands have in common that look at an OUTPUT: their argument, their errors.

Must not know what they look for.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pipeline import storage
from pipeline.cli.console import fail
from pipeline.cli.flags import JSON
from pipeline.cli.quiet import silence_pillow, stderr_silenced, tame_streams
from pipeline.errors import (
    NoSpaceError,
    TransientError,
    UnfinishedError,
    UsageError,
)

SWITCH_SECONDS = 0.0005
"""For which a thread may keep the interpreter: those that predict need it often and for a moment."""


WAIT_SECONDS = 30.0
"""How long storage that fails is asked again: somebody is looking on."""

Tell = Callable[[argparse.Namespace], int]
"""Takes the arguments (`output`, `json`, ...), prints what there is to be said, returns the exit code."""


@dataclass(frozen=True)
class LookCommand:
    """A sub-command of one OUTPUT.

    Attributes:
        name: of the sub-command.
        description: what it does, behind an example.
        epilog: its exit codes.
        more: flags of its own, each taking a value: flag -> (its name, help).
    """

    name: str
    description: str
    epilog: str
    more: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def main(self, argv: Sequence[str] | None, tell: Tell) -> int:
        """Run the command and return its exit code: 2 for bad usage or no OUTPUT, 3 where storage fails."""
        is_json = False
        tame_streams("%(levelname)s %(name)s: %(message)s")
        try:
            arguments = self._parser().parse_args(argv)
            is_json = arguments.json
            storage.patience().start(WAIT_SECONDS)
            return tell(arguments)
        except (UsageError, PermissionError) as error:
            return fail(self.name, str(error), 2, is_json)
        except UnfinishedError as error:
            return fail(self.name, str(error), 3, is_json)
        except (TransientError, NoSpaceError) as error:
            return fail(self.name, f"storage fails: {error}; run it again", 3, is_json)
        except KeyboardInterrupt:
            return fail(self.name, "interrupted; run it again", 130, is_json)

    def _parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            prog=f"nightscore {self.name}",
            usage=argparse.SUPPRESS,
            description=self.description,
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

        def refuse(message: str) -> NoReturn:
            raise UsageError(f"{message}; see 'nightscore {self.name} --help'")

        parser.error = refuse  # type: ignore[method-assign]
        parser.add_argument("output", metavar="OUTPUT", help="folder with the results of 'nightscore score', or gs://")
        for flag, (name, text) in self.more.items():
            parser.add_argument(flag, metavar=name, help=text)
        parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout instead of text")
        return parser


def stop() -> None:
    """Let nothing that is under way wait any longer."""
    from pipeline.scoring.process_pool import processes  # as `_score`

    storage.patience().end()
    processes().kill()


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Keep Beam's and TensorFlow's chatter off the terminal."""
    from pipeline.model.engines import tensorflow

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    silence_pillow()
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")  # that Python 3.10 grows old
    tensorflow.import_context = stderr_silenced
    tame_streams("%(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what a step raises reaches us
    logging.getLogger("pipeline.beam.log").setLevel(logging.ERROR)  # for workers elsewhere: here progress says it
    sys.setswitchinterval(SWITCH_SECONDS)
    yield
