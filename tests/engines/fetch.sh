#!/bin/sh
# Fetch Flink (PyPI's apache-flink-libraries), Spark and Beam's job servers for both (Maven Central) into a folder, once.
# usage: fetch.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
here=$(dirname "$0")
[ "$folder/.fetched" -nt "$here/flink.xml" ] && [ "$folder/.fetched" -nt "$here/spark.xml" ] &&
  [ "$folder/.fetched" -nt "$0" ] && exit
rm -rf "$folder"
mkdir -p "$folder/flink"
folder=$(cd "$folder" && pwd)
for engine in flink spark; do
  mvn --quiet --batch-mode -f "$here/$engine.xml" dependency:copy-dependencies -DoutputDirectory="$folder/$engine-job-server"
done
"$python" -m pip download --quiet --no-deps --dest "$folder/download" apache-flink-libraries==1.19.3
tar -xzf "$folder"/download/*.tar.gz -C "$folder/flink" --strip-components=3 --wildcards '*/deps/lib/*.jar'
rm -rf "$folder/download"
touch "$folder/.fetched"
