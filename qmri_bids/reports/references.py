"""The publications that the methods text cites."""

from __future__ import annotations

from qmri_bids.reports.content import Reference


def _article(
    key: str, short: str, authors: str, year: int, title: str, journal: str, place: str, doi: str = ""
) -> Reference:
    """Return an entry with its BibTeX; authors are apart by `; `, family name first (`Birk, F.`)."""
    names = authors.replace("; others", " et al.").replace("; ", ", ")
    # The year of the short form may carry a letter that keeps two publications of a year apart.
    full = f"{names} ({short.split(', ')[-1]}). {title}. {' '.join(filter(None, (journal, place)))}."
    volume, _, pages = place.partition(":")
    lines = [
        f"@article{{{key},",
        f"  author = {{{authors.replace('; ', ' and ')}}},",
        f"  title = {{{{{title}}}}},",
        f"  journal = {{{journal}}},",
        f"  year = {{{year}}},",
    ]
    lines += [f"  volume = {{{volume}}},"] if volume else []
    lines += [f"  pages = {{{pages}}},"] if pages else []
    lines += [f"  doi = {{{doi}}},"] if doi else []
    return Reference(key=key, short=short, full=full, doi=doi, bibtex="\n".join([*lines, "}"]))


_MRM = "Magnetic Resonance in Medicine"
_FRONTIERS = "Frontiers in Neuroinformatics"

REFERENCES: dict[str, Reference] = {
    entry.key: entry
    for entry in (
        _article(
            "birk2025",
            "Birk et al., 2025",
            "Birk, F.; Mahler, L.; Steiglechner, J.; Wang, Q.; Scheffler, K.; Heule, R.",
            2025,
            "Flexible and cost-effective deep learning for accelerated multi-parametric relaxometry using "
            "phase-cycled bSSFP",
            "Scientific Reports",
            "15:4825",
            "10.1038/s41598-025-88579-z",
        ),
        _article(
            "nguyen2017",
            "Nguyen and Bieri, 2017",
            "Nguyen, D.; Bieri, O.",
            2017,
            "Motion-insensitive rapid configuration relaxometry",
            _MRM,
            "78:518-526",
            "10.1002/mrm.26384",
        ),
        _article(
            "zur1990",
            "Zur et al., 1990",
            "Zur, Y.; Wood, M. L.; Neuringer, L. J.",
            1990,
            "Motion-insensitive, steady-state free precession imaging",
            _MRM,
            "16:444-459",
            "10.1002/mrm.1910160311",
        ),
        _article(
            "shcherbakova2018",
            "Shcherbakova et al., 2018",
            "Shcherbakova, Y.; van den Berg, C. A. T.; Moonen, C. T. W.; Bartels, L. W.",
            2018,
            "PLANET: an ellipse fitting approach for simultaneous T1 and T2 mapping using phase-cycled "
            "balanced steady-state free precession",
            _MRM,
            "79:711-722",
            "10.1002/mrm.26717",
        ),
        _article(
            "bjork2014",
            "Björk et al., 2014",
            "Björk, M.; Ingle, R. R.; Gudmundson, E.; Stoica, P.; Nishimura, D. G.; Barral, J. K.",
            2014,
            "Parameter estimation approach to banding artifact reduction in balanced steady-state free precession",
            _MRM,
            "72:880-892",
            "10.1002/mrm.24986",
        ),
        _article(
            "golub1973",
            "Golub and Pereyra, 1973",
            "Golub, G. H.; Pereyra, V.",
            1973,
            "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate",
            "SIAM Journal on Numerical Analysis",
            "10:413-432",
            "10.1137/0710036",
        ),
        _article(
            "marquardt1963",
            "Marquardt, 1963",
            "Marquardt, D. W.",
            1963,
            "An algorithm for least-squares estimation of nonlinear parameters",
            "Journal of the Society for Industrial and Applied Mathematics",
            "11:431-441",
            "10.1137/0111030",
        ),
        _article(
            "smyth2004",
            "Smyth, 2004",
            "Smyth, G. K.",
            2004,
            "Linear models and empirical Bayes methods for assessing differential expression in microarray experiments",
            "Statistical Applications in Genetics and Molecular Biology",
            "3:3",
            "10.2202/1544-6115.1027",
        ),
        _article(
            "avants2011",
            "Avants et al., 2011a",
            "Avants, B. B.; Tustison, N. J.; Song, G.; Cook, P. A.; Klein, A.; Gee, J. C.",
            2011,
            "A reproducible evaluation of ANTs similarity metric performance in brain image registration",
            "NeuroImage",
            "54:2033-2044",
            "10.1016/j.neuroimage.2010.09.025",
        ),
        _article(
            "tustison2010",
            "Tustison et al., 2010",
            "Tustison, N. J.; Avants, B. B.; Cook, P. A.; Zheng, Y.; Egan, A.; Yushkevich, P. A.; Gee, J. C.",
            2010,
            "N4ITK: improved N3 bias correction",
            "IEEE Transactions on Medical Imaging",
            "29:1310-1320",
            "10.1109/TMI.2010.2046908",
        ),
        _article(
            "atropos2011",
            "Avants et al., 2011b",
            "Avants, B. B.; Tustison, N. J.; Wu, J.; Cook, P. A.; Gee, J. C.",
            2011,
            "An open source multivariate framework for n-tissue segmentation with evaluation on public data",
            "Neuroinformatics",
            "9:381-400",
            "10.1007/s12021-011-9109-y",
        ),
        _article(
            "power2012",
            "Power et al., 2012",
            "Power, J. D.; Barnes, K. A.; Snyder, A. Z.; Schlaggar, B. L.; Petersen, S. E.",
            2012,
            "Spurious but systematic correlations in functional connectivity MRI networks arise from subject motion",
            "NeuroImage",
            "59:2142-2154",
            "10.1016/j.neuroimage.2011.10.018",
        ),
        _article(
            "kellner2016",
            "Kellner et al., 2016",
            "Kellner, E.; Dhital, B.; Kiselev, V. G.; Reisert, M.",
            2016,
            "Gibbs-ringing artifact removal based on local subvoxel-shifts",
            _MRM,
            "76:1574-1581",
            "10.1002/mrm.26054",
        ),
        _article(
            "garyfallidis2014",
            "Garyfallidis et al., 2014",
            "Garyfallidis, E.; Brett, M.; Amirbekian, B.; Rokem, A.; van der Walt, S.; Descoteaux, M.; Nimmo-Smith, I.",
            2014,
            "Dipy, a library for the analysis of diffusion MRI data",
            _FRONTIERS,
            "8:8",
            "10.3389/fninf.2014.00008",
        ),
        _article(
            "abraham2014",
            "Abraham et al., 2014",
            "Abraham, A.; Pedregosa, F.; Eickenberg, M.; Gervais, P.; Mueller, A.; Kossaifi, J.; Gramfort, "
            "A.; Thirion, B.; Varoquaux, G.",
            2014,
            "Machine learning for neuroimaging with scikit-learn",
            _FRONTIERS,
            "8:14",
            "10.3389/fninf.2014.00014",
        ),
        _article(
            "brett_nibabel",
            "Brett et al., 2024",
            "Brett, M.; Markiewicz, C. J.; Hanke, M.; others",
            2024,
            "nibabel: access a cacophony of neuro-imaging file formats",
            "Zenodo",
            "",
            "10.5281/zenodo.591597",
        ),
        _article(
            "fonov2011",
            "Fonov et al., 2011",
            "Fonov, V.; Evans, A. C.; Botteron, K.; Almli, C. R.; McKinstry, R. C.; Collins, D. L.",
            2011,
            "Unbiased average age-appropriate atlases for pediatric studies",
            "NeuroImage",
            "54:313-327",
            "10.1016/j.neuroimage.2010.07.033",
        ),
        _article(
            "yarkoni2019",
            "Yarkoni et al., 2019",
            "Yarkoni, T.; Markiewicz, C. J.; de la Vega, A.; Gorgolewski, K. J.; Salo, T.; Halchenko, Y. O.; others",
            2019,
            "PyBIDS: Python tools for BIDS datasets",
            "Journal of Open Source Software",
            "4:1294",
            "10.21105/joss.01294",
        ),
        _article(
            "gorgolewski2016",
            "Gorgolewski et al., 2016",
            "Gorgolewski, K. J.; Auer, T.; Calhoun, V. D.; Craddock, R. C.; Das, S.; Duff, E. P.; others",
            2016,
            "The brain imaging data structure, a format for organizing and describing outputs of "
            "neuroimaging experiments",
            "Scientific Data",
            "3:160044",
            "10.1038/sdata.2016.44",
        ),
        _article(
            "gorgolewski2017",
            "Gorgolewski et al., 2017",
            "Gorgolewski, K. J.; Alfaro-Almagro, F.; Auer, T.; Bellec, P.; Capotă, M.; Chakravarty, M. M.; others",
            2017,
            "BIDS apps: improving ease of use, accessibility, and reproducibility of neuroimaging data "
            "analysis methods",
            "PLOS Computational Biology",
            "13:e1005209",
            "10.1371/journal.pcbi.1005209",
        ),
        _article(
            "karakuzu2022",
            "Karakuzu et al., 2022",
            "Karakuzu, A.; Appelhoff, S.; Auer, T.; Boudreau, M.; Feingold, F.; Khan, A. R.; others",
            2022,
            "qMRI-BIDS: an extension to the brain imaging data structure for quantitative magnetic resonance "
            "imaging data",
            "Scientific Data",
            "9:517",
            "10.1038/s41597-022-01571-4",
        ),
        _article(
            "gorgolewski2011",
            "Gorgolewski et al., 2011",
            "Gorgolewski, K.; Burns, C. D.; Madison, C.; Clark, D.; Halchenko, Y. O.; Waskom, M. L.; Ghosh, S. S.",
            2011,
            "Nipype: a flexible, lightweight and extensible neuroimaging data processing framework in Python",
            _FRONTIERS,
            "5:13",
            "10.3389/fninf.2011.00013",
        ),
        _article(
            "chung2010",
            "Chung et al., 2010",
            "Chung, S.; Kim, D.; Breton, E.; Axel, L.",
            2010,
            "Rapid B1+ mapping using a preconditioning RF pulse with TurboFLASH readout",
            _MRM,
            "64:439-446",
            "10.1002/mrm.22423",
        ),
        _article(
            "insko1993",
            "Insko and Bolinger, 1993",
            "Insko, E. K.; Bolinger, L.",
            1993,
            "Mapping of the radiofrequency field",
            "Journal of Magnetic Resonance, Series A",
            "103:82-85",
            "10.1006/jmra.1993.1133",
        ),
        _article(
            "yarnykh2007",
            "Yarnykh, 2007",
            "Yarnykh, V. L.",
            2007,
            "Actual flip-angle imaging in the pulsed steady state: a method for rapid three-dimensional "
            "mapping of the transmitted radiofrequency field",
            _MRM,
            "57:192-200",
            "10.1002/mrm.21120",
        ),
        _article(
            "gloor2008",
            "Gloor et al., 2008",
            "Gloor, M.; Scheffler, K.; Bieri, O.",
            2008,
            "Quantitative magnetization transfer imaging using balanced SSFP",
            _MRM,
            "60:691-700",
            "10.1002/mrm.21705",
        ),
        _article(
            "paszke2019",
            "Paszke et al., 2019",
            "Paszke, A.; Gross, S.; Massa, F.; Lerer, A.; Bradbury, J.; Chanan, G.; others",
            2019,
            "PyTorch: an imperative style, high-performance deep learning library",
            "Advances in Neural Information Processing Systems",
            "32:8024-8035",
            "10.48550/arXiv.1912.01703",
        ),
    )
}
"""Publications by key."""
