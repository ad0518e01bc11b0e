"""Embed qmri_bids in a pipeline made as fMRIPrep is: an anatomical workflow before it, something that uses the maps after it.

    python examples/embed_in_fmriprep_style.py OUT [--bids-dir DIR --participant-label 01] [--nprocs 2]

Without a dataset, a coarse head is simulated. `init_skull_strip_wf` stands for what another pipeline has (fMRIPrep's
`init_anat_fit_wf` has outputs of the same names); `tabulate` for whatever comes after. Both know nothing of qmri_bids.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nipype.interfaces.utility import Function, IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.workflows import (
    GivenAnatomy,
    ProcessingOptions,
    SpaceOptions,
    WriteParticipantReport,
    init_qmri_wf,
    plan_participant,
    run_name,
    select_map,
    set_resources,
)

GIVEN = ("t1w_preproc", "t1w_mask", "t1w_dseg")


def strip_skull(t1w: str) -> tuple[str, str, str]:
    """Return a clean T1w image, a brain mask and labels of tissues; it serves the simulated head and no other."""
    from pathlib import Path

    import nibabel as nib
    import numpy as np
    from scipy import ndimage

    image = nib.load(t1w)
    values = np.asarray(image.dataobj, dtype=np.float32)
    values = np.clip(values / np.percentile(values, 99.9), 0.0, 1.0)
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 2)
    parts, _ = ndimage.label(ndimage.binary_opening((values > 0.08) & (values < 0.55), ball))
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(parts == largest, ball, iterations=2))
    # 1 grey matter, 2 white matter, 3 fluid, as in fMRIPrep.
    tissues = np.select([~brain, values > 0.28, values > 0.12], [0, 2, 1], default=3)
    written = []
    for name, data in (("preproc", values), ("mask", brain), ("dseg", tissues)):
        path = Path.cwd() / f"stripped_{name}.nii.gz"
        nib.save(nib.Nifti1Image(data.astype(np.float32 if name == "preproc" else np.uint8), image.affine), path)
        written.append(str(path))
    return written[0], written[1], written[2]


def tabulate(t1_map: str, mask: str, files: list[str]) -> str:
    """Write the median of T1 in the brain and the number of files into a table."""
    from pathlib import Path

    import nibabel as nib
    import numpy as np

    brain = np.asarray(nib.load(mask).dataobj) > 0
    t1 = np.asarray(nib.load(t1_map).dataobj)[brain]
    path = Path.cwd() / "table.tsv"
    path.write_text(f"median_t1\tvoxels\tfiles\n{np.nanmedian(t1):.4f}\t{np.count_nonzero(brain)}\t{len(files)}\n")
    return str(path)


def init_skull_strip_wf(*, t1w: Path, name: str = "skull_strip_wf") -> pe.Workflow:
    """Make what the anatomical workflow of another pipeline makes."""
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(fields=["t1w"]), name="inputnode")
    inputnode.inputs.t1w = str(t1w)
    outputnode = pe.Node(IdentityInterface(fields=list(GIVEN)), name="outputnode")
    strip = pe.Node(Function(input_names=["t1w"], output_names=list(GIVEN), function=strip_skull), name="strip")
    workflow.connect([(inputnode, strip, [("t1w", "t1w")]), (strip, outputnode, [(each, each) for each in GIVEN])])
    return workflow


def build(*, bids_dir: Path, subject: str, output_dir: Path, work_dir: Path) -> pe.Workflow:
    """Return the whole workflow."""
    options = ProcessingOptions(
        estimator="linear",
        ignore=("motion",),
        spaces=SpaceOptions(spaces=("T1w",), given=GivenAnatomy(pipeline="my pipeline 1.0", fields=GIVEN)),
    )
    plan = plan_participant(bids_dir=bids_dir, subject=subject, options=options)
    for refusal in plan.refusals:
        print(f"left out: {refusal}")
    qmri_wf = init_qmri_wf(
        runs=plan.runs, options=options, bids_dir=bids_dir, output_dir=output_dir, work_dir=work_dir, name="qmri_wf"
    )
    set_resources(qmri_wf, runs=plan.runs, threads=1, spaces=options.spaces)  # what each node asks of the machine
    (t1w,) = (bids_dir / f"sub-{subject}" / "anat").glob("*_T1w.nii.gz")
    anat_wf = init_skull_strip_wf(t1w=t1w)
    table = pe.Node(
        Function(input_names=["t1_map", "mask", "files"], output_names=["table"], function=tabulate), name="tabulate"
    )
    report = pe.Node(
        WriteParticipantReport(
            plan=plan, options=options, bids_dir=str(bids_dir), output_dir=str(output_dir), command="my pipeline"
        ),
        name="report",
    )
    relaxometry = run_name(plan.pcbssfp[0])
    workflow = pe.Workflow(name="my_pipeline_wf", base_dir=str(work_dir))
    workflow.connect(
        [
            (anat_wf, qmri_wf, [(f"outputnode.{each}", f"inputnode.{each}") for each in GIVEN]),
            # Of one run, by its own workflow …
            (
                qmri_wf,
                table,
                [
                    ((f"{relaxometry}.outputnode.maps", select_map, "T1map"), "t1_map"),
                    (f"{relaxometry}.outputnode.mask", "mask"),
                ],
            ),
            # … and of all runs.
            (qmri_wf, table, [("outputnode.files", "files")]),
            (qmri_wf, report, [("outputnode.reports", "reports")]),
        ]
    )
    return workflow


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the workflow and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--bids-dir", type=Path, help="a dataset with a T1w image and a pc-bSSFP run")
    parser.add_argument("--participant-label", default="01")
    parser.add_argument("--nprocs", type=int, default=1)
    given = parser.parse_args(arguments)
    output_dir = given.output_dir.absolute()
    bids_dir = output_dir / "bids" if given.bids_dir is None else given.bids_dir.absolute()
    if given.bids_dir is None and not bids_dir.is_dir():
        from qmri_bids.phantom.dataset import simulate_dataset

        simulate_dataset(bids_dir, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=6, motion=0.0, t1w=True)
    derivatives = output_dir / "derivatives"
    write_dataset_description(derivatives, bids_dir=bids_dir)
    write_bidsignore(derivatives)
    workflow = build(
        bids_dir=bids_dir, subject=given.participant_label, output_dir=derivatives, work_dir=output_dir / "work"
    )
    # Any plugin of Nipype will do: each node is pickled and may run elsewhere.
    plugin = ("MultiProc", {"n_procs": given.nprocs}) if given.nprocs > 1 else ("Linear", {})
    workflow.run(plugin=plugin[0], plugin_args=plugin[1])
    print(f"Maps and report: {derivatives}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
