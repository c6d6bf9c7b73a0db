#!/usr/bin/env bash
# Score every night: a Cloud Scheduler job that calls the template's launch method. Run again, it replaces the schedule.
#
#   PROJECT=p REGION=us-central1 TEMPLATE=gs://b/templates/nightscore.json \
#   INPUT=gs://b/photos MODEL=gs://b/model OUTPUT=gs://b/night TEMP=gs://b/tmp \
#   WORKER_ACCOUNT=worker@p.iam.gserviceaccount.com LAUNCH_ACCOUNT=launch@p.iam.gserviceaccount.com \
#   templates/nightly.sh top_k=3 min_accuracy=0.9
#
# Arguments are more of the template's parameters. SCHEDULE ("0 1 * * *"), TIME_ZONE (Etc/UTC), NAME (nightscore-nightly)
# and MAX_WORKERS (20) may be set, too.
#
# The request is the same every night, and so is the job's name. Dataflow has one active job of a name: while last night's
# job runs on, the launch is refused (409 ALREADY_EXISTS), which keeps two jobs out of one OUTPUT; the next night's is taken.
# For the same reason a launch that is tried again, because its answer was lost, does not start a second job.
set -euo pipefail

export PROJECT REGION TEMPLATE INPUT MODEL OUTPUT TEMP WORKER_ACCOUNT LAUNCH_ACCOUNT
for name in PROJECT REGION TEMPLATE INPUT MODEL OUTPUT TEMP WORKER_ACCOUNT LAUNCH_ACCOUNT; do
  if [ -z "${!name:-}" ]; then
    echo "$0: $name is missing; see its first lines" >&2
    exit 2
  fi
done
export NAME=${NAME:-nightscore-nightly} MAX_WORKERS=${MAX_WORKERS:-20}

body=$(mktemp)
trap 'rm -f "$body"' EXIT
python3 - "$@" >"$body" <<'PYTHON'
import json
import os
import sys

get = os.environ.__getitem__
parameters = {"input": get("INPUT"), "model": get("MODEL"), "output": get("OUTPUT")}
for argument in sys.argv[1:]:
    name, equals, value = argument.partition("=")
    if not equals:
        sys.exit(f"{argument!r} is no parameter: give name=value")
    parameters[name] = value
environment = {
    "tempLocation": get("TEMP"),
    "serviceAccountEmail": get("WORKER_ACCOUNT"),
    "maxWorkers": int(get("MAX_WORKERS")),
}
launch = {
    "jobName": get("NAME"),
    "containerSpecGcsPath": get("TEMPLATE"),
    "parameters": parameters,
    "environment": environment,
}
json.dump({"launchParameter": launch}, sys.stdout, indent=2)
PYTHON

verb=create headers=--headers
if gcloud scheduler jobs describe "$NAME" --project="$PROJECT" --location="$REGION" >/dev/null 2>&1; then
  verb=update headers=--update-headers
fi
gcloud scheduler jobs "$verb" http "$NAME" \
  --project="$PROJECT" \
  --location="$REGION" \
  --schedule="${SCHEDULE:-0 1 * * *}" \
  --time-zone="${TIME_ZONE:-Etc/UTC}" \
  --uri="https://dataflow.googleapis.com/v1b3/projects/$PROJECT/locations/$REGION/flexTemplates:launch" \
  --http-method=POST \
  "$headers=Content-Type=application/json" \
  --message-body-from-file="$body" \
  --oauth-service-account-email="$LAUNCH_ACCOUNT" \
  --oauth-token-scope=https://www.googleapis.com/auth/cloud-platform \
  --max-retry-attempts=3 \
  --min-backoff=60s
