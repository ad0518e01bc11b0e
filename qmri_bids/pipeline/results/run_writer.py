"""Writing the files of a run: the same for all kinds, which choose what is written and what its sidecars say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import bids_uri, map_metadata
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.pipeline.earlier.files import remove_others
from qmri_bids.pipeline.mask.files import write_mask
from qmri_bids.pipeline.motion.files import write_confounds, write_run_motion
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.tissues.files import write_tissue_statistics
from qmri_bids.quantities import get_quantity
from qmri_bids.quantity import POSTERIOR, Quantity, stdev


def maps_of_run(label: str, quantities: Iterable[Quantity], *, output_dir: Path) -> list[str]:
    """Return the BIDS URIs of maps that a run of the call writes.

    Parameters
    ----------
    label
        Label of the run.
    quantities
        The maps.
    output_dir
        Root of the derivatives.
    """
    entities = parse_name(Path(label)).entities
    paths = [output_path(output_dir, entities=entities, output=quantity.written.key) for quantity in quantities]
    return [bids_uri(path, root=output_dir) for path in paths]


class RunWriter:
    """Writes outputs of a run under their names and keeps their paths.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    output_dir
        Root of the derivatives.
    sources
        BIDS URIs of what the maps were made of, where nothing else is given.
    metadata
        What else the sidecar of every map says where nothing else is given: arguments of `map_metadata`.
    """

    def __init__(
        self, results: RunResults, *, run: Run, output_dir: Path, sources: Sequence[str], **metadata: Any
    ) -> None:
        self.results, self.run, self.output_dir = results, run, output_dir
        self.written: list[Path] = []
        self._metadata: dict[str, Any] = {"sources": sources, "skull_stripped": results.stripped} | metadata

    def add(
        self,
        output: str,
        array: NDArray[Any],
        *,
        entities: Mapping[str, str] | None = None,
        desc: str | None = None,
        **metadata: Any,
    ) -> None:
        """Write an image under its row in the table of outputs; `entities` where they are not those of the run."""
        path = output_path(self.output_dir, entities=entities or self.run.entities, output=output, desc=desc)
        content = map_metadata(output, **self._metadata | metadata)
        self.written.append(write_map(path, array, affine=self.results.affine, metadata=content))

    def add_map(self, quantity: Quantity, values: NDArray[Any], **metadata: Any) -> None:
        """Write a map in the unit of its file."""
        file = quantity.written
        self.add(file.key, file.convert(values), desc=file.desc, description=file.description, **metadata)

    def add_estimate(self, metadata_of: Callable[[Quantity], Mapping[str, Any]]) -> None:
        """Write all maps of the estimate, each with its standard deviation, then correlations; sidecars by the map."""
        estimate = self.results.estimate
        for name, values in estimate.values.items():
            quantity = get_quantity(name)
            self.add_map(quantity, values, **metadata_of(quantity))
            if name in estimate.stdev:
                self.add_map(stdev(quantity), estimate.stdev[name], **metadata_of(quantity))
        for name, values in estimate.correlation.items():
            quantity = get_quantity(name)
            self.add_map(quantity, values, **metadata_of(quantity))

    def add_posterior(self, prior: str | None, **metadata: Any) -> None:
        """Write the posterior maps under a prior, if any were asked for."""
        for name, values in self.results.estimate.posterior.items() if prior is not None else ():
            self.add_map(get_quantity(f"{POSTERIOR}{name}", prior=prior), values, **metadata)

    def add_mask(self, **metadata: Any) -> None:
        """Write the mask that the maps were made with, unless a person has changed it in the meantime."""
        write_mask(
            self.add,
            self.written,
            results=self.results,
            mask=self.results.mask,
            entities=self.run.entities,
            output_dir=self.output_dir,
            **metadata,
        )

    def add_transform(
        self,
        output: str,
        matrices: NDArray[np.floating],
        *,
        sources: Sequence[str],
        entities: Mapping[str, str] | None = None,
    ) -> None:
        """Write rigid transforms, shape (4, 4) or (N, 4, 4)."""
        path = output_path(self.output_dir, entities=entities or self.run.entities, output=output)
        self.written.append(write_transforms(path, list(matrices.reshape(-1, 4, 4))))
        write_json(sidecar_path(path), map_metadata(output, sources=sources))

    def add_motion(
        self,
        motion: Mapping[str, Any] | None,
        *,
        series: Run,
        sources: Sequence[str],
        confounds: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Write where the head was in a series: its transforms, and the table of confounds where motion was corrected.

        `confounds` are columns beside those of the motion; with them there is a table without motion, too.
        """
        if motion is not None and "parameters" in motion:
            self.written += write_run_motion(
                motion, run=series, sources=sources, output_dir=self.output_dir, extra=confounds
            )
            return
        if confounds:
            table = dict(series.volume_columns) | dict(confounds)
            self.written.append(write_confounds(table, entities=series.entities, output_dir=self.output_dir))
        if motion is None:
            return
        self.add_transform(series.transforms_output, motion["transforms"], sources=sources, entities=series.entities)

    def finish(self) -> tuple[Path, ...]:
        """Write the statistics of the maps in tissues, remove what an earlier call left, and return the files written."""
        results = self.results
        self.written += write_tissue_statistics(
            self.written,
            tissue=results.tissue,
            mask=results.mask,
            entities=self.run.entities,
            whole=results.whole,
            output_dir=self.output_dir,
            pure=results.pure_tissue,
        )
        for entities in self.run.all_entities:
            remove_others(entities, self.written, output_dir=self.output_dir)
        return tuple(self.written)
