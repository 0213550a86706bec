"""What LDDU is trained with: each part a function of tensors, `LDDULoss` their weighted sum.

L = BCE(p) + w_info BCE(p_info) + w_contrast L_scl + w_calibration L_crl (arXiv 2502.13954, section 3) + w_ambiguity L_amb
+ w_ordinality L_ord. The last two are additions of this project, and so is the form of L_crl: with the published losses
alone, σ was measured to rise neither with noise nor with ambiguity. L_crl and L_ord teach σ's block of noise, L_amb that of
ambiguity.
B clips, C labels, M modalities, z the width of the Gaussians. A label that is NaN is unknown and enters no loss.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lddu.model import LDDUConfig, LDDUOutput, blocks, log_norm, require_known

# Deviations from a target of log ‖σ‖ are counted in these.
UNIT = 0.1
# Entries of the contrast's matrix of all pairs that are in memory at a time: a block fits a CPU's cache, or fills a GPU.
BLOCK, BLOCK_ON_GPU = 2**20, 2**26


@dataclass(frozen=True)
class LossConfig:
    """Weights (0: the part is not computed) and forms of the losses."""

    info: float = 0.3
    contrast: float = 0.25  # with the batch's own anchors; the released weight 1 has the queue's rows as anchors too
    calibration: float = 0.3
    ambiguity: float = 0.1
    ordinality: float = 0.1
    anchors: str = "batch"  # of the contrast; or "batch+queue", as released
    negatives: str = "all"  # what an anchor is told apart from; or "label": features of its own modality and label alone
    features: str = "both"  # what is contrasted: μ and σ, or "mu"
    temperature: float = 0.07
    queue: int = 8192  # features of earlier batches that the contrast looks at
    calibration_form: str = "noise"  # of the block of noise, by lddu/calibration.py; or "released", of all of σ
    sharpness: float = 10.0  # κ of the ordinality
    present_above: float = 0.0  # a label is present if its intensity is above this
    targets: str = "presence"  # of the cross-entropy; or "share": the intensity itself, from 0 to 1

    def __post_init__(self) -> None:
        """ValueError for an unknown option."""
        require_known(
            self,
            anchors=("batch", "batch+queue"),
            negatives=("all", "label"),
            features=("both", "mu"),
            calibration_form=("noise", "released"),
            targets=("presence", "share"),
        )


class LDDULoss(nn.Module):
    """The weighted sum of the losses, with the contrast's queue as its state."""

    def __init__(self, network: LDDUConfig, config: LossConfig | None = None) -> None:
        super().__init__()
        self.config = config or LossConfig()
        self.kinds = 2 * network.labels * len(network.dims)
        width = network.latent if self.config.features == "mu" else 2 * network.latent
        self.queue = FeatureQueue(self.config.queue if self.config.contrast else 0, width)

    def forward(self, output: LDDUOutput, labels: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and its parts before weighting, of intensities (B, C), NaN where unknown.

        `wanted` (B, M, C, 2) is what log ‖σ‖ of noise and of ambiguity should be but for a constant, NaN where that is
        unknown; without it all is. In training the batch's features enter the queue afterwards. Ordinality is computed where
        the output has a noised copy.
        """
        weight, present = self.config, presence(labels, output, self.config.present_above)
        targets = present if weight.targets == "presence" else labels.to(present.dtype).masked_fill(present.isnan(), torch.nan)
        terms = {"bce": (1.0, cross_entropy(output.log_probs, output.log_not_probs, targets))}
        if weight.info:
            terms["info"] = weight.info, cross_entropy(*log_sigmoids(output.logits_info), targets)
        if weight.contrast:
            terms["contrast"] = weight.contrast, self.contrast(output, present)
        if weight.calibration:
            terms["calibration"] = weight.calibration, self.calibration(output, targets, wanted)
        if weight.ambiguity:
            terms["ambiguity"] = weight.ambiguity, self.ambiguity(output, wanted)
        if weight.ordinality and output.noised_sigma:
            terms["ordinality"] = weight.ordinality, self.ordinality(output)
        total = torch.stack([factor * part for factor, part in terms.values()]).sum()
        return total, {name: part for name, (_, part) in terms.items()}

    def contrast(self, output: LDDUOutput, targets: Tensor) -> Tensor:
        vectors = [[output.mu[m]] if self.config.features == "mu" else [output.mu[m], output.sigma[m]] for m in output.mu]
        features = torch.stack([contrast_features(*of_modality) for of_modality in vectors], dim=1).flatten(0, 2)  # (B M C, f)
        classes = contrast_classes(targets, torch.stack(list(output.present.values()), dim=1)).flatten()
        all_classes = torch.cat([classes, self.queue.classes])
        anchors = len(all_classes) if self.config.anchors == "batch+queue" else len(features)
        within, earlier = self.config.negatives == "label", self.queue.features
        loss = supervised_contrast(features, earlier, all_classes, anchors, self.kinds, self.config.temperature, within)
        if self.training:
            self.queue.enter(features, classes)
        return loss

    def calibration(self, output: LDDUOutput, targets: Tensor, wanted: Tensor | None) -> Tensor:
        if self.config.calibration_form == "released":
            norms, known = joined_norm(output.sigma, output.present), ~targets.isnan()
            return released_calibration(norms, output.logits_info.float().sigmoid(), known)
        log_norms, of_noise, known = self.known_targets(
            output.log_norms()["log_noise"], None if wanted is None else wanted[..., 0]
        )
        return deviation(log_norms, of_noise, known, (1,))

    def ambiguity(self, output: LDDUOutput, wanted: Tensor | None) -> Tensor:
        log_norms, of_ambiguity, known = self.known_targets(
            output.log_norms()["log_ambiguity"], None if wanted is None else wanted[..., 1]
        )
        return deviation(log_norms, of_ambiguity, known, (1, 2))

    @staticmethod
    def known_targets(log_norms: dict[str, Tensor], wanted: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(M, B, C) each: log ‖σ‖, its target, and whether both are known; the unknown are 0."""
        stacked = torch.stack(list(log_norms.values()))
        targets = torch.full_like(stacked, torch.nan) if wanted is None else wanted.transpose(0, 1)
        known = ~(stacked.isnan() | targets.isnan())
        return stacked.where(known, 0), targets.where(known, 0), known

    def ordinality(self, output: LDDUOutput) -> Tensor:
        terms = []
        for m, noised in output.noised_sigma.items():
            level, present = output.noise_level[m], output.present[m]
            log_norms = log_norm(blocks(torch.cat([output.sigma[m], noised]))[0])
            levels = torch.cat([torch.zeros_like(level), level])
            terms.append(ordinality(log_norms, levels, present.repeat(2), self.config.sharpness))
        return torch.stack(terms).mean()


def presence(labels: Tensor, output: LDDUOutput, above: float = 0.0) -> Tensor:
    """(B, C): 1 where a label's intensity is above `above`, else 0; NaN where it is unknown or the clip has no modality."""
    has_modality = torch.stack(list(output.present.values())).any(dim=0)[:, None]
    return (labels > above).to(output.log_probs.dtype).masked_fill(labels.isnan() | ~has_modality, torch.nan)


def log_sigmoids(logits: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log (1 - p), in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.logsigmoid(logits), functional.logsigmoid(-logits)


def cross_entropy(log_probs: Tensor, log_not_probs: Tensor, targets: Tensor) -> Tensor:
    """Mean of -(y log p + (1 - y) log (1 - p)) over the known targets; 0 where none is known."""
    known = ~targets.isnan()
    y = targets.nan_to_num()
    return masked_mean(-(y * log_probs + (1 - y) * log_not_probs), known)


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """Mean of the known values; 0 where there are none."""
    return values.where(known, 0).sum() / known.sum().clamp(min=1)


def contrast_features(*vectors: Tensor) -> Tensor:
    """[μ/‖μ‖ ; σ/‖σ‖] scaled to length 1; of any number n of vectors (..., z): (..., n z)."""
    return torch.cat([functional.normalize(x, dim=-1) for x in vectors], dim=-1) * len(vectors) ** -0.5


def contrast_classes(targets: Tensor, present: Tensor) -> Tensor:
    """The class (modality, label, present or absent) of each feature: targets (B, C), present (B, M) to (B, M, C).

    There are 2 C M classes. Features whose label is unknown or whose modality is absent have class -1 and are ignored.
    """
    (clips, modalities), labels = present.shape, targets.shape[1]
    pair = torch.arange(modalities * labels, device=targets.device).view(1, modalities, labels)
    classes = 2 * pair + targets.nan_to_num().long()[:, None, :]
    return classes.masked_fill(targets.isnan()[:, None, :] | ~present[:, :, None], -1).expand(clips, -1, -1)


def supervised_contrast(
    learned: Tensor, constant: Tensor, classes: Tensor, anchors: int, kinds: int, temperature: float, within: bool = False
) -> Tensor:
    """Supervised contrast of the first `anchors` of some features with all of them.

    The features are those `learned` (n, f), then the `constant` ones (m, f), which get no gradient and may change before the
    backward pass; classes (n + m) are of both.
    Of anchor i with positives P(i), those of its class but itself, and s = f·f' over the temperature:
    -1/|P(i)| Σ_{j ∈ P(i)} [s_ij - log Σ_{k ≠ i} exp s_ik], the mean over anchors that have positives (arXiv 2004.11362).
    Classes are below `kinds`; features of class -1 are neither anchors nor compared with. With `within`, k runs over the
    features of i's own modality and label alone, which are classes 2n and 2n + 1.
    """
    with torch.autocast(learned.device.type, enabled=False):  # bfloat16 would be off by 0.05 in s
        # The sum over an anchor's positives follows from the sum over its class, so no matrix of all pairs is needed.
        member = (classes[:, None] == torch.arange(kinds, device=classes.device)).to(learned.dtype)  # (n + m, kinds)
        anchor, anchor_class = first(anchors, learned, constant), member[:anchors]
        positives = anchor_class @ member.sum(dim=0) - 1
        of_learned, of_constant = member.split([len(learned), len(constant)])
        sums = anchor_class @ (of_learned.T @ learned + of_constant.T @ constant) - anchor
        attraction = (anchor * sums).sum(dim=1) / temperature / positives.clamp(min=1)
        has_positives = (positives > 0).to(learned.dtype)
        weights = has_positives / has_positives.sum().clamp(min=1)
        return Repulsion.apply(learned, constant, classes, weights, temperature, within) - weights @ attraction


def first(count: int, learned: Tensor, constant: Tensor) -> Tensor:
    """The first features of both: joined only where the learned are too few, which is a copy."""
    return learned[:count] if count <= len(learned) else torch.cat([learned, constant])[:count]


class Repulsion(torch.autograd.Function):
    """Σ_i w_i log Σ_{k ≠ i} exp s_ik over the anchors, block by block: the matrix of all pairs is never in memory.

    Features are as in `supervised_contrast`. Anchors are the first of them, as many as there are weights. The gradient of the
    `learned` features is computed in the forward pass, where each block's softmax is in memory, and kept for the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, learned: Tensor, constant: Tensor, classes: Tensor, weights: Tensor, temperature: float, within: bool
    ) -> Tensor:
        gradient = torch.zeros_like(learned) if ctx.needs_input_grad[0] else None
        never = torch.finfo(learned.dtype).min  # with -inf, an anchor that is compared with nothing would give NaN
        absent, pair = learned.new_zeros(len(classes)).masked_fill_(classes < 0, never), classes // 2
        total, anchors = weights.new_zeros(()), first(len(weights), learned, constant)
        size = max((BLOCK_ON_GPU if learned.is_cuda else BLOCK) // len(classes), 1)
        for start, block, weight in zip(count(0, size), anchors.split(size), weights.split(size), strict=False):
            similarity = learned.new_empty(len(block), len(classes))  # (block, n + m)
            for part, to in zip((learned, constant), similarity.split([len(learned), len(constant)], dim=1), strict=True):
                torch.mm(block / temperature, part.T, out=to)
            similarity.add_(absent).diagonal(start).fill_(never)
            if within:
                similarity.masked_fill_(pair[start : start + len(block), None] != pair, never)
            largest = similarity.amax(dim=1)
            shares = similarity.sub_(largest[:, None]).exp_()
            sums = shares.sum(dim=1)
            total += weight @ (sums.log() + largest)
            if gradient is not None:
                pull = (weight / sums / temperature)[:, None]
                of_block = gradient[start : start + len(block)]  # shorter, or empty, where features of the block are constant
                mean = shares[:, : len(learned)] @ learned + shares[:, len(learned) :] @ constant
                of_block += (mean * pull)[: len(of_block)]
                gradient.addmm_(shares[:, : len(learned)].T, block * pull)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None, None, None, None


class FeatureQueue(nn.Module):
    """Features of earlier batches, first in, first out; empty at first (class -1 is ignored)."""

    features: Tensor  # (Q, f)
    classes: Tensor  # (Q,)
    cursor: Tensor  # () where the next feature goes

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("classes", torch.full((size,), -1))
        self.register_buffer("cursor", torch.tensor(0))

    @torch.no_grad()
    def enter(self, features: Tensor, classes: Tensor) -> None:
        """Overwrite the oldest with these (n, f) and (n,); of more than the queue holds, the last stay."""
        size = len(self.classes)
        if not size:
            return
        features, classes = features[-size:].detach(), classes[-size:]
        places = (self.cursor + torch.arange(len(classes), device=classes.device)) % size
        self.features.index_copy_(0, places, features.to(self.features.dtype))
        self.classes.index_copy_(0, places, classes)
        self.cursor.copy_((self.cursor + len(classes)) % size)


def joined_norm(sigma: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """(B, C): ‖[σ_text ; σ_audio ; ...]‖, where absent modalities count as the mean of the present ones."""
    squares = torch.stack([x.square().sum(dim=-1) for x in sigma.values()])  # (M, B, C)
    is_present = torch.stack(list(present.values()))[..., None]  # (M, B, 1)
    mean = squares.where(is_present, 0).sum(dim=0) / is_present.sum(dim=0).clamp(min=1)
    return (len(squares) * mean.where(is_present.any(dim=0), 1.0)).sqrt()


def deviation(log_norms: Tensor, targets: Tensor, known: Tensor, over: tuple[int, ...]) -> Tensor:
    """Mean of ((s - s̄) - (t - t̄))² / UNIT², of the known: s = log ‖σ‖ learns to be its target t but for a constant.

    All (M, B, C). The constants s̄ and t̄ are means over the axes `over`: (1,), one for each modality and label, or (1, 2), one
    for each modality.
    """
    count = known.sum(dim=over, keepdim=True).clamp(min=1)
    gap = (log_norms - targets).where(known, 0)
    return masked_mean(((gap - gap.sum(dim=over, keepdim=True) / count) / UNIT).square(), known)


def ordinality(log_norms: Tensor, levels: Tensor, known: Tensor, sharpness: float) -> Tensor:
    """More noise, more σ: mean of softplus(-κ (s_i - s_j)) over the pairs of which i is the noisier, and over labels.

    s = log ‖σ‖ (n, C) of one modality, levels of noise (n,), known (n,) bool: false where a clip has no such modality, so that
    it is in no pair.
    """
    gap = log_norms[:, None] - log_norms  # (n, n, C)
    ordered = (levels[:, None] > levels) & known[:, None] & known
    return masked_mean(functional.softplus(-sharpness * gap).mean(dim=2), ordered)


def released_calibration(norms: Tensor, probs_info: Tensor, known: Tensor) -> Tensor:
    """The released code's form: softmax of ‖σ‖ over all entries against softmax of p_info over the labels of each clip.

    All (B, C). The first sums to 1, the second to B, and the sum is divided by the number of entries.
    """
    by_clip = log_softmax_of(probs_info, known)
    of_all = log_softmax_of(norms.flatten(), known.flatten()).view_as(norms)
    return symmetric_divergence(of_all, by_clip, known) / known.sum().clamp(min=1)


def log_softmax_of(values: Tensor, known: Tensor) -> Tensor:
    """Log-softmax over the known entries of the last axis."""
    return values.masked_fill(~known, torch.finfo(values.dtype).min).log_softmax(dim=-1)


def symmetric_divergence(log_p: Tensor, log_q: Tensor, known: Tensor) -> Tensor:
    """(KL(p‖q) + KL(q‖p)) / 2 = Σ (p - q)(log p - log q) / 2 over the known entries."""
    terms = (log_p.exp() - log_q.exp()) * (log_p - log_q)
    return terms.where(known, 0).sum() / 2
