"""Rows of the table of results, said as they come."""

# A ratio may not be less than the first of these, a value not more than the second.
LEAST_RATIO = {"healthz": 0.85, "debate_get": 0.45, "fanout": 0.5, "fanout_cpu": 0.5}
MOST = {"cgi_start": 100, "provider_100_cpu_per_call": 2, "provider_100_memory_per_debate": 1024}
HEAD = ("name", "value", "unit", "floor", "ratio", "cpu_us")


def target_of(name, value, ratio):
    if name in LEAST_RATIO:
        missed = ratio < LEAST_RATIO[name]
        return f", target: ratio {LEAST_RATIO[name]}" + (": BELOW TARGET" if missed else "")
    if name in MOST:
        return f", target: {MOST[name]}" + (": ABOVE TARGET" if value > MOST[name] else "")
    return ""


def row(name, value, unit, floor=None, ratio=None, cpu_us=None, digits=0):
    """Texts of the columns of HEAD; digits behind the point, of value and floor."""
    texts = {
        "name": name,
        "value": f"{value:.{digits}f}",
        "unit": unit,
        "floor": "" if floor is None else f"{floor:.{digits}f}",
        "ratio": "" if ratio is None else f"{ratio:.3f}",
        "cpu_us": "" if cpu_us is None else f"{cpu_us:.1f}",
    }
    said = f"{name}: {texts['value']} {unit}"
    said += f", floor {texts['floor']}" if texts["floor"] else ""
    said += f", ratio {texts['ratio']}" if texts["ratio"] else ""
    said += f", {texts['cpu_us']} us of a processor each" if texts["cpu_us"] else ""
    print(said + target_of(name, value, ratio), flush=True)
    return texts


def read(path):
    """Rows of the table by name; none if there is no table."""
    if not path.exists():
        return {}
    lines = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return {line[0]: dict(zip(HEAD, line)) for line in lines}


def write(path, rows):
    lines = [HEAD, *([texts[column] for column in HEAD] for texts in rows.values())]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
