"""What σ is calibrated by, against regressions that really leave each clip out; and what it knows of noise and errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge as Reference

from lddu.calibration import LEAST, MIN_CLIPS, RISE, excess_error, left_out_predictions, log_deviation, targets
from lddu.tensors import Split, pooled, read_noise, read_splits
from tests.lddu.small_corpus import DIMS, LABELS, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tensors"))


@pytest.fixture
def splits(folder: Path) -> dict[str, Split]:
    return read_splits(folder, ("train", "valid"), LABELS)


@pytest.mark.parametrize("width", [3, 40])
def test_predictions_are_those_of_a_regression_without_each_clip(width: int) -> None:
    """With more features than clips, too."""
    random = np.random.default_rng(width)
    features = random.normal(size=(20, width))
    present = (random.random((20, 2)) < 0.4).astype(float)
    present[:, 0] = features[:, 0] + 0.5 * random.normal(size=20) > 0
    candidates = []
    for penalty in 10 ** (np.arange(13) / 2):
        predictions = np.empty_like(present)
        for i in range(20):
            rest = np.delete(np.arange(20), i)
            predictions[i] = Reference(alpha=penalty).fit(features[rest], present[rest]).predict(features[i : i + 1])[0]
        candidates.append(predictions)
    best = min(candidates, key=lambda predictions: ((present - predictions) ** 2).mean())
    _, found = left_out_predictions(features, present)
    np.testing.assert_allclose(found, best, atol=1e-8)
    alone = np.array([present[i] - np.delete(present, i, axis=0).mean(axis=0) for i in range(20)])
    np.testing.assert_allclose(excess_error(present, found), (present - best) ** 2 - alone**2, atol=1e-8)


def test_noise_is_one_component_of_partial_least_squares(splits: dict[str, Split]) -> None:
    """Label by label, for clips that were learned from and for others; a deviation of the former is RISE."""
    train, valid = splits.values()
    wanted = [of_split[..., 0].numpy() for of_split in targets(train, valid)]
    for i, (m, mask) in enumerate(train.masks.items()):
        there = mask.any(dim=1).numpy()
        features = [pooled(split, [m]) for split in (train, valid)]
        known, present = features[0][there], (train.labels > 0).double().numpy()[there]
        _, left_out = left_out_predictions((known - known.mean(axis=0)) / known.std(axis=0), present)
        for c in range(len(LABELS)):
            reference = PLSRegression(n_components=1).fit(known, excess_error(present, left_out)[:, c])
            scores = reference.predict(known)
            for found, x in zip(wanted, features, strict=True):
                here = ~np.isnan(x).any(axis=1)
                expected = RISE * (reference.predict(x[here]) - scores.mean()) / scores.std()
                np.testing.assert_allclose(found[here, i, c], expected, atol=1e-5)


def test_ambiguity_is_the_deviation_of_a_label_whose_chance_the_regression_predicts(splits: dict[str, Split]) -> None:
    """Of clips that were left out in train, and of others in valid; it does not fall any further where p is near 0 or 1."""
    train, valid = splits.values()
    wanted = [of_split[..., 1].numpy() for of_split in targets(train, valid)]
    for i, (m, mask) in enumerate(train.masks.items()):
        there, here = mask.any(dim=1).numpy(), valid.masks[m].any(dim=1).numpy()
        known = pooled(train, [m])[there]
        standard = [(x - known.mean(axis=0)) / known.std(axis=0) for x in (known, pooled(valid, [m])[here])]
        model, left_out = left_out_predictions(standard[0], (train.labels > 0).double().numpy()[there])
        np.testing.assert_allclose(wanted[0][there, i], log_deviation(left_out), atol=1e-5)
        np.testing.assert_allclose(wanted[1][here, i], log_deviation(model.predict(standard[1])), atol=1e-5)
    edge = np.sqrt(LEAST * (1 - LEAST))
    np.testing.assert_allclose(np.exp(log_deviation(np.array([-3, 0.0, 0.5, 0.8, 1.0, 2]))), [edge, edge, 0.5, 0.4, edge, edge])


def test_the_noisier_a_modality_the_larger_its_noise(folder: Path, splits: dict[str, Split]) -> None:
    """Without a look at the noise, and for clips that the regression learned from as for others."""
    for split, wanted in zip(splits.values(), targets(splits["train"], splits["valid"]), strict=True):
        noise = read_noise(folder, split.clip_ids)
        for i, m in enumerate(DIMS):
            there = split.masks[m].any(dim=1).numpy()
            assert np.isnan(wanted[:, i].numpy()).all(axis=(1, 2)).tolist() == (~there).tolist()
            assert spearmanr(noise[m][there], wanted[:, i, :, 0].mean(dim=1).numpy()[there])[0] > 0.2


def test_a_clip_with_an_unknown_label_teaches_nothing_and_is_told_what_to_expect(splits: dict[str, Split]) -> None:
    """It is predicted by a regression that never saw it, as a clip of valid is; so it has another ambiguity than its twin."""
    train, valid = splits.values()
    labels = torch.cat([train.labels, train.labels[:1]])
    labels[-1, 0] = torch.nan
    doubled = replace(
        train,
        clip_ids=(*train.clip_ids, "one more"),
        features={m: torch.cat([x, x[:1]]) for m, x in train.features.items()},
        masks={m: torch.cat([x, x[:1]]) for m, x in train.masks.items()},
        labels=labels,
    )
    before, after = targets(train, valid)[0], targets(doubled, valid)[0]
    torch.testing.assert_close(after[:-1], before, equal_nan=True)
    torch.testing.assert_close(after[-1, ..., 0], before[0, ..., 0], equal_nan=True)
    assert after[-1].isnan().equal(before[0].isnan())


def test_too_few_clips_have_none_and_constant_features_do_no_harm(splits: dict[str, Split]) -> None:
    train, valid = splits.values()
    few = train.select(torch.arange(len(train)) < MIN_CLIPS - 1)
    assert all(wanted.isnan().all() for wanted in targets(few, valid))
    constant = replace(train, features={m: torch.ones_like(x) for m, x in train.features.items()})
    for wanted in targets(constant, valid):
        assert not wanted.isinf().any()
        assert not wanted.isnan().all()
