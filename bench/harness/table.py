"""Results of one work: runs by proxy and round, and their summary as min–median–max. Nothing is averaged away, and
ratios are taken within a round, for what runs minutes apart cannot be compared on a machine with other work."""

import statistics

BASE = "nginx"


class Table:
    """`columns`: (key, heading, digits). `ratio`: the key that is compared with nginx's of the same round."""

    def __init__(self, title, columns, ratio=None, note=""):
        self.title, self.columns, self.ratio, self.note = title, columns, ratio, note
        # By proxy: one sample a round; None where the proxy could not be measured in it.
        self.rows = {}
        # Why a proxy is missing.
        self.failed = {}

    def add(self, proxy, sample):
        self.rows.setdefault(proxy, []).append(sample)

    def ratios(self, proxy, base=BASE):
        pairs = zip(self.rows.get(proxy, []), self.rows.get(base, []), strict=False)
        return [one[self.ratio] / other[self.ratio] for one, other in pairs if one and other and other[self.ratio]]

    def spread(self, proxy, key, digits):
        return spread([sample[key] for sample in self.rows[proxy] if sample and key in sample], digits)

    def median(self, proxy, key):
        return statistics.median(sample[key] for sample in self.rows[proxy] if sample)

    def markdown(self):
        headings = [""] + [heading for _, heading, _ in self.columns]
        with_ratio = self.ratio and BASE in self.rows
        if with_ratio:
            headings.append("÷ nginx")
        lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
        for proxy in self.rows:
            cells = [proxy] + [self.spread(proxy, key, digits) for key, _, digits in self.columns]
            if with_ratio:
                cells.append(spread(self.ratios(proxy), 2))
            lines.append("| " + " | ".join(cells) + " |")
        for proxy, why in self.failed.items():
            lines.append(f"\n{proxy}: not measured ({why}).")
        text = f"## {self.title}\n\n" + "\n".join(lines) + "\n"
        return text + (f"\n{self.note}\n" if self.note else "")


def spread(values, digits):
    """`min–**median**–max`."""
    if not values:
        return "—"
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"**{middle:,.{digits}f}**"
    return f"{low:,.{digits}f}–**{middle:,.{digits}f}**–{high:,.{digits}f}"
