"""What σ is calibrated by, against regressions that never saw the speaker; and what it knows of noise and errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge, RidgeCV

from lddu import folds
from lddu.calibration import LEAST, MIN_CLIPS, PENALTIES, RISE, excess_error, log_deviation, predictions_of_others, targets
from lddu.tensors import Split, pooled, read_noise, read_splits
from tests.lddu.small_corpus import DIMS, LABELS, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tensors"))


@pytest.fixture
def splits(folder: Path) -> dict[str, Split]:
    return read_splits(folder, ("train", "valid"), LABELS)


@pytest.mark.parametrize("width", [3, 40])
@pytest.mark.parametrize("speakers", [20, 7, 1])
def test_predictions_are_those_of_a_regression_without_the_speaker(width: int, speakers: int) -> None:
    """With more features than clips, too. With one speaker, without the clip."""
    random = np.random.default_rng(width)
    features, people = random.normal(size=(20, width)), np.arange(20) % speakers
    present = (random.random((20, 2)) < 0.4).astype(float)
    left_out, shares = predictions_of_others(features, present, people, 3.0)
    for learned, judged in folds.of_people(people):
        assert speakers == 1 or not set(people[learned]) & set(people[judged])
        expected = Ridge(3.0).fit(features[learned], present[learned]).predict(features[judged])
        np.testing.assert_allclose(left_out[judged], expected, atol=1e-8)
        excess = (present[judged] - expected) ** 2 - (present[judged] - present[learned].mean(axis=0)) ** 2
        np.testing.assert_allclose(excess_error(present, left_out, shares)[judged], excess, atol=1e-8)
    own = people == 0 if speakers > 1 else np.arange(20) == 0
    changed = np.where(own[:, None], 1 - present, present)
    np.testing.assert_array_equal(predictions_of_others(features, changed, people, 3.0)[0][own], left_out[own])


def of_train(train: Split, m: str) -> tuple[np.ndarray, RidgeCV, np.ndarray, np.ndarray]:
    """Of the clips that have a modality: standardised features, a regression, its predictions of other people, the excess."""
    there = train.masks[m].any(dim=1).numpy()
    known, present = pooled(train, [m])[there], (train.labels > 0).double().numpy()[there]
    standard = (known - known.mean(axis=0)) / known.std(axis=0)
    model = RidgeCV(alphas=PENALTIES).fit(standard, present)
    left_out, shares = predictions_of_others(standard, present, train.people[there], model.alpha_)
    return known, model, left_out, excess_error(present, left_out, shares)


def test_noise_is_one_component_of_partial_least_squares(splits: dict[str, Split]) -> None:
    """Label by label, for clips that were learned from and for others; a deviation of the former is RISE."""
    train, valid = splits.values()
    wanted = [of_split[..., 0].numpy() for of_split in targets(train, valid)]
    for i, m in enumerate(train.features):
        known, _, _, excess = of_train(train, m)
        for c in range(len(LABELS)):
            reference = PLSRegression(n_components=1).fit(known, excess[:, c])
            scores = reference.predict(known)
            for found, x in zip(wanted, (pooled(split, [m]) for split in (train, valid)), strict=True):
                here = ~np.isnan(x).any(axis=1)
                expected = RISE * (reference.predict(x[here]) - scores.mean()) / scores.std()
                np.testing.assert_allclose(found[here, i, c], expected, atol=1e-5)


def test_ambiguity_is_the_deviation_of_a_label_whose_chance_the_regression_predicts(splits: dict[str, Split]) -> None:
    """Of clips that were left out in train, and of others in valid; it does not fall any further where p is near 0 or 1."""
    train, valid = splits.values()
    wanted = [of_split[..., 1].numpy() for of_split in targets(train, valid)]
    for i, (m, mask) in enumerate(train.masks.items()):
        there, here = mask.any(dim=1).numpy(), valid.masks[m].any(dim=1).numpy()
        known, model, left_out, _ = of_train(train, m)
        others = (pooled(valid, [m])[here] - known.mean(axis=0)) / known.std(axis=0)
        np.testing.assert_allclose(wanted[0][there, i], log_deviation(left_out), atol=1e-5)
        np.testing.assert_allclose(wanted[1][here, i], log_deviation(model.predict(others)), atol=1e-5)
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
    """It is predicted by a regression on all the others, as a clip of valid is; so it has another ambiguity than its twin."""
    train, valid = splits.values()
    labels = torch.cat([train.labels, train.labels[:1]])
    labels[-1, 0] = torch.nan
    doubled = replace(
        train,
        clip_ids=(*train.clip_ids, "one more"),
        features={m: torch.cat([x, x[:1]]) for m, x in train.features.items()},
        masks={m: torch.cat([x, x[:1]]) for m, x in train.masks.items()},
        labels=labels,
        speakers=(*train.speakers, train.speakers[0]),
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
