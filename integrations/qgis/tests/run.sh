#!/usr/bin/env bash
# Try the plugin in a real QGIS with a fresh profile, on a screen that nobody sees.
#   run.sh PROGRAM OUT [names of tests, with commas]
# PROGRAM is geosam, or tests/fake_geosam.py; OUT gets pictures and result.json. Debian: apt-get install qgis python3-qgis xvfb
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
program="$(realpath "$1")"; mkdir -p "$2"; out="$(realpath "$2")"
command -v qgis xvfb-run > /dev/null || { echo "skipped: no qgis or no xvfb-run here"; exit 0; }
profile="$(mktemp -d)"
scenes="$(mktemp -d)"
trap 'rm -rf "$profile" "$scenes"' EXIT
cp "$here"/../../../sample_data/*.tif "$here"/../../../sample_data/*.gpkg "$scenes"
cp "${GEOSAM_MORE_SCENES:-/nonexistent}"/* "$scenes" 2> /dev/null || true
real="${GEOSAM_REAL:-$program}"
rm -f "$out/geosam.zip"
"$real" qgis-plugin -o "$out/geosam.zip" > /dev/null
[ -s "$out/geosam.zip" ] || { echo "no zip file: GEOSAM_REAL must name the real geosam beside the fake one"; exit 2; }
export GEOSAM_ZIP="$out/geosam.zip" GEOSAM_PROGRAM="$program" GEOSAM_SCENES="$scenes" GEOSAM_OUT="$out" GEOSAM_ONLY="${3:-}"

export QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1
status=0
timeout "${GEOSAM_LIMIT_S:-900}" xvfb-run -a -s "-screen 0 1400x900x24" \
    qgis --nologo --noversioncheck --profiles-path "$profile" --code "$here/in_qgis.py" > "$out/qgis.log" 2>&1 || status=$?
grep -E "^(ok|FAILED|Traceback| +File|[A-Za-z]*Error)" "$out/qgis.log" || tail -20 "$out/qgis.log"
exit $status
