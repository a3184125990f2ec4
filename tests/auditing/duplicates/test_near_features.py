"""Near duplicates by features, against comparing each with each."""

import numpy as np

from imgrec.auditing.duplicates.near_features import feature_pairs


def test_pairs_are_those_whose_cosine_is_high_enough_the_most_alike_first():
    random = np.random.default_rng(0)
    features = random.normal(size=(1500, 16))
    features[1400] = 3 * features[7]
    features[1401] = features[8] + 0.1 * random.normal(size=16)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine = np.triu(units @ units.T, 1)
    pairs = feature_pairs(features, min_similarity=0.9)
    assert {(pair.first, pair.second) for pair in pairs} == {
        (int(a), int(b)) for a, b in zip(*np.nonzero(cosine >= 0.9), strict=True)
    }
    assert (pairs[0].first, pairs[0].second) == (7, 1400)
    assert [pair.similarity for pair in pairs] == sorted((pair.similarity for pair in pairs), reverse=True)
    assert all(np.isclose(pair.similarity, cosine[pair.first, pair.second], atol=1e-5) for pair in pairs)


def test_of_many_look_alikes_each_image_keeps_a_few():
    features = np.ones((300, 4)) + 1e-3 * np.random.default_rng(0).normal(size=(300, 4))
    assert len(feature_pairs(features, most=3)) <= 3 * 300


def test_rows_without_features_have_no_duplicates():
    features = np.array([[0.0, 0.0], [0.0, 0.0], [np.nan, 1.0], [np.nan, 1.0], [1.0, 1.0], [2.0, 2.0]])
    assert [(pair.first, pair.second) for pair in feature_pairs(features)] == [(4, 5)]


def test_two_rows_and_none():
    assert feature_pairs(np.empty((0, 4))) == []
    assert len(feature_pairs(np.array([[1.0, 0.0], [1.0, 0.01]]))) == 1
