#!/bin/sh
# Fetch a Flink distribution (PyPI's apache-flink-libraries) and Beam's job server (Maven Central) into a folder, once.
# usage: fetch.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
here=$(dirname "$0")
[ "$folder/.fetched" -nt "$here/pom.xml" ] && [ "$folder/.fetched" -nt "$0" ] && exit
rm -rf "$folder"
mkdir -p "$folder/flink"
mvn --quiet --batch-mode -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$(cd "$folder" && pwd)/job-server"
"$python" -m pip download --quiet --no-deps --dest "$folder/download" apache-flink-libraries==1.19.3
tar -xzf "$folder"/download/*.tar.gz -C "$folder/flink" --strip-components=3 --wildcards '*/deps/lib/*.jar'
rm -rf "$folder/download"
touch "$folder/.fetched"
