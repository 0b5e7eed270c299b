"""The committed ratios of the bench and what a new measurement says against them."""
import json
import pathlib

FILE = pathlib.Path(__file__).parent / "ratios.json"
TOLERANCE = 0.10


def committed(file=FILE):
    return json.loads(file.read_text()) if file.exists() else {"schema": 1, "tolerance": TOLERANCE, "machine": None, "ratios": {}}


def regressions(results, known):
    """Lines for people: of what is slower, against its peer or bound, than it was when it was committed; and of what was never committed."""
    slower, new = [], []
    for result in results:
        if "ratio" not in result:
            continue
        was = known["ratios"].get(result["name"])
        if was is None:
            new.append(f"{result['name']}: {result['ratio']:.3f}, not committed (--record)")
        elif result["ratio"] > was * (1 + known["tolerance"]):
            slower.append(f"{result['name']}: {result['ratio']:.3f}, was {was:.3f}: {100 * (result['ratio'] / was - 1):.0f} % slower")
    return slower, new


def record(results, machine, file=FILE):
    """Ratios of these results in place of those that were committed; others stay."""
    known = committed(file)
    known["machine"] = machine
    known["ratios"] |= {result["name"]: round(result["ratio"], 4) for result in results if "ratio" in result}
    known["ratios"] = dict(sorted(known["ratios"].items()))
    file.write_text(json.dumps(known, indent=1) + "\n")
