"""What `anykeypoint evaluate` prints: the main metrics as a small table, and a line for each other figure."""

from typing import Any


def summary(results: dict[str, Any]) -> str:
    """What is printed of a report, in percent. results: its results.json."""
    from ..evaluation.run import HEADLINE
    from ..evaluation.scoring import describe_areas

    names = results["semantics"]
    if names is not None:
        keys = ("exact", "normalised")
        rows = [("", *keys), ("model", *(names["category_mean"][key] for key in keys))]
        rows += [(name, *(entry["category_mean"][key] for key in keys)) for name, entry in names["baselines"].items()]
        last = (
            f"{results['objects']} objects, {names['points']} points, {results['categories']} categories; category mean"
        )
    else:
        rows = [("", *HEADLINE), ("model", *(results["category_mean"][key] for key in HEADLINE))]
        for name, entry in results["baselines"].items():
            rows.append((name, *(entry["category_mean"][key] for key in HEADLINE)))
        rows.append(("model, object mean", *(results["object_mean"][key] for key in HEADLINE)))
        low, high = results["interval"]["pck@0.2"]
        unit = "objects" if results["pairs"] == results["objects"] else "pairs"
        alone = all(entry["objects"] == 1 for entry in results["per_category"].values())
        interval = (
            "no interval, as no category has two objects"
            if alone
            else f"95 % of pck@0.2 within {low:.1f} to {high:.1f}"
        )
        last = (
            f"{results['pairs']} {unit}, {results['points']} points, {results['categories']} categories; "
            f"category mean, {interval}"
        )
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}} " + " ".join(f"{_cell(value):>10}" for value in row[1:]) for row in rows]
    lines.append(last)
    if oks := results.get("oks"):
        figures = ", ".join(f"{key} {_cell(oks[key]) or 'none'}" for key in ("AP", "AP50", "AP75", "AR"))
        lines.append(f"OKS with the sigmas {oks['sigmas']}: {figures}; {describe_areas(oks['areas'])}")
    if found := results.get("left_right"):
        lines += left_right_lines(found)
    if found := results.get("presence"):
        lines += presence_lines(found)
    for key in ("groups", "names"):
        for part, entry in (results[key] or {}).items():
            mean = entry["category_mean"]
            at = [] if mean is None else [f"{mean[name]:.1f} {name}" for name in ("pck@0.2", "pck@0.1")]
            counts = f"{entry['categories']} categories, {entry['pairs']} pairs"
            lines.append(f"{part}: {', '.join(at) or 'no point to score'} ({counts})")
    lines += [f"not measured: {name} ({why})" for name, why in results["baselines_unmeasured"].items()]
    lines += [f"left out: {count} ({reason})" for reason, count in results["skipped"].items()]
    if results.get("empty"):
        lines.append(f"without a point to score on: {results['empty']}")
    return "\n".join(lines)


def left_right_lines(found: dict[str, Any]) -> list[str]:
    """What a report says of left and right, a line for each figure. found: its "left_right"."""
    exchanged, agreement = found["exchanged"], found["agreement"]
    lines = [
        f"left and right exchanged: {_cell(exchanged['category_mean'])} % of the pairs "
        f"({len(exchanged['per_category'])} categories, {exchanged['count']} pairs; category mean)"
    ]
    if agreement is not None:
        lines.append(
            f"the mirrored picture agrees: {_cell(agreement['category_mean'])} % of the points within "
            f"{found['within']:g} ({len(agreement['per_category'])} categories, {agreement['count']} points; "
            "category mean)"
        )
    return lines


def presence_lines(found: dict[str, Any]) -> list[str]:
    """What a report says of presence, a line for each figure. found: its "presence"."""
    lines = [f"called present: {_cell(found['visible']['present'])} % of {found['visible']['points']} visible points"]
    unseen = {part: found[part] for part in ("hidden", "absent") if found[part]["points"]}
    if unseen:
        shares = " and ".join(f"{one['points']} {part}" for part, one in unseen.items())
        count = sum(one["points"] for one in unseen.values())
        mean = sum(one["points"] * one["present"] for one in unseen.values()) / count
        lines[0] += f", {mean:.1f} % of those not visible ({shares}{_area(found['auroc'])})"
    if found["foreign"]["points"]:
        lines.append(
            f"of another kind of object: {found['foreign']['present']:.1f} % of {found['foreign']['points']} points "
            f"called present ({found['foreign_objects']} objects{_area(found['auroc_foreign'])})"
        )
    return lines


def _area(value: float | None) -> str:
    return "" if value is None else f"; AUROC {value:.3f}"  # there is none without a visible point


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.1f}"
