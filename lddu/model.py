"""LDDU, latent distribution decoupling (arXiv 2502.13954): a clip's modalities in, a probability for each label out.

The method's five steps stand here in their order: extractor, emotion space mapping, distribution, readings, gate.
B clips, C labels, L rows of a modality, D features a row, d = `width`, z = `latent`, M modalities.

The z dimensions of a Gaussian are two blocks. σ of the first half is the noise of a modality: how little it carries. σ of the
second half is its ambiguity: how mixed is what it carries. The losses teach them so; μ is one whole. This is an addition of
this project: one number was measured not to follow both.

Where the paper's figure and its released code differ, the code is the default and the figure an option: one projection for
keys and values or two, ReLU without dropout or GELU with it between the distribution's layers.
"""

import math
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lddu.attention import Attention, Dropout, again, by_head, joined

# As in the released extractor. In float32 it changes no variance but zero; a constant row gives zeros.
NORM_EPSILON = 1e-12
# Standard deviation of the extractor's first weights, as in BERT.
FIRST_WEIGHTS = 0.02
# log σ² is kept within e^±8, so that neither σ nor its gradient overflows.
LOG_VARIANCE_LIMIT = 8.0
# A feature that hardly varies in the training split is divided by this share of its modality's median deviation, not by its
# own deviation: otherwise its value in the first clip in which it does vary would be far larger than all other features.
# Features below CONSTANT times the largest deviation are constant but for rounding, and do not count in the median.
DEVIATION_FLOOR = 0.01
CONSTANT = 1e-6


# What is reported of σ: log ‖σ‖ of all dimensions, of the block of noise, of the block of ambiguity.
LOG_NORMS = ("log_sigma", "log_noise", "log_ambiguity")


@dataclass(frozen=True)
class LDDUConfig:
    """Every size of the network; the defaults are those of the released model on aligned CMU-MOSEI."""

    dims: dict[str, int] = field(default_factory=lambda: {"text": 768, "audio": 74, "vision": 35})  # features a row
    labels: int = 6
    width: int = 256  # d, of the extractor's states
    latent: int = 128  # z, of the Gaussians
    layers: int = 3  # Transformer layers of each extractor
    heads: int = 8
    feedforward: int = 256
    positions: int = 60  # learned positions of each modality; a longer clip's rows are spread over them
    dropout: float = 0.3  # of the extractor's hidden states and attention
    head_dropout: float = 0.1  # of the mapped vectors and of the classifiers' hidden layers
    input: str = "layernorm"  # or "standardise", with the training split's statistics
    # "mean": a clip's observed rows are averaged before the network sees them; "mean_deviation": beside their mean stands
    # their deviation.
    rows: str = "all"
    projections: int = 1  # of the mapping: one for keys and values (code), or one each (figure): 2
    label_residual: bool = False  # the mapping adds the label's embedding to what it attended to
    activation: str = "relu"  # of the distribution: "relu" (code), or "gelu" with dropout (figure)
    info: str = "shared"  # one info classifier for all labels; or "per_label", each its own, as the other readings have
    fusion: str = "gate"  # p is the gate's mixture; or "mean" of the three readings; or "mu": the centre's alone
    modality_dropout: float = 0.0  # chance of each modality of each clip to be left out in training; one always stays
    recompute: bool = True  # the layers' states are computed again in the backward pass instead of kept: no result changes

    def __post_init__(self) -> None:
        """ValueError for an unknown option, for a width that is no multiple of the heads, and for a latent below 2."""
        require_known(
            self,
            input=("layernorm", "standardise"),
            rows=("all", "mean", "mean_deviation"),
            projections=(1, 2),
            activation=("relu", "gelu"),
            info=("shared", "per_label"),
            fusion=("gate", "mean", "mu"),
        )
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}: a multiple of heads ({self.heads}) is expected")
        if self.latent < 2:
            raise ValueError(f"latent is {self.latent}: at least 2 are expected, for noise and ambiguity")

    @property
    def widths(self) -> dict[str, int]:
        """By modality: features of a row as the extractor reads it."""
        return {m: width * (2 if self.rows == "mean_deviation" else 1) for m, width in self.dims.items()}


def require_known(config: object, **options: tuple) -> None:
    """ValueError where a configuration's option has none of its allowed values."""
    for name, allowed in options.items():
        if (value := getattr(config, name)) not in allowed:
            raise ValueError(f"{name} is {value!r}: one of {', '.join(map(str, allowed))} is expected")


@dataclass
class LDDUOutput:
    """The network's output for B clips; the dictionaries have an entry for each modality."""

    log_probs: Tensor  # (B, C) log p, float32
    log_not_probs: Tensor  # (B, C) log (1 - p), float32
    logits_mu: Tensor  # (B, C) the centre classifier
    logits_sigma: Tensor  # (B, C) the uncertainty classifier
    logits_info: Tensor  # (B, C) the info classifier
    mapped: dict[str, Tensor]  # (B, C, d) Z
    mu: dict[str, Tensor]  # (B, C, z) μ, float32
    sigma: dict[str, Tensor]  # (B, C, z) σ, float32
    present: dict[str, Tensor]  # (B,) bool: was there any row of the modality
    # Of a copy of the modality with added noise, where there is one: its level of noise, (B,) from 0 to 1, and σ (B, C, z).
    noise_level: dict[str, Tensor] = field(default_factory=dict)
    noised_sigma: dict[str, Tensor] = field(default_factory=dict)

    @property
    def probs(self) -> Tensor:
        """(B, C) p."""
        return self.log_probs.exp()

    def log_norms(self) -> dict[str, dict[str, Tensor]]:
        """By part of σ and modality (B, C): log ‖σ‖, the reported uncertainty; NaN where the modality is absent.

        The parts are all of σ, `log_sigma`, its block of noise, `log_noise`, and its block of ambiguity, `log_ambiguity`.
        """
        parts = {m: (sigma, *blocks(sigma)) for m, sigma in self.sigma.items()}
        return {
            name: {m: log_norm(of[i]).masked_fill(~self.present[m][:, None], torch.nan) for m, of in parts.items()}
            for i, name in enumerate(LOG_NORMS)
        }

    def log_sigma_norm(self) -> dict[str, Tensor]:
        """By modality (B, C): log ‖σ‖ of all dimensions."""
        return self.log_norms()["log_sigma"]

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, the first axis B; `of` is the inverse."""
        named: dict[str, Tensor] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            named |= {f"{entry.name}.{m}": x for m, x in value.items()} if isinstance(value, dict) else {entry.name: value}
        return named

    @classmethod
    def of(cls, named: dict[str, Tensor]) -> "LDDUOutput":
        """The output whose tensors have these names."""
        values: dict = {}
        for key, x in named.items():
            name, _, m = key.partition(".")
            values.setdefault(name, {}).update({m: x}) if m else values.update({name: x})
        return cls(**values)


def blocks(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """σ (..., z) of the noise and of the ambiguity: the first z // 2 dimensions, and the others."""
    half = sigma.shape[-1] // 2
    return sigma[..., :half], sigma[..., half:]


def log_norm(sigma: Tensor) -> Tensor:
    """log ‖σ‖ over the last axis."""
    return sigma.norm(dim=-1).log()


# Step 1: unimodal extractor


class Standardise(nn.Module):
    """(x - mean) / deviation with the training split's statistics, which are part of the weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def fit(self, mean: Tensor, deviation: Tensor) -> None:
        """Take over a training split's statistics, (D,) each."""
        varying = deviation[deviation > CONSTANT * deviation.max()]
        floor = DEVIATION_FLOOR * float(varying.median()) if len(varying) else 1.0
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp(min=floor))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class Positions(nn.Module):
    """Learned positions. The rows of a clip that is longer than the table are spread evenly over it; no row is cut."""

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(config.positions, config.width) * FIRST_WEIGHTS)

    def forward(self, mask: Tensor) -> Tensor:
        rows, entries = mask.shape[1], self.table.shape[0]
        if rows <= entries:
            return self.table[:rows]  # (L, d)
        index = torch.arange(rows, device=mask.device)
        last = ((index + 1) * mask).amax(dim=1, keepdim=True) - 1  # (B, 1): of the clip alone, whatever its batch
        place = (index * ((entries - 1) / last.clamp(min=1)).clamp(max=1)).clamp(max=entries - 1)  # (B, L)
        below = place.long()
        fraction = (place - below)[..., None].to(self.table.dtype)
        above = (below + 1).clamp(max=entries - 1)
        return self.table[below] * (1 - fraction) + self.table[above] * fraction  # (B, L, d)


class Layer(nn.Module):
    """A post-norm Transformer layer."""

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.query_key_value = nn.Linear(d, 3 * d)
        self.attended = nn.Linear(d, d)
        self.attention_norm = nn.LayerNorm(d, eps=NORM_EPSILON)
        self.widen = nn.Linear(d, config.feedforward)
        self.narrow = nn.Linear(config.feedforward, d)
        self.feedforward_norm = nn.LayerNorm(d, eps=NORM_EPSILON)
        self.dropout = Dropout(config.dropout)
        self.recompute = config.recompute

    def forward(self, x: Tensor, mask: Tensor, norm: nn.Module) -> Tensor:
        """From states before the norm that precedes this layer to states before its own `feedforward_norm`, (B, L, d) each.

        To be computed again, and not kept, are the results of norms and of GELU.
        """
        kept = again if self.training and self.recompute else (lambda *_: nullcontext())
        y = norm(x)
        with kept(y, norm, x):
            mixed = self.attend(y, mask)
        x = self.dropout.added(y, self.attended(mixed))
        y = self.attention_norm(x)
        with kept(y, self.attention_norm, x):
            wide = self.widen(y)
        activated = functional.gelu(wide)
        with kept(activated, functional.gelu, wide):
            return self.dropout.added(y, self.narrow(activated))

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        project, chance = self.query_key_value, self.dropout.chance if self.training else 0.0
        if chance and not x.is_cuda:  # the fused attention would use torch's slow dropout, see Dropout
            kept = self.dropout.draw((len(x), self.heads, *mask.shape[1:] * 2))
            return Attention.apply(x, project.weight, project.bias, mask, kept, self.dropout.scale)
        query, key, value = by_head(project(x), 3, self.heads)
        return joined(functional.scaled_dot_product_attention(query, key, value, mask[:, None, None, :], chance))


class Extractor(nn.Module):
    """Rows of features (B, L, D) to states in context (B, L, d)."""

    def __init__(self, features: int, config: LDDUConfig) -> None:
        super().__init__()
        layernorm = config.input == "layernorm"
        self.input = nn.LayerNorm(features, eps=NORM_EPSILON) if layernorm else Standardise(features)
        self.project = nn.Linear(features, config.width)
        self.positions = Positions(config)
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=FIRST_WEIGHTS)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        states = self.dropout(self.norm(self.projected(x) + self.positions(mask)))
        norm: nn.Module = nn.Identity()
        for layer in cast("Iterable[Layer]", self.layers):
            states, norm = layer(states, mask, norm), layer.feedforward_norm
        return norm(states)

    def projected(self, x: Tensor) -> Tensor:
        """`project(input(x))`. LayerNorm's factors join the projection's, so that no gradient of (B, L, D) is computed."""
        if not isinstance(self.input, nn.LayerNorm):
            return self.project(self.input(x))
        of_input, of_project = self.input, self.project
        normed = functional.layer_norm(x, of_input.normalized_shape, eps=of_input.eps)
        bias = of_project.bias + of_project.weight @ of_input.bias
        return functional.linear(normed, of_project.weight * of_input.weight, bias)


# Step 2: emotion space mapping


class Mapping(nn.Module):
    """Each label's embedding attends to the states: (B, L, d) to one vector for each label, (B, C, d)."""

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        d = config.width
        self.query = xavier(nn.Linear(d, d))
        self.key_value = nn.ModuleList(xavier(nn.Linear(d, d)) for _ in range(config.projections))
        self.output = xavier(nn.Linear(d, d))
        self.dropout = Dropout(config.head_dropout)
        self.residual = config.label_residual

    def forward(self, labels: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.query(labels), self.key_value[0], self.key_value[-1]
        # Keys and values are linear in the states, and there are fewer labels than states: the projections act on the queries
        # and on what was attended to.
        scores = (query @ key.weight) @ states.transpose(1, 2) + (query @ key.bias)[:, None]  # (B, C, L)
        scores = scores / math.sqrt(query.shape[-1])
        attention = scores.masked_fill(~mask[:, None, :], -torch.inf).softmax(dim=-1)
        mapped = self.output(self.dropout(value(attention @ states)))
        return mapped + labels if self.residual else mapped


# Step 3: distribution learning


class Distribution(nn.Module):
    """A Gaussian for each label: (B, C, d) to μ and σ, (B, C, z) each. Nothing is sampled."""

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        d = config.width
        sizes = [d, d * 3 // 4, d // 2, d // 2]
        between = {"relu": (nn.ReLU(),), "gelu": (nn.GELU(), Dropout(config.head_dropout))}[config.activation]
        self.hidden = nn.Sequential(*(module for a, b in pairwise(sizes) for module in (xavier(nn.Linear(a, b)), *between)))
        self.mu = xavier(nn.Linear(d // 2, config.latent))
        self.log_variance = xavier(nn.Linear(d // 2, config.latent))

    def forward(self, mapped: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(mapped)
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 has too few digits for log σ²
            hidden = hidden.to(self.mu.weight.dtype)
            log_variance = self.log_variance(hidden).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
            return self.mu(hidden), torch.exp(0.5 * log_variance)


class StandIn(nn.Module):
    """Stands in for an absent modality: for each label the training split's mean Z, mean μ, and the σ of that mixture."""

    mapped: Tensor
    mu: Tensor
    sigma: Tensor

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        self.register_buffer("mapped", torch.zeros(config.labels, config.width))
        self.register_buffer("mu", torch.zeros(config.labels, config.latent))
        self.register_buffer("sigma", torch.ones(config.labels, config.latent))

    def fit(self, known: Tensor, mapped: Tensor, mu: Tensor, sigma: Tensor) -> None:
        """Keep Z, μ and σ of the training split, if they are `known` (bool, ())."""
        for buffer, value in ((self.mapped, mapped), (self.mu, mu), (self.sigma, sigma)):
            buffer.copy_(torch.where(known, value.to(buffer.dtype), buffer))

    def forward(self, present: Tensor, mapped: Tensor, mu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        is_present = present[:, None, None]
        return (
            torch.where(is_present, mapped, self.mapped.to(mapped.dtype)),
            torch.where(is_present, mu, self.mu),
            torch.where(is_present, sigma, self.sigma),
        )


# Step 4: three readings


class LabelClassifiers(nn.Module):
    """A two-layer classifier for each label, all computed in one product: (B, C, n) to logits (B, C)."""

    def __init__(self, config: LDDUConfig, inputs: int) -> None:
        super().__init__()
        labels, hidden = config.labels, config.width // 2
        reach = 1 / math.sqrt(inputs), 1 / math.sqrt(hidden)  # the range of nn.Linear's first weights
        self.hidden_weight = nn.Parameter(torch.empty(labels, inputs, hidden).uniform_(-reach[0], reach[0]))
        self.hidden_bias = nn.Parameter(torch.empty(labels, hidden).uniform_(-reach[0], reach[0]))
        self.output_weight = nn.Parameter(torch.empty(labels, hidden).uniform_(-reach[1], reach[1]))
        self.output_bias = nn.Parameter(torch.empty(labels).uniform_(-reach[1], reach[1]))
        self.dropout = Dropout(config.head_dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.einsum("bcn,cnh->bch", x, self.hidden_weight) + self.hidden_bias
        hidden = self.dropout(hidden).relu()
        return torch.einsum("bch,ch->bc", hidden, self.output_weight) + self.output_bias


class SharedClassifier(nn.Module):
    """One two-layer classifier for all labels: (B, C, n) to logits (B, C)."""

    def __init__(self, config: LDDUConfig, inputs: int) -> None:
        super().__init__()
        hidden = config.width // 2
        self.hidden = nn.Linear(inputs, hidden)
        self.output = nn.Linear(hidden, 1)
        self.dropout = Dropout(config.head_dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.hidden(x)).relu()).squeeze(-1)


# Step 5: gate


def gate(logits_info: Tensor, logits_mu: Tensor, logits_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log (1 - p) of p = p_info p_μ + (1 - p_info) p_σ, of logits of one shape, whatever it is.

    Computed in logarithms, and in float32 at least: in bfloat16, 0.9999 is 1 and log (1 - p) infinite.
    """
    info, mu, sigma = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (logits_info, logits_mu, logits_sigma))
    of_mu, of_sigma = functional.logsigmoid(info), functional.logsigmoid(-info)  # logarithms of the two weights
    log_probs = torch.logaddexp(of_mu + functional.logsigmoid(mu), of_sigma + functional.logsigmoid(sigma))
    log_not_probs = torch.logaddexp(of_mu + functional.logsigmoid(-mu), of_sigma + functional.logsigmoid(-sigma))
    return log_probs, log_not_probs


def mean_of(*logits: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log (1 - p) of the mean of several probabilities, of logits of one shape; in float32 at least."""
    x = torch.stack(logits)
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    log_probs, log_not_probs = (functional.logsigmoid(sign * x).logsumexp(dim=0) - math.log(len(x)) for sign in (1, -1))
    return log_probs, log_not_probs


def fuse(kind: str, logits_info: Tensor, logits_mu: Tensor, logits_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log (1 - p) by the gate, the mean of the readings, or the centre's reading alone."""
    if kind == "gate":
        return gate(logits_info, logits_mu, logits_sigma)
    return mean_of(logits_mu) if kind == "mu" else mean_of(logits_info, logits_mu, logits_sigma)


class LDDU(nn.Module):
    """The network. Its buffers hold statistics of the training split: of the inputs, the stand-ins, the label prior."""

    prior: Tensor

    def __init__(self, config: LDDUConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = nn.ModuleDict({m: Extractor(features, config) for m, features in config.widths.items()})
        self.labels = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.labels, config.width)))
        self.mapping = nn.ModuleDict({m: Mapping(config) for m in config.dims})
        self.distribution = nn.ModuleDict({m: Distribution(config) for m in config.dims})
        self.stand_in = nn.ModuleDict({m: StandIn(config) for m in config.dims})
        of_gaussians, of_mapped = len(config.dims) * config.latent, len(config.dims) * config.width
        self.centre = LabelClassifiers(config, of_gaussians)
        self.uncertainty = LabelClassifiers(config, of_gaussians)
        self.info = (SharedClassifier if config.info == "shared" else LabelClassifiers)(config, of_mapped)
        self.register_buffer("prior", torch.full((config.labels,), 0.5))  # p of a clip without any modality

    def forward(self, features: dict[str, Tensor], masks: dict[str, Tensor]) -> LDDUOutput:
        """By modality, features (B, L, D) and masks (B, L), true where a row was observed.

        L may differ between modalities. A modality is absent from a clip whose mask has no true row, and from all clips where
        its key is missing. The values of masked rows are never read.
        """
        masks = self.drop_modalities({m: masks[m].bool() for m in self.config.dims if m in masks})
        rows = {m: self.observed(m, features, masks) for m in self.config.dims}
        mapped, mu, sigma, present = {}, {}, {}, {}
        for m, (x, mask) in rows.items():
            present[m] = mask.any(dim=1)
            mapped[m], mu[m], sigma[m] = self.stand_in[m](present[m], *self.read(m, x, mask))
        logits_mu = self.centre(torch.cat(list(mu.values()), dim=-1))
        logits_sigma = self.uncertainty(torch.cat(list(sigma.values()), dim=-1))
        logits_info = self.info(torch.cat(list(mapped.values()), dim=-1))
        log_probs, log_not_probs = fuse(self.config.fusion, logits_info, logits_mu, logits_sigma)
        has_modality = torch.stack(list(present.values())).any(dim=0)[:, None]
        return LDDUOutput(
            log_probs=torch.where(has_modality, log_probs, self.prior.log()),
            log_not_probs=torch.where(has_modality, log_not_probs, torch.log1p(-self.prior)),
            logits_mu=logits_mu,
            logits_sigma=logits_sigma,
            logits_info=logits_info,
            mapped=mapped,
            mu=mu,
            sigma=sigma,
            present=present,
        )

    def read(self, m: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Z (B, C, d), μ and σ (B, C, z) of the observed rows of one modality."""
        mask = mask | ~mask.any(dim=1, keepdim=True)  # without a row all are attended to: replaced later, but finite
        mapped = self.mapping[m](self.labels, self.extractor[m](x, mask), mask)
        return mapped, *self.distribution[m](mapped)

    def observed(self, m: str, features: dict[str, Tensor], masks: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The modality's rows (B, L, D) as the extractor reads them, and their mask (B, L).

        Masked rows are zeros. With rows "mean", the mean of the observed rows is the only row; with "mean_deviation" their
        deviation stands beside it. A modality without features has one masked row.
        """
        if m not in masks:
            other = next(iter(masks.values()))
            return self.labels.new_zeros(len(other), 1, self.config.widths[m]), other.new_zeros(len(other), 1)
        x, mask = features[m].masked_fill(~masks[m][..., None], 0), masks[m]
        if self.config.rows == "all":
            return x, mask
        mean, any_row = mean_row(x, mask)
        if self.config.rows == "mean":
            return mean, any_row
        return torch.cat([mean, deviation_row(x, mask, mean)], dim=-1), any_row

    def drop_modalities(self, masks: dict[str, Tensor]) -> dict[str, Tensor]:
        """In training, mask each modality of each clip by chance; at least one present modality always stays."""
        if not self.training or not self.config.modality_dropout:
            return masks
        present = torch.stack([mask.any(dim=1) for mask in masks.values()], dim=1)  # (B, M)
        drawn = torch.rand(present.shape, device=present.device)
        kept = drawn >= self.config.modality_dropout
        kept = kept.scatter(1, (drawn + present).argmax(dim=1, keepdim=True), True)  # a present one draws above 1
        return {m: mask & kept[:, i, None] for i, (m, mask) in enumerate(masks.items())}


def mean_row(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (B, 1, D) of the observed rows of x (B, L, D), whose others are zeros, and whether there are any (B, 1)."""
    count = mask.sum(dim=1).clamp(min=1)
    return x.sum(dim=1, keepdim=True) / count[:, None, None], mask.any(dim=1, keepdim=True)


def deviation_row(x: Tensor, mask: Tensor, mean: Tensor) -> Tensor:
    """The standard deviation (B, 1, D) of the observed rows of x (B, L, D) from their mean (B, 1, D); 0 of one row or none."""
    return mean_row((x - mean).square() * mask[..., None], mask)[0].sqrt()


def xavier(linear: nn.Linear) -> nn.Linear:
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
