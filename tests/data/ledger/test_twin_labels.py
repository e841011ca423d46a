"""The audit of splits, against a search through all pairs of images."""

import collections

from hypothesis import given, settings

from faceemo.data.ledger.leaks import ANY_KIND, SPLIT_PAIRS, count_leaks
from faceemo.data.ledger.twin_labels import KINDS, count_twins
from tests.support.data.ledgers import find_matches, ledgers, some_rules


@settings(max_examples=60)
@given(ledgers(), some_rules)
def test_counts_and_labels_are_those_of_all_pairs(rows, rules):
    matches = find_matches(rows, rules)
    by_path = {row.path: row for row in rows}
    found = count_twins(rows, rules)
    leaks = count_leaks(rows, rules)
    for pair, (split, other) in SPLIT_PAIRS.items():
        twins = collections.defaultdict(set)
        for one, two in matches:
            for first, second in ((one, two), (two, one)):
                if (by_path[first].split, by_path[second].split) == (split, other):
                    twins[first].add(by_path[second].label)
        count = found[pair][ANY_KIND]
        assert count.images == len(twins) == sum(leaks[pair][ANY_KIND].values())
        assert count.alike == sum(labels == {by_path[path].label} for path, labels in twins.items())
        assert sum(found[pair][kind].images for kind in KINDS) == count.images
        conflicts = collections.Counter(
            (by_path[path].label, label)
            for path, labels in twins.items()
            for label in labels - {by_path[path].label}
        )
        assert count.conflicts == conflicts
