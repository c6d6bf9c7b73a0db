#!/bin/sh
# Fetch a Flink distribution (PyPI's apache-flink-libraries) and Beam's job server (Maven Central) into a folder.
# usage: fetch.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
here=$(dirname "$0")
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
"$python" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$folder/download" \
  "apache-flink-libraries==1.19.3" 2>/dev/null ||
  "$python" -m pip download --quiet --no-deps --dest "$folder/download" "apache-flink-libraries==1.19.3"
rm -rf "$folder/flink" && mkdir "$folder/flink"
tar -xzf "$folder"/download/apache*flink*libraries-1.19.3.tar.gz -C "$folder/flink" --strip-components=3 --wildcards '*/deps/lib/*.jar'
mvn --quiet --batch-mode -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder/job-server"
rm -rf "$folder/download"
touch "$folder/.fetched"
