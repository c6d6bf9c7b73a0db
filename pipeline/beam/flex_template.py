"""The Flex Template's metadata.json, made from the options: the parameters that Dataflow shows and checks.

    python -m pipeline.beam.flex_template > templates/metadata.json

The fields are those of `TemplateMetadata` and `ParameterMetadata`, the types those of `ParameterType`, as published in
https://cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates and
https://cloud.google.com/dataflow/docs/reference/rest/v1b3/TemplateMetadata. Dataflow refuses a parameter that is not in
it, or whose value does not match. This module imports no Beam.
"""

from __future__ import annotations

import json
from dataclasses import Field, fields
from typing import Any

from pipeline.options import ScoreOptions

ALWAYS_ON = ("no_wait",)
"""Options that the launch program sets, so that they are no parameters."""

_TYPES = {"model": "GCS_READ_FOLDER", "output": "GCS_WRITE_FOLDER"}
"""Parameter type by option's name, where it does not follow from the option's type."""

_REGEXES = {
    "input": "^gs://(.|\n)+$",
    "model": "^gs://.+$",
    "output": "^gs://.+$",
    "top_k": "^([0-9]+|all)?$",
    int: "^(-?[0-9]+)?$",
    float: "^([0-9]*[.]?[0-9]+)?$",
}
"""Regular expression by option's name or type, in POSIX egrep's syntax, without \\d; optional values may be empty."""

_HELP = {
    "input": "Image files, folders, globs, TFRecords, tars, zips, IDX files, or lists of files, in Cloud Storage. "
    "Several are separated by line breaks, or by commas: gs://bucket/photos,gs://bucket/more/*.tar. A comma that gs:// "
    "does not follow is part of a name",
    "model": "Model directory in Cloud Storage",
    "output": "Folder in Cloud Storage for the results; a later run into the same one scores only what is new",
    "max_failed_fraction": "The job fails if more of the images fail",
    "min_accuracy": "The job fails if the accuracy, that of unseen images where it is known, is lower",
}
"""Help text by option's name, where the text of the flag is about a command line."""


def metadata() -> dict[str, Any]:
    """Return the content of metadata.json."""
    return {
        "name": "Nightscore",
        "description": "Scores an archive of images with a CNN: one row for every image, and an accuracy summary. "
        "What is scored already is not scored again.",
        "streaming": False,
        "parameters": [_parameter(option) for option in fields(ScoreOptions) if option.name not in ALWAYS_ON],
    }


def _parameter(option: Field[Any]) -> dict[str, Any]:
    keywords = option.metadata["argparse"]
    choices = keywords.get("choices")
    kind = keywords.get("type")
    is_switch = keywords.get("action") == "store_true"
    label = option.name.replace("_", " ").capitalize()
    text = _HELP.get(option.name, option.metadata["help"]).removesuffix(" (also --labels)")
    if text.startswith("of "):
        text = f"{label} {text}"
    parameter: dict[str, Any] = {
        "name": option.name,
        "label": label,
        "helpText": f"{text[0].upper()}{text[1:]}.",
        "isOptional": option.name not in ("input", "model", "output"),
        "paramType": _type(option.name, is_switch, choices, kind),
    }
    if choices:
        parameter["enumOptions"] = [{"value": choice, "label": choice} for choice in choices]
    regex = _REGEXES.get(option.name, _REGEXES.get(kind))
    if regex:
        parameter["regexes"] = [regex]
    if is_switch:
        parameter["defaultValue"] = "false"
    elif option.default not in ((), "", None):
        parameter["defaultValue"] = f"{option.default:g}" if kind is float else str(option.default)
    return parameter


def _type(name: str, is_switch: bool, choices: Any, kind: Any) -> str:
    if is_switch:
        return "BOOLEAN"
    if choices:
        return "ENUM"
    return "NUMBER" if kind in (int, float) else _TYPES.get(name, "TEXT")


def main() -> None:
    """Print metadata.json."""
    print(json.dumps(metadata(), indent=2))


if __name__ == "__main__":
    main()
