"""Which sentences of the methods hold for anatomies, other spaces and atlases."""

from __future__ import annotations

from collections.abc import Iterable

from qmri_bids.bids.spaces import OWN_TEMPLATE, SpaceOptions
from qmri_bids.reports.methods import Step
from qmri_bids.workflows.known_maps import listed


def space_method_steps(sessions: Iterable[str], options: SpaceOptions) -> list[Step]:
    """Return the sentences for what was done.

    Parameters
    ----------
    sessions
        Labels of the sessions whose runs were processed, empty for none.
    options
        Spaces, anatomies, atlas.
    """
    steps: list[Step] = []
    own = OWN_TEMPLATE in options.spaces or (options.atlas is not None and options.atlas.space == OWN_TEMPLATE)
    computed = False
    for session in dict.fromkeys(sessions):
        if options.given is not None:
            computed |= own and "template" not in options.given.fields
            masks = options.use_masks and {"t1w_mask", "t1w_dseg", "t1w_tpms"} & set(options.given.fields)
            image = f"T1w image of {options.given.pipeline}"
            steps.append(
                ("anatomy_masks", {"pipeline": options.given.pipeline})
                if masks
                else ("anatomy_image", {"image": image})
            )
            continue
        anatomy = options.anatomy_of(session)
        computed |= own and (anatomy is None or OWN_TEMPLATE not in anatomy.to_template)
        if anatomy is None:
            continue
        if anatomy.source == "derivatives" and options.use_masks:
            steps.append(("anatomy_masks", {"pipeline": anatomy.pipeline}))
        else:
            steps.append(("anatomy_image", {"image": anatomy.t1w.name}))
    if computed:
        steps.append("own_template")
    if options.spaces:
        steps.append(("output_spaces", {"spaces": listed(list(options.spaces))}))
    if options.atlas is not None:
        steps.append(("atlas", {"atlas": options.atlas.path.name, "space": options.atlas.space}))
    return steps
