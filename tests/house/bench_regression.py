"""./run bench --check: what is more than a tenth slower than its committed ratio is named, and nothing else."""
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "bench"))
from regression import committed, record, regressions  # noqa: E402


def main():
    results = [{"name": "a", "ratio": 0.5}, {"name": "b", "ratio": 1.2}, {"name": "without", "value": 3}]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "ratios.json"
        assert regressions(results, committed(file)) == ([], ["a: 0.500, not committed (--record)", "b: 1.200, not committed (--record)"])
        record(results, {"cpu": "x"}, file)
        known = committed(file)
        assert known["ratios"] == {"a": 0.5, "b": 1.2} and known["machine"] == {"cpu": "x"}
        assert regressions(results, known) == ([], [])
        assert regressions([{"name": "a", "ratio": 0.54}], known) == ([], []), "within the tolerance"
        assert regressions([{"name": "a", "ratio": 0.4}], known) == ([], []), "faster"
        assert regressions([{"name": "a", "ratio": 0.56}], known) == (["a: 0.560, was 0.500: 12 % slower"], [])
        record([{"name": "a", "ratio": 0.4}], {"cpu": "y"}, file)
        assert committed(file)["ratios"] == {"a": 0.4, "b": 1.2}, "others stay"
    assert committed()["ratios"], "the repository has ratios to check against"


if __name__ == "__main__":
    main()
