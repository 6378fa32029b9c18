"""The ratios as a picture: a bar for each workload and mode, on a logarithmic axis; 1 is the pass-through."""
import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot  # noqa: E402


def draw(results, columns, path):
    ours = [name for name in columns if name.startswith('sboxfs')]
    rows = [row for row in results.rows if results.median(row, 'pass-through')
            and any(results.median(row, name) for name in ours)]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.45 * len(rows)))
    height = 0.8 / max(1, len(ours))
    for index, name in enumerate(ours):
        at = [position + index * height for position in range(len(rows))]
        ratios = [(results.median(row, name) or 0) / results.median(row, 'pass-through') for row in rows]
        axes.barh(at, ratios, height=height * 0.9, label=name)
    axes.set_yticks([position + 0.4 - height / 2 for position in range(len(rows))], rows)
    axes.invert_yaxis()
    axes.set_xscale('log')
    axes.axvline(1, color='black', linewidth=1)
    axes.set_xlabel('time / time of the FUSE pass-through (less is better)')
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
