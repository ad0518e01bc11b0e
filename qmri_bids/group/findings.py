"""All that is found of a group, from which its tables and its page are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qmri_bids.group.collect import Group
from qmri_bids.group.covariates import Covariates, collect_covariates
from qmri_bids.group.distributions import Distribution, quality_distributions, tissue_distributions
from qmri_bids.group.protocols import Protocols, protocols_of
from qmri_bids.group.regions import region_distributions
from qmri_bids.group.retest import Repeatability, repeatabilities


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that is found of a group.

    Parameters
    ----------
    group
        What became of every participant.
    protocols
        Which runs were acquired alike.
    covariates
        What is known of participants and sessions beside their scans.
    tissues, quality, regions
        Medians of the maps in the tissues, quality measures, and medians in the regions of atlases.
    repeated
        How well the medians repeat themselves.
    sentences
        What a reader must know.
    output_dir
        Root of the derivatives.
    """

    group: Group
    protocols: Protocols
    covariates: Covariates
    tissues: tuple[Distribution, ...]
    quality: tuple[Distribution, ...]
    regions: tuple[Distribution, ...]
    repeated: tuple[Repeatability, ...]
    sentences: tuple[str, ...]
    output_dir: Path

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        """All numbers: of tissues, of quality and of regions."""
        return (*self.tissues, *self.quality, *self.regions)


def findings_of(group: Group, *, output_dir: Path, bids_dir: Path | None = None) -> Findings:
    """Return what is found of a group.

    Parameters
    ----------
    group
        What became of every participant.
    output_dir
        Root of the derivatives.
    bids_dir
        Root of the raw dataset, for what it says of participants and sessions; None leaves that out.
    """
    protocols = protocols_of(group)
    covariates = collect_covariates(bids_dir, group)
    sentences: list[str] = []
    tissues = tissue_distributions(group, protocols)
    regions = region_distributions(group, protocols, output_dir=output_dir, sentences=sentences)
    return Findings(
        group=group,
        protocols=protocols,
        covariates=covariates,
        tissues=tissues,
        quality=quality_distributions(group, protocols),
        regions=regions,
        repeated=repeatabilities((*tissues, *regions)),
        sentences=(*group.sentences, *covariates.sentences, *sentences),
        output_dir=output_dir,
    )
