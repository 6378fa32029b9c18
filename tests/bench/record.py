"""Seconds and costs of one run, and what many runs come to."""
import contextlib
import statistics
import time


class Record:
    """Rows of one run on one column: record.timed('unpack', files=n) around the work."""

    def __init__(self, column, results):
        self.column, self.results = column, results

    @contextlib.contextmanager
    def timed(self, row, files=0, since=None):
        """`files`: what the costs are divided by. `since`: the start of another row that this one goes on from."""
        before = self.column.cost()
        start = time.perf_counter() if since is None else since
        yield start
        seconds = time.perf_counter() - start
        after = self.column.cost()
        spent = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
        self.results.add(row, self.column.name, seconds, spent, files)

    def value(self, row, amount, unit):
        """A figure that is not a time."""
        self.results.add(row, self.column.name, amount, {}, 0, unit)


class Results:
    def __init__(self):
        self.rows = {}    # row -> column -> [figure]
        self.units = {}   # row -> 's' or another unit
        self.costs = {}   # row -> column -> (files, {counter: amount}) of the last run
        self.missing = []  # rows that could not run, with the reason

    def add(self, row, column, figure, spent, files, unit='s'):
        self.rows.setdefault(row, {}).setdefault(column, []).append(figure)
        self.units[row] = unit
        if spent:
            self.costs.setdefault(row, {})[column] = (files, spent)

    def median(self, row, column):
        figures = self.rows.get(row, {}).get(column)
        return statistics.median(figures) if figures else None

    def json(self):
        return {'rows': [{'row': row, 'unit': self.units[row],
                          'columns': {name: {'median': statistics.median(figures), 'min': min(figures),
                                             'max': max(figures), 'runs': len(figures)}
                                      for name, figures in columns.items()},
                          'costs': {name: {'files': files, **spent}
                                    for name, (files, spent) in self.costs.get(row, {}).items()}}
                         for row, columns in self.rows.items()],
                'missing': self.missing}


def short(figure):
    if figure is None:
        return '-'
    return f'{figure:.3g}' if figure < 1000 else f'{figure:.0f}'


def table(results, columns):
    """Markdown: medians, then each sboxfs column against pass-through and local disk, and each peer against sboxfs."""
    ours = [name for name in columns if name.startswith('sboxfs')]
    ratios = [(name, other) for other in ('pass-through', 'local') for name in ours]
    ratios += [(name, ours[0]) for name in columns if name not in (*ours, 'pass-through', 'local')] if ours else []
    head = ['workload', 'unit', *columns, *(f'{name.split()[-1]} / {other.split()[-1]}' for name, other in ratios)]
    lines = ['| ' + ' | '.join(head) + ' |', '|' + ' --- |' * len(head)]
    for row in results.rows:
        cells = [row, results.units[row], *(short(results.median(row, name)) for name in columns)]
        for name, other in ratios:
            above, below = results.median(row, name), results.median(row, other)
            cells.append(f'{above / below:.2f}' if above and below else '-')
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def costs(results):
    """What each row cost sboxfs, a file where files were counted."""
    lines = []
    for row, columns in results.costs.items():
        for name, (files, spent) in columns.items():
            per = files or 1
            requests = {key[5:]: count for key, count in spent.items() if key.startswith('fuse ')}
            others = {key: count for key, count in spent.items() if not key.startswith('fuse ')}
            words = [f'{key} {count / per:.3g}' for key, count in others.items()]
            words.append(f'FUSE requests {sum(requests.values()) / per:.3g}')
            words.append('(' + ', '.join(f'{key} {count / per:.3g}' for key, count in
                                         sorted(requests.items(), key=lambda item: -item[1])[:8]) + ')')
            lines.append(f'{row}, {name}, {f"for each of {files} files" if files else "in all"}: ' + '; '.join(words))
    return '\n'.join(lines)
