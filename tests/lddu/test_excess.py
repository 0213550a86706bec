"""Excess errors against regressions that really leave each clip out, and what they know of noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge as Reference

from lddu.excess import MIN_CLIPS, excess_errors, left_out_excess
from lddu.tensors import Split, pooled, read_noise, read_splits
from tests.lddu.small_corpus import DIMS, LABELS, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tensors"))


@pytest.fixture
def splits(folder: Path) -> dict[str, Split]:
    return read_splits(folder, ("train", "valid"), LABELS)


@pytest.mark.parametrize("width", [3, 40])
def test_excess_errors_are_those_of_a_regression_without_each_clip(width: int) -> None:
    """With more features than clips, too. The reference sees the standardised features, whose scale is that of all clips."""
    random = np.random.default_rng(width)
    features = random.normal(size=(20, width)) * random.uniform(0.1, 10, width)
    present = (random.random((20, 2)) < 0.4).astype(float)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    candidates = []
    for penalty in 10 ** (np.arange(13) / 2):
        residuals = np.empty_like(present)
        for i in range(20):
            rest = np.delete(np.arange(20), i)
            model = Reference(alpha=penalty).fit(standard[rest], present[rest])
            residuals[i] = present[i] - model.predict(standard[i : i + 1])[0]
        candidates.append(residuals)
    best = min(candidates, key=lambda residuals: (residuals**2).mean())
    alone = np.array([present[i] - np.delete(present, i, axis=0).mean(axis=0) for i in range(20)])
    np.testing.assert_allclose(left_out_excess(standard, present), best**2 - alone**2, atol=1e-8)


def test_what_is_expected_is_one_component_of_partial_least_squares(splits: dict[str, Split]) -> None:
    """Label by label, for clips that were learned from and for others; in deviations of the former."""
    train, valid = splits.values()
    for i, (m, mask) in enumerate(train.masks.items()):
        there = mask.any(dim=1).numpy()
        features = [pooled(split, [m]) for split in (train, valid)]
        known = features[0][there]
        errors = left_out_excess((known - known.mean(axis=0)) / known.std(axis=0), (train.labels > 0).double().numpy()[there])
        for c in range(len(LABELS)):
            reference = PLSRegression(n_components=1).fit(known, errors[:, c])
            scores = reference.predict(known)
            for found, x in zip(excess_errors(train, valid), features, strict=True):
                here = ~np.isnan(x).any(axis=1)
                expected = (reference.predict(x[here]) - scores.mean()) / scores.std()
                np.testing.assert_allclose(found[:, i, c].numpy()[here], expected, atol=1e-4)


def test_the_noisier_a_modality_the_larger_its_excess_error(folder: Path, splits: dict[str, Split]) -> None:
    """Without a look at the noise, and for clips that the regression learned from as for others."""
    for split, excess in zip(splits.values(), excess_errors(splits["train"], splits["valid"]), strict=True):
        noise = read_noise(folder, split.clip_ids)
        for i, m in enumerate(DIMS):
            there = split.masks[m].any(dim=1).numpy()
            assert np.isnan(excess[:, i].numpy()).all(axis=1).tolist() == (~there).tolist()
            assert spearmanr(noise[m][there], excess[:, i].mean(dim=1).numpy()[there])[0] > 0.2


def test_a_clip_with_an_unknown_label_teaches_nothing_and_is_told_what_to_expect(splits: dict[str, Split]) -> None:
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
    before, after = excess_errors(train, valid)[0], excess_errors(doubled, valid)[0]
    torch.testing.assert_close(after[:-1], before, equal_nan=True)
    torch.testing.assert_close(after[-1], before[0], equal_nan=True)


def test_too_few_clips_have_none_and_constant_features_do_no_harm(splits: dict[str, Split]) -> None:
    train, valid = splits.values()
    few = train.select(torch.arange(len(train)) < MIN_CLIPS - 1)
    assert all(excess.isnan().all() for excess in excess_errors(few, valid))
    constant = replace(train, features={m: torch.ones_like(x) for m, x in train.features.items()})
    for excess in excess_errors(constant, valid):
        assert not excess.isinf().any()
        assert not excess.isnan().all()
