"""The Flex Template's files: what can be known of them without Docker and without Google Cloud."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud import dataflow_v1beta3 as api
from google.protobuf.json_format import ParseDict
from package_index import run_fetching

from pipeline.beam import flex_template, job
from pipeline.cli import launch
from pipeline.options import ScoreOptions

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
METADATA: dict[str, Any] = json.loads((TEMPLATES / "metadata.json").read_text())
PARAMETERS: dict[str, dict[str, Any]] = {parameter["name"]: parameter for parameter in METADATA["parameters"]}
DOCKERFILES = ("Dockerfile", "Dockerfile.gpu")
PYTHON = "3.11"

Instruction = tuple[str, list[str]]


def instructions(name: str) -> Iterator[Instruction]:
    """The Dockerfile's instructions, each with its words."""
    text = re.sub(r"^#.*\n", "", (TEMPLATES / name).read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, json.loads(rest) if rest.startswith("[") else shlex.split(rest)


def copied(name: str) -> Iterator[tuple[list[str], str]]:
    """(sources in the repository, destination in the image), each COPY that is not from another image."""
    folder = "/"
    for word, words in instructions(name):
        if word == "WORKDIR":
            folder = words[0]
        if word == "COPY" and not words[0].startswith("--from"):
            yield words[:-1], os.path.normpath(os.path.join(folder, words[-1]))


def variables(name: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for word, words in instructions(name) if word == "ENV" for pair in words)


def test_metadata_is_made_from_the_options() -> None:
    assert flex_template.metadata() == METADATA, "run: python -m pipeline.beam.flex_template > templates/metadata.json"
    assert list(PARAMETERS) == [option.name for option in fields(ScoreOptions) if option.name != "no_wait"]


def test_metadata_has_the_published_fields_and_types() -> None:
    """As Google's own client has them; it also takes names with underscores, which the service does not."""
    ParseDict(METADATA, api.TemplateMetadata.pb(api.TemplateMetadata()))
    assert METADATA.keys() <= _names(api.TemplateMetadata)
    for parameter in PARAMETERS.values():
        assert parameter.keys() <= _names(api.ParameterMetadata)
        assert all(parameter[needed] for needed in ("name", "label", "helpText"))
        assert parameter["paramType"] in api.ParameterType.__members__
        assert ("enumOptions" in parameter) == (parameter["paramType"] == "ENUM")
        assert all(
            option.keys() <= _names(api.ParameterMetadataEnumOption) for option in parameter.get("enumOptions", [])
        )


def _names(message: Any) -> set[str]:
    return {field.json_name for field in message.pb(message()).DESCRIPTOR.fields}


def matches(name: str, value: str) -> bool:
    return all(re.fullmatch(regex, value) for regex in PARAMETERS[name].get("regexes", []))


def test_what_must_be_given_is_not_optional() -> None:
    assert [name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]] == [
        "input",
        "model",
        "output",
    ]


def test_defaults_are_those_of_the_command_line() -> None:
    given = {"input": "gs://b/a,gs://b/c\ngs://b/d", "model": "gs://b/model", "output": "gs://b/night"}
    defaults = {name: parameter.get("defaultValue", "") for name, parameter in PARAMETERS.items()}
    values = {**defaults, **given}
    assert all(matches(name, value) for name, value in values.items())
    flags = launch.as_flags([f"--{name}={value}" for name, value in values.items()], job.flags())
    expected = ScoreOptions(input=("gs://b/a", "gs://b/c", "gs://b/d"), model="gs://b/model", output="gs://b/night")
    assert job.parse(list(flags)).options == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("input", "photos"), ("model", "/models/m"), ("top_k", "five"), ("limit", "1.5"), ("min_accuracy", "90 %")],
)
def test_what_cannot_be_right_is_refused_by_dataflow(name: str, value: str) -> None:
    assert not matches(name, value)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_there_and_is_sent_to_docker(name: str) -> None:
    ignored, *kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("**")]
    assert ignored == "*"
    for source in [source for sources, _ in copied(name) for source in sources]:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(f"!{source}", pattern) for pattern in kept), source


@pytest.mark.parametrize("name", DOCKERFILES)
def test_image_has_the_beam_and_the_python_that_were_tested(name: str) -> None:
    (version,) = re.findall(r"^apache-beam==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    found = list(instructions(name))
    assert ("FROM", [f"python:{PYTHON}-slim"]) in found
    sources = {words[1]: words[0] for word, words in found if word == "COPY" and words[0].startswith("--from=")}
    assert sources.pop("/opt/apache/beam") == f"--from=apache/beam_python{PYTHON}_sdk:{version}"
    (launcher,) = sources.items()
    assert launcher[0] == "/opt/google/dataflow/python_template_launcher"
    base = f"gcr.io/dataflow-templates-base/python{PYTHON.replace('.', '')}-template-launcher-base"
    assert re.fullmatch(rf"--from={re.escape(base)}:\d{{8}}_RC\d\d", launcher[1])


@pytest.mark.parametrize("name", DOCKERFILES)
def test_image_starts_as_a_worker_and_knows_the_launch_program(name: str) -> None:
    *_, last = instructions(name)
    assert last == ("ENTRYPOINT", ["/opt/apache/beam/boot"])
    assert ("RUN", ["pip", "check"]) in instructions(name)
    program = variables(name)["FLEX_TEMPLATE_PYTHON_PY_FILE"]
    ((source, folder),) = [(sources, folder) for sources, folder in copied(name) if "templates/launch.py" in sources]
    assert program == f"{folder}/{Path(source[0]).name}"
    assert variables(name)[launch.IMAGE] == "${IMAGE}"


def pip_lines(name: str) -> Iterator[tuple[str, list[str]]]:
    """(folder in the image, arguments) of each `RUN pip install`."""
    folder = "/"
    for word, words in instructions(name):
        folder = words[0] if word == "WORKDIR" else folder
        if word == "RUN" and words[:2] == ["pip", "install"]:
            yield folder.strip("/"), words[2:]


def copy(name: str, image: Path) -> None:
    """Do what the Dockerfile's COPY lines do."""
    for sources, folder in copied(name):
        goal = image / folder.strip("/")
        goal.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, goal, dirs_exist_ok=True)
            else:
                goal.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, goal)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        pytest.param("Dockerfile", "", marks=pytest.mark.heavy),
        pytest.param("Dockerfile", "tensorflow", marks=pytest.mark.soak),
        pytest.param("Dockerfile.gpu", "", marks=pytest.mark.soak),  # gigabytes of CUDA
    ],
)
def test_every_pip_line_resolves_in_a_clean_environment(
    name: str, more: str, tmp_path: Path, room_on_disk: None
) -> None:
    """With nothing of the repository at hand but what is copied, and to versions that are all in the constraints."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    image = tmp_path / "image"
    copy(name, image)
    pip = [str(tmp_path / "venv" / "bin" / "pip"), "install", "--dry-run", "--ignore-installed"]
    found: set[str] = set()
    for folder, arguments in pip_lines(name):
        words = [word.replace("${WITH}", more) for word in arguments if word != "--no-cache-dir"]
        asked = [*pip, *filter(None, words)]
        printed = run_fetching(asked, image / folder)
        found |= {canonical(word.rpartition("-")[0]) for word in printed.splitlines()[-1].split()[2:]}
    assert {"apache-beam", "ai-edge-litert", "nightscore"} <= found
    assert {"tensorflow", "keras"} & found == ({"tensorflow", "keras"} if more or name.endswith(".gpu") else set())
    assert ("nvidia-cudnn-cu12" in found) == name.endswith(".gpu")
    assert found - pinned(image / folder) == {"nightscore"}


def test_workers_need_what_the_package_requires_but_for_training() -> None:
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    (required,) = [
        ast.literal_eval(word.value) for call in calls for word in call.keywords if word.arg == "install_requires"
    ]
    comment, *found = (TEMPLATES / "requirements.txt").read_text().splitlines()
    assert comment.startswith("#")
    assert [line for line in required if line not in found] == ["scikit-learn>=1.4", "tensorflow>=2.20"]
    assert set(found) < set(required)


def test_image_without_tensorflow_is_checked_before_the_package_asks_for_it() -> None:
    steps = [words for word, words in instructions("Dockerfile") if word == "RUN"]
    libraries, check, package = [words[:2] for words in steps]
    assert (libraries, check, package) == (["pip", "install"], ["pip", "check"], ["pip", "install"])
    assert {"--requirement", "requirements.txt", "${WITH}"} <= set(steps[0])
    assert steps[2][-2:] == ["--no-deps", "."]
    assert ("ARG", ["WITH"]) in instructions("Dockerfile"), "empty unless the build says more"


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def pinned(folder: Path) -> set[str]:
    """Packages with a version in the constraints that are in a folder."""
    texts = [path.read_text() for path in folder.glob("constraints*.txt")]
    return {canonical(package) for text in texts for package in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def test_build_pushes_the_image_before_the_template_names_it() -> None:
    build = yaml.safe_load((TEMPLATES / "cloudbuild.yaml").read_text())
    steps = {step["id"]: step["args"] for step in build["steps"]}
    assert list(steps) == ["build", "push", "template"]
    image = steps["push"][1]
    assert f"--tag={image}" in steps["build"]
    assert f"--build-arg=IMAGE={image}" in steps["build"]
    assert "--build-arg=WITH=${_WITH}" in steps["build"]
    assert build["substitutions"]["_WITH"] == ""
    assert f"--image={image}" in steps["template"]
    assert "--metadata-file=templates/metadata.json" in steps["template"]
    assert (TEMPLATES / build["substitutions"]["_DOCKERFILE"]).exists()


GCLOUD = """\
#!/usr/bin/env python3
import json, os, sys
place, exists = {place!r}, {exists!r}
if "describe" in sys.argv:
    sys.exit(0 if exists else 1)
bodies = [open(a.partition("=")[2]).read() for a in sys.argv if a.startswith("--message-body-from-file=")]
json.dump({{"arguments": sys.argv[1:], "bodies": bodies}}, open(place, "w"))
"""

NIGHT = {
    "PROJECT": "p",
    "REGION": "us-central1",
    "TEMPLATE": "gs://b/templates/nightscore.json",
    "INPUT": 'gs://b/photos of "us"\ngs://b/more/*.tar',
    "MODEL": "gs://b/model",
    "OUTPUT": "gs://b/night",
    "TEMP": "gs://b/tmp",
    "WORKER_ACCOUNT": "worker@p.iam.gserviceaccount.com",
    "LAUNCH_ACCOUNT": "launch@p.iam.gserviceaccount.com",
}


def scheduled(folder: Path, *arguments: str, exists: bool = False, **environment: str) -> Any:
    """Run nightly.sh with a gcloud that writes down what it is asked; returns that, or what was said instead."""
    gcloud = folder / "bin" / "gcloud"
    gcloud.parent.mkdir(exist_ok=True)
    gcloud.write_text(GCLOUD.format(place=str(folder / "asked.json"), exists=exists))
    gcloud.chmod(0o755)
    done = subprocess.run(
        [str(TEMPLATES / "nightly.sh"), *arguments],
        env={"PATH": f"{gcloud.parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads((folder / "asked.json").read_text()) if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("exists", [False, True])
def test_schedule_calls_the_template_s_launch_method(tmp_path: Path, exists: bool) -> None:
    asked = scheduled(tmp_path, "top_k=3", "retry_failed=true", exists=exists, **NIGHT)
    arguments = asked["arguments"]
    assert arguments[:5] == ["scheduler", "jobs", "update" if exists else "create", "http", "nightscore-nightly"]
    base = "https://dataflow.googleapis.com/v1b3"
    assert f"--uri={base}/projects/p/locations/us-central1/flexTemplates:launch" in arguments
    assert f"--{'update-' if exists else ''}headers=Content-Type=application/json" in arguments
    assert "--oauth-service-account-email=launch@p.iam.gserviceaccount.com" in arguments
    (body,) = map(json.loads, asked["bodies"])
    request = ParseDict(body, api.LaunchFlexTemplateRequest.pb(api.LaunchFlexTemplateRequest()))
    assert request.launch_parameter.container_spec_gcs_path == NIGHT["TEMPLATE"]
    assert request.launch_parameter.environment.service_account_email == NIGHT["WORKER_ACCOUNT"]
    parameters = dict(request.launch_parameter.parameters)
    assert parameters["input"] == NIGHT["INPUT"]
    assert {"input", "model", "output", "top_k", "retry_failed"} == parameters.keys() <= PARAMETERS.keys()
    assert all(matches(name, value) for name, value in parameters.items())
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", request.launch_parameter.job_name)


def test_schedule_names_what_is_missing(tmp_path: Path) -> None:
    said = scheduled(tmp_path, **{name: value for name, value in NIGHT.items() if name != "MODEL"})
    assert said.endswith("nightly.sh: MODEL is missing; see its first lines\n")
    assert scheduled(tmp_path, "top_k", **NIGHT) == "'top_k' is no parameter: give name=value\n"


def test_readme_names_what_is_there() -> None:
    text = (TEMPLATES / "README.md").read_text()
    for path in re.findall(r"`((?:templates/)?[\w.]+\.(?:py|json|yaml|sh|gpu)|Dockerfile)`", text):
        assert (TEMPLATES / Path(path).name).exists(), path
    for name in re.findall(r"--parameters (\w+)=", text):
        assert name in PARAMETERS
    for name in re.findall(r"^([A-Z_]+)=", text, re.MULTILINE):
        assert name in (TEMPLATES / "nightly.sh").read_text()
