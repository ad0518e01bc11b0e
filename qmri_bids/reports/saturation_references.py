"""The publications that the methods text cites for CEST and MT runs."""

from __future__ import annotations

from qmri_bids.reports.reference_entry import article

_MRM = "Magnetic Resonance in Medicine"

SATURATION_REFERENCES = (
    article(
        "kim2009",
        "Kim et al., 2009",
        "Kim, M.; Gillen, J.; Landman, B. A.; Zhou, J.; van Zijl, P. C. M.",
        2009,
        "Water saturation shift referencing (WASSR) for chemical exchange saturation transfer (CEST) experiments",
        _MRM,
        "61:1441-1450",
        "10.1002/mrm.21873",
    ),
    article(
        "schuenke2017",
        "Schuenke et al., 2017",
        "Schuenke, P.; Windschuh, J.; Roeloffs, V.; Ladd, M. E.; Bachert, P.; Zaiss, M.",
        2017,
        "Simultaneous mapping of water shift and B1 (WASABI): application to field-inhomogeneity correction of CEST MRI data",
        _MRM,
        "77:571-580",
        "10.1002/mrm.26133",
    ),
    article(
        "zaiss2011",
        "Zaiss et al., 2011",
        "Zaiss, M.; Schmitt, B.; Bachert, P.",
        2011,
        "Quantitative separation of CEST effect from magnetization transfer and spillover effects by Lorentzian-line-fit "
        "analysis of z-spectra",
        "Journal of Magnetic Resonance",
        "211:149-155",
        "10.1016/j.jmr.2011.05.001",
    ),
    article(
        "zaiss2014",
        "Zaiss et al., 2014",
        "Zaiss, M.; Xu, J.; Goerke, S.; Khan, I. S.; Singer, R. J.; Gore, J. C.; Gochberg, D. F.; Bachert, P.",
        2014,
        "Inverse Z-spectrum analysis for spillover-, MT-, and T1-corrected steady-state pulsed CEST-MRI: application to "
        "pH-weighted MRI of acute stroke",
        "NMR in Biomedicine",
        "27:240-252",
        "10.1002/nbm.3054",
    ),
    article(
        "zhou2003",
        "Zhou et al., 2003",
        "Zhou, J.; Payen, J.-F.; Wilson, D. A.; Traystman, R. J.; van Zijl, P. C. M.",
        2003,
        "Using the amide proton signals of intracellular proteins and peptides to detect pH effects in MRI",
        "Nature Medicine",
        "9:1085-1090",
        "10.1038/nm907",
    ),
    article(
        "huang2022",
        "Huang et al., 2022",
        "Huang, J.; Lai, J. H. C.; Tse, K.-H.; Cheng, G. W. Y.; Liu, Y.; Chen, Z.; Han, X.; Chen, L.; Xu, J.; Chan, K. W. Y.",
        2022,
        "Deep neural network based CEST and AREX processing: application in imaging a model of Alzheimer's disease at 3 T",
        _MRM,
        "87:1529-1545",
        "10.1002/mrm.29044",
    ),
    article(
        "herz2021",
        "Herz et al., 2021",
        "Herz, K.; Mueller, S.; Perlman, O.; Zaitsev, M.; Knutsson, L.; Sun, P. Z.; others",
        2021,
        "Pulseq-CEST: towards multi-site multi-vendor compatibility and reproducibility of CEST experiments using an "
        "open-source sequence standard",
        _MRM,
        "86:1845-1858",
        "10.1002/mrm.28825",
    ),
    article(
        "dousset1992",
        "Dousset et al., 1992",
        "Dousset, V.; Grossman, R. I.; Ramer, K. N.; Schnall, M. D.; Young, L. H.; Gonzalez-Scarano, F.; Lavi, E.; Cohen, J. A.",
        1992,
        "Experimental allergic encephalomyelitis and multiple sclerosis: lesion characterization with magnetization "
        "transfer imaging",
        "Radiology",
        "182:483-491",
        "10.1148/radiology.182.2.1732968",
    ),
    article(
        "helms2008",
        "Helms et al., 2008a",
        "Helms, G.; Dathe, H.; Kallenberg, K.; Dechent, P.",
        2008,
        "High-resolution maps of magnetization transfer with inherent correction for RF inhomogeneity and T1 relaxation "
        "obtained from 3D FLASH MRI",
        _MRM,
        "60:1396-1407",
        "10.1002/mrm.21732",
    ),
    article(
        "helms2010",
        "Helms et al., 2010",
        "Helms, G.; Dathe, H.; Kallenberg, K.; Dechent, P.",
        2010,
        "Erratum to: High-resolution maps of magnetization transfer with inherent correction for RF inhomogeneity and T1 "
        "relaxation obtained from 3D FLASH MRI",
        _MRM,
        "64:1856",
        "10.1002/mrm.22607",
    ),
    article(
        "helms2008ernst",
        "Helms et al., 2008b",
        "Helms, G.; Dathe, H.; Dechent, P.",
        2008,
        "Quantitative FLASH MRI at 3T using a rational approximation of the Ernst equation",
        _MRM,
        "59:667-672",
        "10.1002/mrm.21542",
    ),
    article(
        "helms2021",
        "Helms et al., 2021",
        "Helms, G.; Weiskopf, N.; Lutti, A.",
        2021,
        "Correction of FLASH-based MT saturation in human brain for residual bias of B1-inhomogeneity at 3T",
        "arXiv",
        "2104.14878",
        "10.48550/arXiv.2104.14878",
    ),
    article(
        "olsson2021",
        "Olsson et al., 2021",
        "Olsson, H.; Andersen, M.; Wirestam, R.; Helms, G.",
        2021,
        "Mapping magnetization transfer saturation (MTsat) in human brain at 7T: protocol optimization under specific "
        "absorption rate constraints",
        _MRM,
        "86:2562-2576",
        "10.1002/mrm.28899",
    ),
    article(
        "lipp2023",
        "Lipp et al., 2023",
        "Lipp, I.; Kirilina, E.; Edwards, L. J.; Pine, K. J.; Jäger, C.; Gräßle, T.; others",
        2023,
        "B1+-correction of magnetization transfer saturation maps optimized for 7T postmortem MRI of the brain",
        _MRM,
        "89:1385-1400",
        "10.1002/mrm.29524",
    ),
)
"""Publications on CEST and magnetization transfer."""
