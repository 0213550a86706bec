"""What LDDU is trained with: each part a function of tensors, `LDDULoss` their weighted sum.

L = BCE(p) + w_info BCE(p_info) + w_contrast L_scl + w_calibration L_crl (arXiv 2502.13954, section 3).
B clips, C labels, M modalities, z the width of the Gaussians. A label that is NaN is unknown and enters no loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lddu.model import LDDUConfig, LDDUOutput


@dataclass(frozen=True)
class LossConfig:
    """Weights (0: the part is not computed) and sizes of the losses."""

    info: float = 0.3
    contrast: float = 0.25  # with the batch's own anchors; the released weight 1 has the queue's rows as anchors too
    calibration: float = 0.3
    calibration_form: str = "error"  # or "released"
    temperature: float = 0.07
    queue: int = 8192  # features of earlier batches that the contrast looks at


class LDDULoss(nn.Module):
    """The weighted sum of the losses, with the contrast's queue as its state."""

    def __init__(self, network: LDDUConfig, config: LossConfig | None = None) -> None:
        super().__init__()
        self.config = config or LossConfig()
        self.kinds = 2 * network.labels * len(network.dims)
        self.queue = FeatureQueue(self.config.queue if self.config.contrast else 0, 2 * network.latent)

    def forward(self, output: LDDUOutput, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and its parts before weighting, of intensities (B, C): a label is present iff above 0, NaN is unknown.

        In training the batch's features enter the queue afterwards.
        """
        targets = presence(labels, output)
        weights = {"bce": 1.0}
        parts = {"bce": cross_entropy(output.log_probs, output.log_not_probs, targets)}
        if self.config.info:
            weights["info"] = self.config.info
            parts["info"] = cross_entropy(*log_sigmoids(output.logits_info), targets)
        if self.config.contrast:
            weights["contrast"] = self.config.contrast
            parts["contrast"] = self.contrast(output, targets)
        if self.config.calibration:
            weights["calibration"] = self.config.calibration
            parts["calibration"] = self.calibration(output, targets)
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return total, parts

    def contrast(self, output: LDDUOutput, targets: Tensor) -> Tensor:
        features = torch.stack([contrast_features(output.mu[m], output.sigma[m]) for m in output.mu], dim=1)
        features = features.flatten(0, 2)  # (B M C, 2 z)
        classes = contrast_classes(targets, torch.stack(list(output.present.values()), dim=1)).flatten()
        bank, bank_classes = self.queue.features.clone(), self.queue.classes.clone()  # the queue changes before backward
        loss = supervised_contrast(features, classes, bank, bank_classes, self.kinds, self.config.temperature)
        if self.training:
            self.queue.enter(features, classes)
        return loss

    def calibration(self, output: LDDUOutput, targets: Tensor) -> Tensor:
        norms, known = joined_norm(output.sigma, output.present), ~targets.isnan()
        if self.config.calibration_form == "released":
            return released_calibration(norms, output.logits_info.float().sigmoid(), known)
        return error_calibration(norms, (targets.nan_to_num() - output.probs).abs().detach(), known)


def presence(labels: Tensor, output: LDDUOutput) -> Tensor:
    """(B, C): 1 where a label's intensity is above 0, else 0; NaN where it is unknown or nothing of the clip is there."""
    something = torch.stack(list(output.present.values())).any(dim=0)[:, None]
    return (labels > 0).to(output.log_probs.dtype).masked_fill(labels.isnan() | ~something, torch.nan)


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


def contrast_features(mu: Tensor, sigma: Tensor) -> Tensor:
    """[μ/‖μ‖ ; σ/‖σ‖]: (..., z) each to (..., 2 z)."""
    return torch.cat([functional.normalize(mu, dim=-1), functional.normalize(sigma, dim=-1)], dim=-1)


def contrast_classes(targets: Tensor, present: Tensor) -> Tensor:
    """The class (modality, label, present or absent) of each feature: targets (B, C), present (B, M) to (B, M, C).

    2 C M classes; -1 where the label is unknown or the modality absent: such features take no part.
    """
    (clips, modalities), labels = present.shape, targets.shape[1]
    pair = torch.arange(modalities * labels, device=targets.device).view(1, modalities, labels)
    classes = 2 * pair + targets.nan_to_num().long()[:, None, :]
    return classes.masked_fill(targets.isnan()[:, None, :] | ~present[:, :, None], -1).expand(clips, -1, -1)


def supervised_contrast(
    anchors: Tensor, classes: Tensor, bank: Tensor, bank_classes: Tensor, kinds: int, temperature: float
) -> Tensor:
    """Supervised contrast of anchors (A, f) with each other and with a bank (Q, f) of earlier features.

    Of anchor i with positives P(i), those of its class but itself, and s = f·f'/2 over the temperature:
    -1/|P(i)| Σ_{j ∈ P(i)} [s_ij - log Σ_{k ≠ i} exp s_ik], the mean over anchors that have positives (arXiv 2004.11362).
    Classes are below `kinds`; features of class -1 are neither anchors nor compared with.
    """
    with torch.autocast(anchors.device.type, enabled=False):  # bfloat16 would be off by 0.05 in s
        everyone, all_classes = torch.cat([anchors, bank]), torch.cat([classes, bank_classes])
        scale = 1 / (2 * temperature)
        # Positives come as sums a class, so that no second matrix of all pairs is needed.
        member = (all_classes[:, None] == torch.arange(kinds, device=classes.device)).to(anchors.dtype)  # (A + Q, kinds)
        own = member[: len(anchors)]
        positives = own @ member.sum(dim=0) - 1
        attraction = scale * (anchors * (own @ (member.T @ everyone) - anchors)).sum(dim=1) / positives.clamp(min=1)
        similarity = scale * anchors @ everyone.T  # (A, A + Q)
        never = torch.finfo(similarity.dtype).min  # not -inf: an anchor with nothing to compare with would give NaN
        similarity.masked_fill_(all_classes < 0, never).fill_diagonal_(never)
        return masked_mean(similarity.logsumexp(dim=1) - attraction, positives > 0)


class FeatureQueue(nn.Module):
    """The last features that entered, first in, first out; empty at first (class -1 takes no part)."""

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
    there = torch.stack(list(present.values()))[..., None]  # (M, B, 1)
    mean = squares.where(there, 0).sum(dim=0) / there.sum(dim=0).clamp(min=1)
    return (len(squares) * mean.where(there.any(dim=0), 1.0)).sqrt()


def error_calibration(norms: Tensor, errors: Tensor, known: Tensor) -> Tensor:
    """Half the symmetric KL divergence between the softmax of ‖σ‖ and that of the error |y - p|, over all known entries.

    All (B, C). As the paper argues it: σ should say how wrong the model is. The error is a target: pass it detached.
    """
    return symmetric_divergence(log_softmax_of(norms, known), log_softmax_of(errors, known), known)


def released_calibration(norms: Tensor, probs_info: Tensor, known: Tensor) -> Tensor:
    """The released code's form: softmax of ‖σ‖ over all entries against softmax of p_info over the labels of each clip.

    All (B, C). The first sums to 1, the second to B, and the sum is divided by the number of entries.
    """
    never = torch.finfo(probs_info.dtype).min
    by_clip = probs_info.masked_fill(~known, never).log_softmax(dim=1)
    return symmetric_divergence(log_softmax_of(norms, known), by_clip, known) / known.sum().clamp(min=1)


def log_softmax_of(values: Tensor, known: Tensor) -> Tensor:
    """Log-softmax over all known entries at once."""
    never = torch.finfo(values.dtype).min
    return values.masked_fill(~known, never).flatten().log_softmax(dim=0).view_as(values)


def symmetric_divergence(log_p: Tensor, log_q: Tensor, known: Tensor) -> Tensor:
    """(KL(p‖q) + KL(q‖p)) / 2 = Σ (p - q)(log p - log q) / 2 over the known entries."""
    terms = (log_p.exp() - log_q.exp()) * (log_p - log_q)
    return terms.where(known, 0).sum() / 2
