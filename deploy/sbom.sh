#!/bin/sh
# Writes what an installed driftd consists of: sbom.sh PYTHON FOLDER, with the Python that driftd
# is installed in. FOLDER gets driftd-python.cdx.json and driftd-worker.cdx.json (CycloneDX).
# cyclonedx-py and cyclonedx-gomod must be on PATH.
set -eu
python=$1
folder=$2
worker=$("$python" -c 'from driftd.sandbox.build import BINARY; print(BINARY)')
mkdir -p "$folder"
cyclonedx-py environment --mc-type application --output-reproducible --validate \
    --output-format JSON --output-file "$folder/driftd-python.cdx.json" "$python"
cyclonedx-gomod bin -json -noserial -notimestamp \
    -output "$folder/driftd-worker.cdx.json" "$worker"
