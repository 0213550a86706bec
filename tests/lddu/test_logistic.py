"""The regressions at once are those of scikit-learn one by one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lddu import baselines, logistic
from lddu.metrics import clipped_cross_entropy

STRENGTHS = (0.001, 0.1, 10.0)


def planted(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different deviations, and three labels: common, rare, and one that hardly depends on them."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, width)) @ generator.normal(size=(width, width)) / width**0.5
    z = x @ generator.normal(size=(width, 3)) / width**0.5 * [3, 3, 0.1] + [0, -3, 1]
    return x, generator.random(z.shape) < 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("width", [5, 80])  # fewer features than clips, and more
def test_each_label_and_strength_has_the_weights_that_scikit_learn_finds(width: int) -> None:
    x, labels = planted(60, width)
    found = logistic.fit(x, labels, STRENGTHS, lambda: None)
    for strength, weights in zip(STRENGTHS, found, strict=True):
        for label, of_label in zip(labels.T, weights.T, strict=True):
            expected = LogisticRegression(C=strength, tol=1e-10, max_iter=100_000).fit(x, label)
            assert of_label == pytest.approx(np.append(expected.coef_, expected.intercept_), abs=1e-3)


def test_the_scores_of_a_probe_are_those_of_single_regressions_to_three_digits() -> None:
    x, labels = planted(400, 30)
    learn, valid, test = (slice(0, 200), slice(200, 300), slice(300, 400))
    features = {"learn": x[learn], "valid": x[valid], "test": x[test]}
    found = baselines.probe(features, labels[learn], labels[valid])
    candidates = []
    for strength in baselines.STRENGTHS:
        models = [LogisticRegression(C=strength, max_iter=2000).fit(x[learn], label) for label in labels[learn].T]
        of_valid, of_test = (np.stack([m.predict_proba(x[part])[:, 1] for m in models], 1) for part in (valid, test))
        candidates.append((clipped_cross_entropy(labels[valid], of_valid), of_test))
    best, expected = min(candidates, key=lambda candidate: candidate[0])
    assert clipped_cross_entropy(labels[valid], found["valid"]) == pytest.approx(best, abs=5e-4)
    assert found["test"] == pytest.approx(expected, abs=1e-3)


def test_it_repeats_and_a_constant_label_disturbs_no_other() -> None:
    x, labels = planted(100, 20)
    features = {"learn": x, "valid": x, "none": x[:0]}
    found = baselines.probe(features, labels, labels)
    again = baselines.probe(features, labels, labels)
    assert all(np.array_equal(found[name], probs) for name, probs in again.items())
    constant = np.concatenate([labels, np.ones((100, 1), bool)], axis=1)
    beside = baselines.probe(features, constant, constant)
    assert beside["valid"][:, :3] == pytest.approx(found["valid"], abs=1e-6)
    assert (beside["valid"][:, 3] == 1).all()
    assert beside["none"].shape == (0, 4)
