"""A cold build of everything but guda-worker and the tests, without ccache, within 90 s on 2 cores."""

import os
import tempfile

from measure import ROOT, bounded, wall_seconds


def measure(options):
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"CCACHE_DISABLE": "1"}
        seconds = wall_seconds(["cmake", "--preset", "no-torch", "-B", scratch, "-DGUDA_WITH_TESTS=OFF"], cwd=ROOT, env=environment)
        seconds += wall_seconds(["cmake", "--build", scratch, "-j", os.environ.get("GUDA_JOBS", "2")], env=environment)
    return [bounded("cold build without LibTorch", seconds, "s", 90)]
